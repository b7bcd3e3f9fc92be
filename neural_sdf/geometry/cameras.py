"""Pinhole cameras.

Conventions of the whole project: OpenCV camera axes (x right, y down, z forward); a pose is
`world_from_camera`, rigid, [4, 4]; pixel coordinates are (column, row) with the centre of the
top-left pixel at (0.5, 0.5); the intrinsic matrix is K = [[fx, skew, cx], [0, fy, cy], [0, 0, 1]]
in pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float


class Rays(NamedTuple):
    """Half-lines x(t) = origin + t · direction.

    Attributes:
        origins: [..., 3].
        directions: unit length, [..., 3].
    """

    origins: Float[Array, "*batch 3"]
    directions: Float[Array, "*batch 3"]


def pixel_rays(
    intrinsics: Float[ArrayLike, "*#batch 3 3"],
    world_from_camera: Float[ArrayLike, "*#batch 4 4"],
    pixels: Float[ArrayLike, "*#batch 2"],
) -> Rays:
    """Rays from the camera centre through image points, differentiable in every argument.

    Args:
        intrinsics: K, in pixels, [..., 3, 3].
        world_from_camera: rigid pose, [..., 4, 4].
        pixels: (column, row), half-pixel centres, [..., 2].

    Returns:
        Rays in the world frame; the direction is normalised inside, so its derivative is too.
    """
    K, pose, pixels = jnp.asarray(intrinsics), jnp.asarray(world_from_camera), jnp.asarray(pixels)
    y = (pixels[..., 1] - K[..., 1, 2]) / K[..., 1, 1]
    x = (pixels[..., 0] - K[..., 0, 2] - K[..., 0, 1] * y) / K[..., 0, 0]
    local = jnp.stack([x, y, jnp.ones_like(x)], axis=-1)
    local = local / jnp.linalg.norm(local, axis=-1, keepdims=True)
    directions = jnp.sum(pose[..., :3, :3] * local[..., None, :], axis=-1)
    return Rays(jnp.broadcast_to(pose[..., :3, 3], directions.shape), directions)


def project(
    intrinsics: Float[ArrayLike, "*#batch 3 3"],
    world_from_camera: Float[ArrayLike, "*#batch 4 4"],
    points: Float[ArrayLike, "*#batch 3"],
) -> tuple[Float[Array, "*n 2"], Float[Array, "*n"]]:
    """Image points of world points, and their depth along the optical axis.

    A point on the plane of the camera centre has depth 0 and no image: its pixel is not finite.

    Returns:
        pixels: (column, row), [..., 2].
        depth: z in the camera frame, negative behind the camera, world units, [...].
    """
    K, pose, points = jnp.asarray(intrinsics), jnp.asarray(world_from_camera), jnp.asarray(points)
    offset = points - pose[..., :3, 3]
    local = jnp.sum(pose[..., :3, :3] * offset[..., :, None], axis=-2)  # Rᵀ · offset
    image = jnp.sum(K * local[..., None, :], axis=-1)
    return image[..., :2] / image[..., 2:], local[..., 2]
