"""Measures what the project claims of its own speed and memory, on the machine it runs on.

    python scripts/benchmark.py [--json=benchmark.json]

Everything is measured in one process. What is compared runs alternately, one call of each a round,
and a ratio is taken within a round, so that other work on the machine does not favour one side:
medians over the rounds, with the least and the greatest.

gradient_time, gradient_memory: the gradient of a scalar loss of traced depths with respect to all
parameters, by the implicit function theorem (`tracing.trace`) and by automatic differentiation
through every step of sphere tracing, plain and rematerialised (`jax.checkpoint`). The field is a
fresh MLP of 4 layers of 128, which is a sphere. A beam of 2048 parallel rays covers it and a rim
around it; the loss is the mean depth over the inner rays, which all forms bring to the surface, so
that all compute the same derivative (gradient_difference). Every form evaluates the field 32 times
on all rays while marching: the rays that graze the rim keep the implicit form's loop going to its
limit, which is checked. The implicit form then also refines its hits (4 evaluations) and takes
normals, which the others do not.

memory_against_steps: the implicit form's memory for limits of 16, 64 and 256 march steps.

Memory is that of temporary buffers in the compiled program's own analysis: exact, without spread.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from absl import flags

from neural_sdf import launch

if TYPE_CHECKING:
    from jax import Array
    from jax.stages import Compiled

JSON = flags.DEFINE_string("json", "", "file to write the table to, as JSON")

NUM_RAYS = 2048
NUM_STEPS = 32
NUM_ROUNDS = 7
DISTANCE = 2.0  # of the rays' origins from the sphere's centre; its radius is 0.6
FAR = 4.0


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


class Problem(NamedTuple):
    """What is differentiated; see this file's docstring.

    Attributes:
        sdf: the field.
        params: its parameters.
        origins: of the rays, [N, 3].
        directions: unit length, [N, 3].
        weights: of the rays' depths in the loss, with sum 1, [N].
    """

    sdf: Callable[[Any, Array], Array]
    params: Any
    origins: Array
    directions: Array
    weights: Array


def main() -> None:
    """Measures all figures, prints the table and writes the JSON file if one is asked for."""
    launch.check_backend()
    print("  ".join(f"{name} {value}" for name, value in machine().items()), flush=True)
    rows = [row for figure in (gradient, memory_against_steps) for row in figure(sphere_problem())]
    print(table(rows))
    if JSON.value:
        from neural_sdf.export import replace_file

        record = {"machine": machine()} | {row.key: as_record(row) for row in rows}
        replace_file(Path(JSON.value), (json.dumps(record, indent=2) + "\n").encode())


def gradient(problem: Problem) -> list[Row]:
    """Time and memory of the three forms of the gradient, and how far they differ."""
    require_full_march(problem)
    compiled = {
        "implicit": compiled_gradient(implicit_depth(NUM_STEPS), problem),
        "unrolled": compiled_gradient(unrolled_depth(remat=False), problem),
        "unrolled_remat": compiled_gradient(unrolled_depth(remat=True), problem),
    }
    arguments = (problem.params, problem.origins, problem.directions, problem.weights)
    times = alternating_times(compiled, arguments)
    exact = compiled["implicit"](*arguments)
    return [
        *compare(
            "gradient_time", {name: [1e3 * t for t in ts] for name, ts in times.items()}, "ms"
        ),
        *compare("gradient_memory", {name: [memory(c)] for name, c in compiled.items()}, "MiB"),
        *(
            Row(f"gradient_difference.{name}", spread([difference(exact, c(*arguments))]), "")
            for name, c in list(compiled.items())[1:]
        ),
    ]


def memory_against_steps(problem: Problem) -> list[Row]:
    """Memory of the implicit gradient, which the number of march steps must not change."""
    values = {
        f"{steps}_steps": [memory(compiled_gradient(implicit_depth(steps), problem))]
        for steps in (16, 64, 256)
    }
    return compare("memory_against_steps", values, "MiB")


def sphere_problem() -> Problem:
    """A fresh field, and a beam of parallel rays a little wider than its sphere."""
    import jax
    import jax.numpy as jnp

    from neural_sdf.fields import mlp

    field = mlp(width=128, depth=4)
    index = jnp.arange(NUM_RAYS) + 0.5
    radius = 0.66 * jnp.sqrt(index / NUM_RAYS)
    angle = jnp.pi * (1 + 5**0.5) * index  # a sunflower: evenly spread over the disc
    x, y = radius * jnp.cos(angle), radius * jnp.sin(angle)
    inner = (radius < 0.5).astype(jnp.float32)
    return Problem(
        sdf=field.sdf,
        params=field.init(jax.random.key(0)),
        origins=jnp.stack([x, y, jnp.full(NUM_RAYS, -DISTANCE)], axis=-1),
        directions=jnp.tile(jnp.array([0.0, 0.0, 1.0]), (NUM_RAYS, 1)),
        weights=inner / jnp.sum(inner),
    )


def require_full_march(problem: Problem) -> None:
    """Refuses a comparison in which the implicit form stops marching early or misses."""
    from neural_sdf.tracing import MAX_STEPS, trace

    sdf, params, origins, directions, weights = problem
    hits = trace(sdf, params, origins, directions, near=0.0, far=FAR, max_steps=NUM_STEPS)
    if not (hits.status == MAX_STEPS).any() or not hits.hit[weights > 0].all():
        raise RuntimeError(
            f"the rays do not use all of {NUM_STEPS} march steps, or inner ones miss; expected a "
            "fresh field that is a sphere of radius 0.6; mend sphere_problem"
        )


def implicit_depth(max_steps: int) -> Callable[..., Array]:
    """The package's own tracer, limited to `max_steps` march steps."""
    from neural_sdf.tracing import trace

    def depth(sdf: Callable, params: Any, origins: Array, directions: Array) -> Array:
        return trace(sdf, params, origins, directions, near=0.0, far=FAR, max_steps=max_steps).t

    return depth


