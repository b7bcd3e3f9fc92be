"""Samples of a field on a regular grid, taken only where the surface can be.

Nearly all the cost of a mesh is the field's evaluation, and nearly all of a dense grid is far from
the surface. The grid is therefore cut into blocks of 8 points a side. With L a bound of the field's
slope and h the greatest distance from a block's centre c to a point of its cells, |f(c)| > L h
excludes the surface from the block; it is then filled with f(c), which has the right sign.

L is 1.5 times the greatest slope met at the blocks' centres, so it is an estimate. What makes the
result safe is the second rule: a cell whose corners differ in sign must have all its corners
evaluated. Blocks that break it are evaluated and the rule is applied again, so that a surface that
is entered anywhere is followed to its end and no border between evaluated and skipped blocks can
show up as a surface. What can be missed is a whole closed piece that no examined block touches.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from jaxtyping import Bool, Float
from rich.console import Console
from rich.progress import track

from neural_sdf.mistake import Mistake

BLOCK = 8  # points a side; with 4, 8 and 16 a torus at 256³ costs 13, 11 and 16 % of its points
_SLOPE_MARGIN = 1.5


class Grid(NamedTuple):
    """A cube of sample points, the same on all three axes.

    Attributes:
        lower: coordinate of the first point.
        cell: distance of neighbouring points.
        num_blocks: blocks per axis; the axis has `BLOCK` times as many points.
    """

    lower: float
    cell: float
    num_blocks: int


class Samples(NamedTuple):
    """A field on a grid.

    Attributes:
        values: the field at evaluated points; elsewhere a value of the right sign, [n, n, n].
        slope: greatest slope met at the blocks' centres, field units per length.
        num_evaluations: how often the field was evaluated.
    """

    values: Float[np.ndarray, "n n n"]
    slope: float
    num_evaluations: int


def grid_values(
    sdf: Callable[[Any, Array], Array], params: Any, points: Float[Array, "N 3"]
) -> Float[Array, " N"]:
    """The field at points: what is compiled, for any platform, to sample a grid.

    Full float32 products: TF32 and bfloat16 move the surface by a visible part of a cell.
    """
    with jax.default_matmul_precision("highest"):
        return sdf(params, points)


def covering_grid(radius: float, resolution: int) -> Grid:
    """The grid with `resolution` cells across the sphere and at least one cell outside it."""
    cell = 2 * radius / resolution
    return Grid(-radius - cell, cell, -(-(resolution + 3) // BLOCK))


def grid_axis(grid: Grid) -> Float[np.ndarray, " n"]:
    """Coordinates of the sample points along each axis, float64."""
    return grid.lower + grid.cell * np.arange(BLOCK * grid.num_blocks)


def sphere_values(grid: Grid, radius: float) -> Float[np.ndarray, "n n n"]:
    """|x| − radius at the grid's points, float32."""
    squared = np.square(grid_axis(grid)).astype(np.float32)
    total = squared[:, None, None] + squared[:, None] + squared
    return np.sqrt(total, out=total) - np.float32(radius)


def sample_field(
    sdf: Callable[[Any, Array], Array],
    params: Any,
    grid: Grid,
    radius: float,
    chunk: int,
) -> Samples:
    """The field on the grid, dense where its surface inside the bounding sphere can be.

    Args:
        sdf: jittable, negative inside; any slope.
        params: its parameters.
        grid: where to sample.
        radius: of the bounding sphere about the origin.
        chunk: points per evaluation, a multiple of BLOCK³; one compiled program serves all.

    Raises:
        Mistake: if the field is not finite.
    """
    evaluate = partial(jax.jit(partial(grid_values, sdf)), params)
    indices = np.indices((grid.num_blocks,) * 3).reshape(3, -1).T
    shape = (grid.num_blocks,) * 3
    centres, slopes = _probe_blocks(evaluate, grid, indices, chunk)
    distance = np.linalg.norm(_block_centres(grid, indices), axis=-1) - radius
    reach = np.sqrt(3) * (BLOCK + 1) / 2 * grid.cell
    slope = float(slopes[distance <= reach].max()) or 1.0  # a field of steps has none anywhere
    margin = _SLOPE_MARGIN * slope * reach
    empty = (centres > margin) | (distance > reach)
    full = (centres < -margin) & (distance < -reach)

    inside = sphere_values(grid, radius) < 0
    values = np.empty(inside.shape, np.float32)
    blocks = _by_block(values)
    blocks[...] = centres.reshape(shape)[..., None, None, None]
    done = np.zeros(shape, bool)
    wanted = ~(empty | full).reshape(shape) | _mixed_blocks((values < 0) & inside)
    while wanted.any():
        blocks[wanted] = _block_values(evaluate, grid, np.argwhere(wanted), chunk)
        done |= wanted
        wanted = _mixed_blocks((values < 0) & inside) & ~done
    return Samples(values, slope, 4 * len(indices) + BLOCK**3 * int(done.sum()))


