"""Features of a point, interpolated from grids of several resolutions (Müller et al. 2022).

A linear interpolation has a gradient that jumps from cell to cell and no second derivative, and a
loss on |∇f| needs one. Here each coordinate's share t of its cell goes through the quintic
6 t⁵ − 15 t⁴ + 10 t³ (Perlin 2002), whose first two derivatives vanish at both ends. The features
are so twice continuously differentiable in all of space, and constant outwards of the cube.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

# Müller et al. 2022, eq. 4, after Teschner et al. 2003; products wrap around at 2³².
_PRIMES = (1, 2_654_435_761, 805_459_861)


class Grid(NamedTuple):
    """Levels from coarse to fine, and how many rows of the common table are each one's own.

    Attributes:
        resolutions: cells along an edge of the cube [−1, 1]³, L of them.
        num_rows: (resolution + 1)³ for a dense level, one row a vertex; fewer for a hashed one.
    """

    resolutions: tuple[int, ...]
    num_rows: tuple[int, ...]


def geometric_grid(num_levels: int, coarsest: int, finest: int, table_size: int) -> Grid:
    """Resolutions in geometric progression; a level is hashed when it has too many vertices.

    >>> geometric_grid(3, 2, 8, 200)
    Grid(resolutions=(2, 4, 8), num_rows=(27, 125, 200))

    Args:
        num_levels: L.
        coarsest: resolution of the first level.
        finest: of the last.
        table_size: the most rows a level may have.
    """
    resolutions = np.geomspace(coarsest, finest, num_levels).round().astype(int).tolist()
    return Grid(tuple(resolutions), tuple(min((r + 1) ** 3, table_size) for r in resolutions))


def grid_encoding(
    table: Float[Array, "R F"], points: Float[Array, "N 3"], grid: Grid
) -> Float[Array, "N m"]:
    """What the table holds about points: of each level F features, coarse to fine, [N, L F].

    Differentiable in table and points, any number of times; in points twice continuously.

    Args:
        table: the rows of all levels, coarse to fine, R = sum(grid.num_rows).
        points: in the cube [−1, 1]³; beyond it the nearest face's features hold.
        grid: the levels.
    """
    resolutions = np.array(grid.resolutions)[:, None]
    place = (jnp.clip(points, -1.0, 1.0)[:, None] + 1) * (resolutions / 2).astype(points.dtype)
    # The last vertex of an edge belongs to the last cell.
    cell = jnp.minimum(jnp.floor(place), (resolutions - 1).astype(points.dtype))
    t = place - cell
    high = t**3 * (t * (6 * t - 15) + 10)
    x, y, z = jnp.moveaxis(jnp.stack([1 - high, high], axis=-1), 2, 0)  # each [N, L, 2]
    weights = x[..., :, None, None] * y[..., None, :, None] * z[..., None, None, :]
    rows = vertex_rows(cell.astype(jnp.int32), grid)
    # One gather of every corner of every level, so one scatter-add in its transpose; the product
    # with eight corners first and features last is the fastest of the layouts tried on a CPU.
    corners = table.at[rows].get(mode="clip")
    weights = weights.reshape(rows.shape)
    features = jnp.einsum("nlc,nlcf->nlf", weights, corners, precision="highest")
    return features.reshape(len(points), -1)


def vertex_rows(cell: Int[Array, "N L 3"], grid: Grid) -> Int[Array, "N L 8"]:
    """Table rows of the eight corners of cells, the corner's z counting fastest.

    A dense level counts its vertices with x fastest; a hashed one takes the exclusive or of the
    coordinates, each times a prime, modulo its rows.
    """
    num_rows = np.array(grid.num_rows)
    edges = np.array(grid.resolutions) + 1
    num_dense = int(np.sum(num_rows == edges**3))  # the first ones
    strides = np.stack([edges**0, edges, edges**2], axis=-1)
    strides[num_dense:] = _PRIMES
    strides = strides.astype(np.uint32)
    low = cell.astype(jnp.uint32) * strides
    x, y, z = jnp.moveaxis(jnp.stack([low, low + strides], axis=-1), 2, 0)  # each [N, L, 2]
    x, y, z = x[..., :, None, None], y[..., None, :, None], z[..., None, None, :]
    dense = (x + y + z)[:, :num_dense]
    hashed = (x ^ y ^ z)[:, num_dense:] % num_rows[num_dense:, None, None, None].astype(np.uint32)
    within = jnp.concatenate([dense, hashed], axis=1).reshape(*cell.shape[:2], 8)
    first = np.cumsum(num_rows) - num_rows
    return within.astype(jnp.int32) + first[:, None].astype(np.int32)


def opened_levels(share: Float[Array, ""], num_levels: int) -> Float[Array, " L"]:
    """How far each level is open, in [0, 1], after a share of a run: from coarse to fine.

    The first is open from the start; each further one opens evenly in 1/(2 L) of the run, after the
    one before it. The last is open before half of the run.
    """
    return jnp.clip(2 * num_levels * share - jnp.arange(num_levels) + 1, 0.0, 1.0)
