"""The Cornell box as signed distances: three walls, floor, ceiling, two blocks and a light.

After Goral et al. (1984), in a room 4 wide, high and deep: floor y = 0, ceiling y = 4, back wall
z = 4, red wall x = −2, green wall x = 2, open at z = 0; the camera at (0, 2, −3.5) looks along +z.
Frames being right-handed, +x is to the left of the picture and the red wall on its right. The tall
block is a mirror, the short one glossy, all else diffuse.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from neural_sdf.geometry import shapes
from neural_sdf.light.pathtrace import DIFFUSE, GLOSSY, MIRROR, AreaLight, Material

OBJECTS = ("floor", "ceiling", "back", "red", "green", "tall", "short")
"""The order of the objects in `distances` and `params["albedo"]`."""
_KINDS = (*[DIFFUSE] * 5, MIRROR, GLOSSY)

RADIUS = 7.0
"""Of a sphere about the origin that holds everything, for `path_trace`."""
SCENE_FROM_CAMERA = np.array(
    [[-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 2.0], [0.0, 0.0, 1.0, -3.5], [0.0, 0.0, 0.0, 1.0]]
)
"""OpenCV pose of the camera, [4, 4]."""
_FOCAL = 0.88  # over the image size: the open side just fills the picture

_HALF_TALL, _HALF_SHORT = (0.6, 1.2, 0.6), (0.6, 0.6, 0.6)
_HALF_LIGHT = 0.5
_WALL = 0.2  # thickness

SKY = np.array([0.22, 0.27, 0.34])
"""Radiance of the environment, which comes in at the open side."""
LEAST_STEP = 1e-2
"""Of the march, for `path_trace`: nothing here is thinner, and rays along a wall need fewer."""


def intrinsics(size: int) -> Float[np.ndarray, "3 3"]:
    """K of a square picture of `size` pixels."""
    return np.array([[_FOCAL * size, 0, size / 2], [0, _FOCAL * size, size / 2], [0, 0, 1]])


def default_params() -> dict[str, Any]:
    """What can be learned or changed, in scene units and radians.

    `albedo` has a row for each of OBJECTS, [7, 3]; `roughness` is the short block's; `light` is the
    radiance of the light, [3]; `tall` and `short` are x and z of a block's middle and its turn
    about y, [3].
    """
    white, red, green = [0.73, 0.73, 0.73], [0.63, 0.06, 0.05], [0.14, 0.45, 0.09]
    return {
        "albedo": jnp.array([white, white, white, red, green, [0.9, 0.9, 0.9], [0.9, 0.8, 0.55]]),
        "roughness": jnp.array(0.3),
        "light": jnp.array([17.0, 14.0, 10.0]),
        "tall": jnp.array([0.75, 2.6, -0.6]),
        "short": jnp.array([-0.7, 1.25, -0.3]),
    }


def distances(params: dict[str, Any], points: Float[Array, "N 3"]) -> Float[Array, "7 N"]:
    """Distance to each object, negative inside."""
    x, y, z = points[:, 0], points[:, 1], points[:, 2]
    middle, half_sizes = [0.0, 2.0, 2 + _WALL / 2], [2 + _WALL, 2 + _WALL, 2 + _WALL / 2]
    shell = shapes.box(points - jnp.array(middle), jnp.array(half_sizes))
    walls = [jnp.maximum(shell, wall) for wall in (y, 4 - y, 4 - z, x + 2, 2 - x)]
    tall = _block(params["tall"], _HALF_TALL, points)
    return jnp.stack([*walls, tall, _block(params["short"], _HALF_SHORT, points)])


def sdf(params: dict[str, Any], points: Float[Array, "N 3"]) -> Float[Array, " N"]:
    """Distance to the nearest object: a hard union, negative inside walls and blocks."""
    return jnp.min(distances(params, points), axis=0)


def material(
    params: dict[str, Any],
    points: Float[Array, "N 3"],
    normals: Float[Array, "N 3"],
    directions: Float[Array, "N 3"],
) -> Material:
    """The material of the nearest object; nothing but the light shines."""
    del normals, directions
    nearest = jnp.argmin(distances(params, points), axis=0)
    return Material(
        albedo=params["albedo"][nearest],
        emission=jnp.zeros_like(points),
        kind=jnp.array(_KINDS)[nearest],
        roughness=jnp.broadcast_to(params["roughness"], nearest.shape),
    )


def light(params: dict[str, Any]) -> AreaLight:
    """The light, a square just under the ceiling that shines downwards."""
    return AreaLight(
        centre=jnp.array([0.0, 3.9, 2.0]),
        half_u=jnp.array([_HALF_LIGHT, 0.0, 0.0]),
        half_v=jnp.array([0.0, 0.0, _HALF_LIGHT]),
        radiance=params["light"],
    )


def _block(
    place: Float[Array, "3"], half_sizes: tuple[float, float, float], points: Float[Array, "N 3"]
) -> Float[Array, " N"]:
    """Distance to a block on the floor; see `default_params` for `place`."""
    cosine, sine = jnp.cos(place[2]), jnp.sin(place[2])
    x, z = points[:, 0] - place[0], points[:, 2] - place[1]
    local = [cosine * x + sine * z, points[:, 1] - half_sizes[1], cosine * z - sine * x]
    return shapes.box(jnp.stack(local, axis=-1), jnp.array(half_sizes))
