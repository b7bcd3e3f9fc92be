"""A small network on grid features: cheaper than `mlp`, and finer where the table is large."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from neural_sdf.fields.activations import squareplus
from neural_sdf.fields.encodings import positional_encoding
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
    radiance_levels: int = 0,
    radiance_coarsest: int = 16,
    radiance_finest: int = 512,
    radiance_table_size: int = 2**16,
) -> Field:
    """The point and its `grid_encoding` through a squareplus network; colour as in `mlp`.

    Colour may have a grid of its own, finer than that of the shape: it is asked once a ray, where
    the march asks the shape's many times.

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
        radiance_levels: of the colour's own grid; 0 for none.
        radiance_coarsest: cells along an edge at its first level.
        radiance_finest: at its last.
        radiance_table_size: the most rows that a level of it may have.

    Raises:
        Mistake: sizes that make no network or no grid, or no sphere to start from.
    """
    check_sizes(
        {
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
    grid = _grid("", num_levels, coarsest, finest, table_size)
    radiance_grid = None
    if radiance_levels:
        sizes = radiance_levels, radiance_coarsest, radiance_finest, radiance_table_size
        radiance_grid = _grid("radiance_", *sizes)

    def build(rngs: nnx.Rngs) -> Network:
        sizes = [3 + num_levels * level_features, *[width] * depth, num_features]
        *hidden, feature = normal_kernels(rngs, list(itertools.pairwise(sizes)))
        geometry = Geometry(
            _WithGrid(lambda points: points, grid, level_features),
            [kernel * jnp.sqrt(2 / width) for kernel in hidden],
            skip=0,
            feature_kernel=feature / jnp.sqrt(width),
            radius=radius,
            activation=squareplus,
        )
        place = functools.partial(positional_encoding, num_octaves=point_octaves)
        if radiance_grid is not None:
            place = _WithGrid(place, radiance_grid, level_features)
        appearance = Appearance(
            place,
            functools.partial(positional_encoding, num_octaves=direction_octaves),
            num_features=num_features,
            width=radiance_width,
            depth=radiance_depth,
            rngs=rngs,
        )
        return Network(geometry, appearance)

    field = field_from_module(build)
    field = field._replace(anneal=functools.partial(_annealed, grid, radiance_grid))
    return field if radiance_grid is None else field._replace(painted=_painted)


def _grid(prefix: str, num_levels: int, coarsest: int, finest: int, table_size: int) -> Grid:
    """The grid of four settings, refused by their names, which begin with a prefix."""
    settings = {"num_levels": num_levels, "coarsest": coarsest, "table_size": table_size}
    if prefix:
        settings["levels"] = settings.pop("num_levels")
    check_sizes({prefix + name: size for name, size in settings.items()})
    if finest < coarsest:
        raise Mistake(
            f"field {prefix}finest is {finest} with {prefix}coarsest {coarsest}; expected at least"
            " as much",
            setting=f"{prefix}finest",
        )
    return geometric_grid(num_levels, coarsest, finest, table_size)


def _annealed(shape: Grid, colour: Grid | None, updates: Any, share: Array) -> Any:
    """Updates without those of levels that are still closed."""
    updates = jax.tree.map(lambda x: x, updates)  # new dictionaries
    _open(updates["geometry"]["encoding"], shape, share)
    if colour is not None:
        _open(updates["appearance"]["place"], colour, share)
    return updates


def _painted(params: Any) -> Any:
    """The table of the colour's own grid."""
    chosen = jax.tree.map(lambda _: False, params)
    chosen["appearance"]["place"]["table"] = True
    return chosen


def _open(encoding: dict[str, Array], grid: Grid, share: Array) -> None:
    table = encoding["table"]
    opened = opened_levels(share, len(grid.num_rows)).astype(table.dtype)
    level_of_row = np.repeat(np.arange(len(grid.num_rows)), grid.num_rows)
    encoding["table"] = opened[level_of_row][:, None] * table


class _WithGrid(nnx.Module):
    """What an encoding says of points, and a grid's features of them."""

    def __init__(self, encoding: Callable[[Array], Array], grid: Grid, level_features: int):
        self.encoding = encoding
        self.grid = grid
        self.table = nnx.Param(jnp.zeros((sum(grid.num_rows), level_features)))

    def __call__(self, points: Array) -> Array:
        features = grid_encoding(self.table[...], points, self.grid)
        return jnp.concatenate([self.encoding(points), features], axis=-1)
