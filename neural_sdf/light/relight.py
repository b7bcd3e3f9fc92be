"""A trained field under the path tracer: its radiance taken for paint, or for light of its own.

A field knows colours as photos store them (sRGB); light adds up in linear values, so they are
decoded here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from neural_sdf.fields import Field
from neural_sdf.light.pathtrace import DIFFUSE, AreaLight, Material
from neural_sdf.scenes.colour import linear_from_srgb

_SKY = 0.35  # radiance all round, with the studio light
# Of the studio light, scene units: white paint that faces it comes near to white in the picture.
_LIGHT_DISTANCE, _LIGHT_HALF, _LIGHT_RADIANCE = 2.2, 0.7, 7.0


class Setting(NamedTuple):
    """What `path_trace` needs besides the shape.

    Attributes:
        material: of the surface.
        light: or None.
        environment: linear radiance of what meets nothing, [3].
    """

    material: Callable[[Any, Array, Array, Array], Material]
    light: AreaLight | None
    environment: Float[np.ndarray, "3"]


def as_albedo(
    field: Field,
    scene_from_camera: Float[np.ndarray, "4 4"],
    background: Float[np.ndarray, "3"],
) -> Setting:
    """Diffuse paint of the colour that is seen along the normal, in a studio.

    The light of the photos is still in that colour; the studio's comes on top of it.
    """
    del background

    def material(params: Any, points: Array, normals: Array, directions: Array) -> Material:
        del directions
        albedo = _linear_radiance(field, params, points, -normals)
        return _diffuse(albedo, jnp.zeros_like(albedo))

    return Setting(material, studio_light(scene_from_camera), np.full(3, _SKY))


def as_emission(
    field: Field,
    scene_from_camera: Float[np.ndarray, "4 4"],
    background: Float[np.ndarray, "3"],
) -> Setting:
    """Black, and shining as in the photos, on their background: what `surface` renders."""
    del scene_from_camera

    def material(params: Any, points: Array, normals: Array, directions: Array) -> Material:
        del normals
        emission = _linear_radiance(field, params, points, directions)
        return _diffuse(jnp.zeros_like(emission), emission)

    return Setting(material, None, np.asarray(linear_from_srgb(jnp.asarray(background))))


SETTINGS = {"albedo": as_albedo, "emission": as_emission}


def studio_light(scene_from_camera: Float[np.ndarray, "4 4"]) -> AreaLight:
    """A square over the photographer's left shoulder that shines on the unit sphere."""
    right, down, forward = scene_from_camera[:3, :3].T
    shining = 0.5 * right + 0.8 * down + 0.33 * forward  # the way its light goes
    shining /= np.linalg.norm(shining)
    half_u = np.cross(forward, shining)
    half_u *= _LIGHT_HALF / np.linalg.norm(half_u)
    half_v = np.cross(shining, half_u)
    radiance = np.full(3, _LIGHT_RADIANCE)
    numbers = (-_LIGHT_DISTANCE * shining, half_u, half_v, radiance)
    return AreaLight(*(jnp.asarray(x, jnp.float32) for x in numbers))


def _linear_radiance(field: Field, params: Any, points: Array, directions: Array) -> Array:
    _, gradients, features = field.surface(params, points)
    return linear_from_srgb(field.radiance(params, points, gradients, directions, features))


def _diffuse(albedo: Array, emission: Array) -> Material:
    count = len(albedo)
    return Material(albedo, emission, jnp.full(count, DIFFUSE), jnp.ones(count, albedo.dtype))
