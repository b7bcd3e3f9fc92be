"""The matrix products of a compiled step, and the time that they take alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from measure import Row, alternating_times, compare
from next_step import NextStep, compiled_step, hits_of

Shape = tuple[int, int, int]  # rows, contracted, columns

_LINE = re.compile(r"(?:ROOT )?(%[\w.\-]+) = f32\[([\d,]*)\]\S* (\S+?)\((.*)")


def bare_products(now: NextStep) -> list[Row]:
    """The step against its own matrix products alone."""
    program, num_rays = compiled_step(now), len(now.batch.pixels)
    paid = int(hits_of(now).num_paid)
    shapes = shapes_of(str(program.as_text()), rows_in_loops=paid, batch=num_rays)
    products, matrices = bare(shapes)
    programs = {
        "bare": partial(products, *matrices),
        "step": partial(program, now.state, now.batch, photos=now.photos),
    }
    times = alternating_times(programs, ())
    flops = sum(2 * m * k * n for m, k, n in shapes)
    speed = {name: [flops / 1e6 / t for t in values] for name, values in times.items()}
    return [*compare("products", times, "ms"), *compare("products_speed", speed, "GFLOP/s")]


def shapes_of(program: str, *, rows_in_loops: int, batch: int) -> list[Shape]:
    """Of all products of a compiled program.

    Those of a march stand in its loops, one loop a size of the batch, and are taken from the first
    one alone: as often as gives `rows_in_loops` rows, in pieces of an eighth of the batch.

    Args:
        program: its text.
        rows_in_loops: how often the march evaluates the field.
        batch: rays of a step.
    """
    shapes: list[Shape] = []
    for line, sizes in _lines(program):
        found = re.search(r"lhs_contracting_dims=\{(\d)\}, rhs_contracting_dims=\{(\d)\}", line)
        if not found:
            continue
        left, right = sizes
        contracted = left[int(found[1])]
        rows, columns = left[1 - int(found[1])], right[1 - int(found[2])]
        if "while/body" not in line:
            shapes.append((rows, contracted, columns))
        elif rows == batch:
            piece = batch // 8
            shapes += [(piece, contracted, columns)] * round(rows_in_loops / piece)
    return shapes


def bare(shapes: list[Shape]) -> tuple[Callable[..., Any], list[tuple[Array, Array]]]:
    """A program of nothing but those products, and matrices for it."""
    key = jax.random.key(0)
    pairs = [
        (jax.random.normal(key, (m, k)) + i, jax.random.normal(key, (k, n)) + i)
        for i, (m, k, n) in enumerate(shapes)
    ]

    @jax.jit
    def run(*pairs: tuple[Array, Array]) -> list[Array]:
        return [jnp.matmul(left, right, precision="highest") for left, right in pairs]

    return run, pairs


def _lines(program: str) -> list[tuple[str, tuple[tuple[int, ...], ...]]]:
    """Each product's line with the sizes of its two operands."""
    sizes: dict[str, tuple[int, ...]] = {}
    found = []
    for line in program.splitlines():
        match = _LINE.match(line.strip())
        if not match:
            continue
        name, size, kind, rest = match.groups()
        sizes[name] = tuple(int(x) for x in size.split(",") if x)
        if kind == "dot":
            left, right = re.findall(r"%[\w.\-]+", rest)[:2]
            found.append((line, (sizes[left], sizes[right])))
    return found
