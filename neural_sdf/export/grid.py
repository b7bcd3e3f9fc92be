"""Samples of a field on a regular grid, taken only where the surface can be.

Nearly all the cost of a mesh is the field's evaluation, and nearly all of a dense grid is far from
the surface. The grid is therefore cut into blocks of 8 points a side. With L a bound of the field's
slope and h the greatest distance from a block's centre c to a point of its cells, |f(c)| > L h
excludes the surface from the block; it is then filled with f(c), which has the right sign.

L is 1.5 times the greatest slope met at the blocks' centres, so it is an estimate. What makes the
result safe is the second rule: a cell whose corners differ in sign must have all its corners
evaluated (`blocks`). Blocks that break it are evaluated and the rule is applied again, so that a
surface that is entered anywhere is followed to its end and no border between evaluated and skipped
blocks can show up as a surface. What can be missed is a whole closed piece that no examined block
touches.

Only evaluated blocks are stored, and a few numbers of each other one: memory goes with the surface.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from jaxtyping import Float, Int
from rich.console import Console
from rich.progress import track

from neural_sdf.export.blocks import BLOCK, junctions, mixed_blocks
from neural_sdf.mistake import Mistake

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
    """A field on a grid, with all its points where the surface can be.

    Attributes:
        centres: the field at each block's centre, [b, b, b]; all points of a block that is not
            stored count as this, which has their sign.
        place: where in `blocks` each block is stored, or −1, [b, b, b].
        blocks: the field at all points of the stored blocks, [K, BLOCK, BLOCK, BLOCK].
        slope: greatest slope met at the blocks' centres, field units per length.
        num_evaluations: how often the field was evaluated.
    """

    centres: Float[np.ndarray, "b b b"]
    place: Int[np.ndarray, "b b b"]
    blocks: Float[np.ndarray, "K 8 8 8"]
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


def sphere_values(
    grid: Grid, radius: float, *indices: Int[np.ndarray, "..."]
) -> Float[np.ndarray, "..."]:
    """|x| − radius at points of the grid, float32.

    Args:
        grid: of the points.
        radius: of the sphere.
        indices: of the points along the three axes; they broadcast.
    """
    squared = np.square(grid_axis(grid)).astype(np.float32)
    x, y, z = (squared[index] for index in indices)
    total = x + y + z
    return np.sqrt(total, out=total) - np.float32(radius)


def sample_field(
    sdf: Callable[[Any, Array], Array],
    params: Any,
    grid: Grid,
    radius: float,
    chunk: int,
) -> Samples:
    """The field on the grid, with all points where its surface inside the bounding sphere can be.

    Args:
        sdf: jittable, negative inside; any slope.
        params: its parameters.
        grid: where to sample.
        radius: of the bounding sphere about the origin.
        chunk: points per evaluation, a multiple of BLOCK³; one compiled program serves all.

    Raises:
        Mistake: if the field has one sign in the whole sphere, or is not finite.
    """
    evaluate = partial(jax.jit(partial(grid_values, sdf)), params)
    centres, slopes = _probe_blocks(evaluate, grid, chunk)
    distance = _centre_distances(grid) - radius
    reach = np.sqrt(3) * (BLOCK + 1) / 2 * grid.cell
    slope = float(slopes[distance <= reach].max()) or 1.0  # a field of steps has none anywhere
    margin = _SLOPE_MARGIN * slope * reach
    empty = (centres > margin) | (distance > reach)
    full = (centres < -margin) & (distance < -reach)

    place = np.full(centres.shape, -1, np.int32)
    parts, negative = [], np.empty((0, BLOCK, BLOCK, BLOCK), bool)
    wanted = ~(empty | full) | junctions(empty, full)
    while wanted.any():
        rows = np.argwhere(wanted)
        place[wanted] = len(negative) + np.arange(len(rows))
        parts.append(_block_values(evaluate, grid, rows, chunk))
        negative = np.concatenate([negative, _is_solid(parts[-1], rows, grid, radius)])
        wanted = mixed_blocks(negative, place, full, rows) & (place < 0)
    blocks = np.concatenate(parts) if parts else np.empty(negative.shape, np.float32)
    solid = bool(negative.any() or full.any())
    _require_both_signs(centres[distance <= reach], blocks, solid, radius)
    return Samples(centres, place, blocks, slope, 4 * centres.size + blocks.size)


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
    evaluate: Callable[[Any], Array], grid: Grid, chunk: int
) -> tuple[np.ndarray, np.ndarray]:
    """Value and slope of the field at each block's centre, [b, b, b] each.

    The slope is that of differences over one cell: it needs no derivative of the field, which at
    the kink of an exact distance may not exist.
    """
    shape = (grid.num_blocks,) * 3
    steps = np.vstack([np.zeros(3), grid.cell * np.eye(3)])

    def probe(blocks: np.ndarray) -> np.ndarray:
        rows = np.stack(np.unravel_index(blocks, shape), axis=-1)
        points = _block_centres(grid, rows)[:, None] + steps
        values = _finite_values(evaluate, points.reshape(-1, 3)).reshape(-1, 4)
        slopes = np.linalg.norm(values[:, 1:] - values[:, :1], axis=-1) / grid.cell
        return np.stack([values[:, 0], slopes.astype(np.float32)], axis=-1)

    found = in_chunks(probe, np.arange(grid.num_blocks**3), chunk // 4, "finding the surface")
    return found[:, 0].reshape(shape), found[:, 1].reshape(shape)


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


def _centre_distances(grid: Grid) -> np.ndarray:
    """How far each block's centre is from the origin, [b, b, b]."""
    squared = np.square(_block_centres(grid, np.arange(grid.num_blocks)))
    return np.sqrt(squared[:, None, None] + squared[:, None] + squared)


def _is_solid(values: np.ndarray, rows: np.ndarray, grid: Grid, radius: float) -> np.ndarray:
    """Which points of the given blocks are in the solid, the bounding sphere's part of it."""
    index = (BLOCK * rows[:, :, None] + np.arange(BLOCK))[..., None, None]
    x, y, z = index[:, 0], index[:, 1].swapaxes(1, 2), index[:, 2].swapaxes(1, 3)
    return (values < 0) & (sphere_values(grid, radius, x, y, z) < 0)


def _require_both_signs(
    centres: np.ndarray, blocks: np.ndarray, solid: bool, radius: float
) -> None:
    ends = [part for part in (centres, blocks) if part.size]
    least, greatest = min(x.min() for x in ends), max(x.max() for x in ends)
    if solid and greatest >= 0:
        return
    share, cure = (
        ("100%", "everything is inside: the object fills the bounds; train with a larger region")
        if solid
        else ("0%", "everything is outside: train longer, or check masks and cameras")
    )
    raise Mistake(
        f"the field has no surface in the sphere of radius {radius:g}: it runs from {least:.4g} to"
        f" {greatest:.4g} and {share} of the sphere is negative; a mesh needs both signs",
        remedy=cure,
    )
