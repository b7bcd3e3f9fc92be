"""Points in space at which a step asks the field for its distance and gradient, beside its hits."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float

from neural_sdf.geometry import Rays, clip_to_sphere
from neural_sdf.scenes import Batch


class Known(NamedTuple):
    """What photos agree on along the rays of a batch; distances along them, 0 where unknown.

    Attributes:
        surface: where something is, scene units, [N].
        tolerance: of that, scene units, [N].
        clear: up to where nothing is, scene units, [N].
    """

    surface: Float[Array, " N"]
    tolerance: Float[Array, " N"]
    clear: Float[Array, " N"]


class Probes(NamedTuple):
    """Points, and what is known of them.

    Attributes:
        points: scene units, [M, 3].
        tolerance: how far from it they may be, scene units, [M].
        on_surface: whether photos agree that the surface is there, [M].
        in_clear: whether they agree that nothing is, [M].
        off_object: whether a mask says that nothing is, [M].
        weights: of sparse points; 0 of all others, [M].
    """

    points: Float[Array, "M 3"]
    tolerance: Float[Array, " M"]
    on_surface: Bool[Array, " M"]
    in_clear: Bool[Array, " M"]
    off_object: Bool[Array, " M"]
    weights: Float[Array, " M"]


def known_along(batch: Batch, rays: Rays) -> Known:
    """The batch's depths, which are along the optical axes, as distances along its rays."""
    cosine = jnp.sum(rays.directions * batch.scene_from_camera[:, :3, 2], axis=-1)
    return Known(batch.surface / cosine, batch.tolerance / cosine, batch.clear / cosine)


def probes(batch: Batch, rays: Rays, known: Known, *, passing: bool) -> Probes:
    """The batch's points, those of rays with a known depth moved onto these.

    Point i is of ray i. Of rays that know, every other point goes to the surface and every other
    into the clear, more of them the nearer to its end (density in t as t itself). Of rays off the
    object, every other goes anywhere along them if `passing`. All others stay where they are,
    uniform in the cube or sparse points of the object.
    """
    count = len(batch.points)
    origins, directions, surface, tolerance, clear = (x[:count] for x in (*rays, *known))
    even, sparse = jnp.arange(count) % 2 == 0, batch.point_weights > 0
    on_surface = even & (surface > 0) & ~sparse
    near, far, meets = clip_to_sphere(origins, directions)
    off_object = passing & ~even & ~batch.mask[:count] & meets & ~sparse
    in_clear = ~even & (clear > near) & ~sparse & ~off_object
    chance = (batch.points[:, 0] + 1) / 2
    t = jnp.where(on_surface, surface, near + jnp.sqrt(chance) * (clear - near))
    t = jnp.where(off_object, near + chance * (far - near), t)
    moved = (on_surface | in_clear | off_object)[:, None]
    points = jnp.where(moved, origins + t[:, None] * directions, batch.points)
    return Probes(points, tolerance, on_surface, in_clear, off_object, batch.point_weights)