def in_chunks(
    function: Callable[[np.ndarray], Any], items: np.ndarray, chunk: int, label: str
) -> np.ndarray:
    """`function` over the rows of `items`, always `chunk` rows at a time.

    The last chunk is filled up with its last row, so that a jitted function compiles once.
    """
    results = []
    for start in track(
        range(0, len(items), chunk),
        label,
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    ):
        rows = np.minimum(np.arange(start, start + chunk), len(items) - 1)
        results.append(np.asarray(function(items[rows]))[: len(items) - start])
    return np.concatenate(results)


def _probe_blocks(
    evaluate: Callable[[Any], Array], grid: Grid, indices: np.ndarray, chunk: int
) -> tuple[np.ndarray, np.ndarray]:
    """Value and slope of the field at each block's centre, [B] each.

    The slope is that of differences over one cell: it needs no derivative of the field, which at
    the kink of an exact distance may not exist.
    """
    steps = np.vstack([np.zeros(3), grid.cell * np.eye(3)])

    def probe(rows: np.ndarray) -> np.ndarray:
        points = _block_centres(grid, rows)[:, None] + steps
        return _finite_values(evaluate, points.reshape(-1, 3)).reshape(-1, 4)

    values = in_chunks(probe, indices, chunk // 4, "finding the surface")
    slopes = np.linalg.norm(values[:, 1:] - values[:, :1], axis=-1) / grid.cell
    return values[:, 0], slopes


def _block_values(
    evaluate: Callable[[Any], Array], grid: Grid, indices: np.ndarray, chunk: int
) -> np.ndarray:
    """The field at all points of the given blocks, [B, BLOCK, BLOCK, BLOCK]."""
    axis = grid_axis(grid)
    local = np.indices((BLOCK,) * 3).reshape(3, -1).T

    def sample(rows: np.ndarray) -> np.ndarray:
        points = axis[(BLOCK * rows[:, None] + local).reshape(-1, 3)]
        return _finite_values(evaluate, points).reshape(-1, BLOCK, BLOCK, BLOCK)

    return in_chunks(sample, indices, chunk // BLOCK**3, "sampling the field")


def _finite_values(evaluate: Callable[[Any], Array], points: np.ndarray) -> np.ndarray:
    values = np.asarray(evaluate(points.astype(np.float32)))
    finite = np.isfinite(values)
    if not finite.all():
        raise Mistake(
            f"the field is not finite, for one at {points[~finite][0].tolist()} (scene frame); "
            "expected a number everywhere in the bounding sphere",
            remedy="take an earlier checkpoint",
        )
    return values


def _block_centres(grid: Grid, indices: np.ndarray) -> np.ndarray:
    return grid.lower + grid.cell * (BLOCK * indices + (BLOCK - 1) / 2)


def _by_block(values: np.ndarray) -> np.ndarray:
    """A view of a grid as [b, b, b, BLOCK, BLOCK, BLOCK]."""
    b = len(values) // BLOCK
    return values.reshape(b, BLOCK, b, BLOCK, b, BLOCK).transpose(0, 2, 4, 1, 3, 5)


def _mixed_blocks(negative: Bool[np.ndarray, "n n n"]) -> Bool[np.ndarray, "b b b"]:
    """Blocks that own a corner of a cell whose corners differ in sign."""
    some = every = negative
    for axis in range(3):
        some = np.logical_or(*_neighbours(some, axis))
        every = np.logical_and(*_neighbours(every, axis))
    corners = np.pad(some & ~every, 1)
    for axis in range(3):
        corners = np.logical_or(*_neighbours(corners, axis))
    return np.asarray(_by_block(corners).any(axis=(3, 4, 5)))


def _neighbours(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Each value and the next one along an axis."""
    moved = np.moveaxis(values, axis, 0)
    return np.moveaxis(moved[:-1], 0, axis), np.moveaxis(moved[1:], 0, axis)
