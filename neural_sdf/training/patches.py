"""Photos compared with each other where rays hit: patches, mapped by the surface's own plane."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float

from neural_sdf.geometry import Rays, project
from neural_sdf.rendering import Rendering
from neural_sdf.scenes import Batch, Pyramid

SHARE = 4  # one ray in so many is compared
RADIUS = 1  # of a patch, pixels of a level
NOISE = 3 * 0.02**2  # variance of a patch's colours that says nothing, summed over channels
# Least cosine between the normal and a line along which a photo is compared. Beyond, a patch spans
# so much of a round thing that no plane fits it, and limbs are eaten.
FACING = 0.5
FINE = 0.5  # share of the run after which photos are compared at their own size


class Compared(NamedTuple):
    """How alike photos are where the first rays of a batch hit.

    Attributes:
        correlation: of a patch with each neighbour's, in [-1, 1], [M, S].
        seen: whether that may count: both photos show the object there, from the front, [M, S].
    """

    correlation: Float[Array, "M S"]
    seen: Bool[Array, "M S"]


def compare(
    pyramid: Pyramid,
    rays_of: Callable[[Batch], Rays],
    batch: Batch,
    rays: Rays,
    rendering: Rendering,
    share: Float[Array, ""],
) -> Compared:
    """Patches of photos against what their neighbours show of the planes at the hits.

    The pixels of a patch are met with the tangent plane at the hit, and the places projected into
    the neighbours: the homography of a plane, as in Geo-NeuS (Fu et al. 2022). Differentiable in
    hits, normals and the rays' cameras. Photos are compared at ever larger sizes in the course of a
    run: a patch of small ones finds its way from farther off.

    Args:
        pyramid: the photos.
        rays_of: a batch's cameras and pixels -> rays, of which `rays` were made.
        batch: [N], of which the first N / 4 are compared.
        rays: of it.
        rendering: of them.
        share: of the run that is done, in [0, 1].
    """
    num_levels = len(pyramid.blocks)
    coarse = jnp.floor(num_levels * (1 - share / FINE))
    level = jnp.clip(coarse, 0, num_levels - 1).astype(jnp.int32)
    first, rays, depth, normal = jax.tree.map(
        lambda x: x[: len(batch.view) // SHARE], (batch, rays, rendering.depth, rendering.normal)
    )
    side = np.arange(-RADIUS, RADIUS + 1)
    around = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 1, 2)
    pixels = first.pixels + around * pyramid.blocks[level].astype(first.pixels.dtype)
    origins, directions = jax.vmap(lambda at: rays_of(first._replace(pixels=at)))(pixels)
    points = rays.origins + depth[:, None] * rays.directions
    cosine = jnp.sum(normal * directions, axis=-1)  # [K, M]
    in_front = cosine < -FACING
    t = jnp.sum(normal * (points - origins), axis=-1) / jnp.where(in_front, cosine, -1.0)
    places = origins + t[..., None] * directions

    own, own_shown = pyramid.sample(level, first.view, pixels)
    others = pyramid.neighbours[first.view]  # [M, S]
    poses = pyramid.scene_from_camera[others]
    image, ahead = project(pyramid.intrinsics[others], poses, places[:, :, None])
    shown = ahead > 1e-6
    theirs, on_object = pyramid.sample(level, others, jnp.where(shown[..., None], image, -1.0))
    away = poses[..., :3, 3] - points[:, None]
    faces = jnp.sum(normal[:, None] * away, axis=-1) > FACING * jnp.linalg.norm(away, axis=-1)
    both = (in_front & own_shown)[..., None] & shown & on_object
    return Compared(_correlation(own[:, :, None], theirs), both.all(axis=0) & faces)


def _correlation(a: Float[Array, "K M #S 3"], b: Float[Array, "K M S 3"]) -> Float[Array, "M S"]:
    """Normalised cross-correlation over patch and channels, each channel about its own mean."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    common, own, other = (jnp.sum(x * y, axis=-1).mean(axis=0) for x, y in ((a, b), (a, a), (b, b)))
    return common / jnp.sqrt((own + NOISE) * (other + NOISE))
