"""Times and memory taken so that they can be compared, and the table that shows them.

What is compared runs alternately, one call of each a round, and a ratio is taken within a round, so
that other work on the machine does not favour one side.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.stages import Compiled

NUM_ROUNDS = 7


class Spread(NamedTuple):
    """Median of the rounds, with the least and the greatest."""

    median: float
    least: float
    greatest: float


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        key: its name in the table and in the JSON file: figure, then what was measured.
        value: in `unit`.
        unit: of the value; empty for a plain number.
        ratio: to the figure's first row, if that says something.
    """

    key: str
    value: Spread
    unit: str
    ratio: Spread | None = None


def memory(compiled: Compiled) -> float:
    """Temporary memory of a compiled program, MiB."""
    analysis = compiled.memory_analysis()
    if analysis is None:
        raise RuntimeError("this backend tells no memory of a program; run with JAX_PLATFORMS=cpu")
    return analysis.temp_size_in_bytes / 2**20


def alternating_times(
    programs: Mapping[str, Callable[..., Any]], arguments: tuple[Any, ...], num_calls: int = 1
) -> dict[str, list[float]]:
    """Milliseconds a call of each program in every round, after one round that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(1 + NUM_ROUNDS):
        for name, program in programs.items():
            start = time.perf_counter()
            for _ in range(num_calls):
                jax.block_until_ready(program(*arguments))
            times[name].append(1e3 * (time.perf_counter() - start) / num_calls)
    return {name: values[1:] for name, values in times.items()}


def compare(figure: str, values: dict[str, list[float]], unit: str) -> list[Row]:
    """Rows of values a round, each with its ratio to the first within the round."""
    first = next(iter(values.values()))
    return [
        Row(
            f"{figure}.{name}",
            spread(own),
            unit,
            ratio(own, first),
        )
        for name, own in values.items()
    ]


def spread(values: list[float]) -> Spread:
    """Median, least and greatest."""
    return Spread(float(np.median(values)), min(values), max(values))


def ratio(values: list[float], others: list[float]) -> Spread:
    """Of each round."""
    return spread([x / y for x, y in zip(values, others, strict=True)])


def table(rows: list[Row]) -> str:
    """All rows as text."""
    lines = [f"{'figure':<34}{'median':>10} {'unit':<5}{'(least to greatest)':>21}   ratio"]
    for row in rows:
        ratio = (
            "" if row.ratio is None else f"{row.ratio.median:6.2f}x  {_extent(row.ratio, '.2f')}"
        )
        value = f"{row.value.median:>10.4g} {row.unit:<5}{_extent(row.value, '.4g'):>21}"
        lines.append(f"{row.key:<34}{value}  {ratio}".rstrip())
    return "\n".join(lines)


def as_record(row: Row) -> dict[str, Any]:
    """A row for the JSON file."""
    ratio = None if row.ratio is None else row.ratio._asdict()
    return row.value._asdict() | {"unit": row.unit, "ratio": ratio}


def machine() -> dict[str, Any]:
    """What the figures depend on besides the code."""
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "backend": jax.default_backend(),
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
        "python": platform.python_version(),
    }


def _extent(value: Spread, form: str) -> str:
    """The spread, if there is one."""
    _, least, greatest = value
    return "" if least == greatest else f"({least:{form}} to {greatest:{form}})"