def unrolled_depth(*, remat: bool) -> Callable[..., Array]:
    """Sphere tracing that is differentiated through each of its steps: what not to do."""
    import jax
    import jax.numpy as jnp

    def depth(sdf: Callable, params: Any, origins: Array, directions: Array) -> Array:
        def step(t: Array, _: None) -> tuple[Array, None]:
            return jnp.minimum(t + sdf(params, origins + t[:, None] * directions), FAR), None

        body = jax.checkpoint(step) if remat else step
        with jax.default_matmul_precision("highest"):  # as the tracer
            return jax.lax.scan(body, jnp.zeros(len(origins)), length=NUM_STEPS)[0]

    return depth


def compiled_gradient(depth: Callable[..., Array], problem: Problem) -> Compiled:
    """The compiled gradient of the weighted mean depth with respect to all parameters."""
    import jax
    import jax.numpy as jnp

    def loss(params: Any, origins: Array, directions: Array, weights: Array) -> Array:
        return jnp.sum(weights * depth(problem.sdf, params, origins, directions))

    return jax.jit(jax.grad(loss)).lower(*problem[1:]).compile()


def memory(compiled: Compiled) -> float:
    """Temporary memory of a compiled program, MiB."""
    analysis = compiled.memory_analysis()
    if analysis is None:
        raise RuntimeError("this backend tells no memory of a program; run with JAX_PLATFORMS=cpu")
    return analysis.temp_size_in_bytes / 2**20


def alternating_times(
    compiled: dict[str, Compiled], arguments: tuple[Any, ...]
) -> dict[str, list[float]]:
    """Seconds of each program in every round, after one round that is not counted."""
    import jax

    times: dict[str, list[float]] = {name: [] for name in compiled}
    for _ in range(1 + NUM_ROUNDS):
        for name, program in compiled.items():
            start = time.perf_counter()
            jax.block_until_ready(program(*arguments))
            times[name].append(time.perf_counter() - start)
    return {name: values[1:] for name, values in times.items()}


def difference(exact: Any, other: Any) -> float:
    """Norm of the difference of two trees of arrays over the norm of the first."""
    import jax
    import jax.numpy as jnp

    def norm(tree: Any) -> float:
        return float(jnp.sqrt(sum(jnp.sum(jnp.square(x)) for x in jax.tree.leaves(tree))))

    return norm(jax.tree.map(jnp.subtract, exact, other)) / norm(exact)


def compare(figure: str, values: dict[str, list[float]], unit: str) -> list[Row]:
    """Rows of values a round, each with its ratio to the first within the round."""
    first = next(iter(values.values()))
    return [
        Row(
            f"{figure}.{name}",
            spread(own),
            unit,
            spread([x / reference for x, reference in zip(own, first, strict=True)]),
        )
        for name, own in values.items()
    ]


def spread(values: list[float]) -> Spread:
    """Median, least and greatest."""
    import numpy as np

    return Spread(float(np.median(values)), min(values), max(values))


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
    import jax

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


if __name__ == "__main__":
    launch.run(main)
