"""A small network on grid features: cheaper than `mlp`, and finer where the table is large."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Int

from neural_sdf.fields.activations import squareplus
from neural_sdf.fields.field import Field, field_from_module
from neural_sdf.fields.grid import Grid, geometric_grid, grid_encoding, opened_levels
from neural_sdf.fields.networks import (
    Appearance,
    Geometry,
    Network,
    check_octaves,
    check_radius,
    check_sizes,
    normal_kernels,
)
from neural_sdf.mistake import Mistake


def hash_grid(
    *,
    num_levels: int = 16,
    coarsest: int = 3,
    finest: int = 128,
    table_size: int = 2**15,
    level_features: int = 2,
    width: int = 64,
    depth: int = 1,
    num_features: int = 64,
    radius: float = 0.6,
    radiance_width: int = 128,
    radiance_depth: int = 2,
    point_octaves: int = 0,
    direction_octaves: int = 4,
) -> Field:
    """The point and its `grid_encoding` through a squareplus network; colour as in `mlp`.

    All grid features start at zero, so a level whose updates `Field.anneal` still holds back does
    not act at all: coarse to fine, as in Neuralangelo (Li et al. 2023, section 3.2), without a
    window that a checkpoint would have to remember.

    Args:
        num_levels: L. Many levels of odd ratios serve a surface better than a few that double: the
            quintic is flat at every vertex, and vertices that coincide make stairs of a slope.
        coarsest: cells along an edge of the cube [−1, 1]³ at the first level.
        finest: at the last.
        table_size: the most rows a level may have; one with more vertices is hashed.
        level_features: numbers a vertex.
        width: of the hidden layers.
        depth: how many of them.
        num_features: F, for the colour network.
        radius: of the sphere that a fresh field is, scene units.
        radiance_width: of the colour network's hidden layers.
        radiance_depth: how many of them.
        point_octaves: of the encoding of the point for the colour network.
        direction_octaves: of the encoding of the direction.

    Raises:
        Mistake: sizes that make no network or no grid, or no sphere to start from.
    """
    check_sizes(
        {
            "num_levels": num_levels,
            "coarsest": coarsest,
            "table_size": table_size,
            "level_features": level_features,
            "width": width,
            "depth": depth,
            "num_features": num_features,
            "radiance_width": radiance_width,
            "radiance_depth": radiance_depth,
        }
    )
    check_octaves({"point_octaves": point_octaves, "direction_octaves": direction_octaves})
    check_radius(radius)
    if finest < coarsest:
        raise Mistake(
            f"field finest is {finest} with coarsest {coarsest}; expected at least as much",
            setting="finest",
        )
    grid = geometric_grid(num_levels, coarsest, finest, table_size)
    level_of_row = np.repeat(np.arange(num_levels), grid.num_rows)

    def build(rngs: nnx.Rngs) -> Network:
        sizes = [3 + num_levels * level_features, *[width] * depth, num_features]
        *hidden, feature = normal_kernels(rngs, list(itertools.pairwise(sizes)))
        geometry = Geometry(
            _PointAndGrid(grid, level_features),
            [kernel * jnp.sqrt(2 / width) for kernel in hidden],
            skip=0,
            feature_kernel=feature / jnp.sqrt(width),
            radius=radius,
            activation=squareplus,
        )
        appearance = Appearance(
            num_features=num_features,
            width=radiance_width,
            depth=radiance_depth,
            octaves=(point_octaves, direction_octaves),
            rngs=rngs,
        )
        return Network(geometry, appearance)

    field = field_from_module(build)
    return field._replace(anneal=functools.partial(_annealed, level_of_row))


def _annealed(level_of_row: Int[np.ndarray, " rows"], updates: Any, share: Array) -> Any:
    """Updates of the table without those of levels that are still closed."""
    geometry = updates["geometry"]
    table = geometry["encoding"]["table"]
    opened = opened_levels(share, 1 + int(level_of_row[-1])).astype(table.dtype)[level_of_row]
    return {**updates, "geometry": {**geometry, "encoding": {"table": opened[:, None] * table}}}


class _PointAndGrid(nnx.Module):
    def __init__(self, grid: Grid, level_features: int):
        self.grid = grid
        self.table = nnx.Param(jnp.zeros((sum(grid.num_rows), level_features)))

    def __call__(self, points: Array) -> Array:
        features = grid_encoding(self.table[...], points, self.grid)
        return jnp.concatenate([points, features], axis=-1)
