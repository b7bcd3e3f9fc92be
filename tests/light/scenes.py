"""Scenes for the path tracer's tests: surfaces, paints, a lamp, and rays that meet them."""

import jax
import jax.numpy as jnp
import numpy as np

from neural_sdf.geometry import Rays, shapes
from neural_sdf.light import AreaLight, Material, path_trace
from neural_sdf.light.pathtrace import DIFFUSE


def paint(albedo=0.5, emission=0.0, kind=DIFFUSE, roughness=0.1):
    """A material that is the same everywhere."""

    def material(params, points, normals, directions):
        ones = jnp.ones_like(points)
        kinds = jnp.broadcast_to(kind, len(points))
        return Material(albedo * ones, emission * ones, kinds, roughness * ones[:, 0])

    return material


def traced(sdf, material, params, rays, *, seed=0, **settings):
    settings = {"light": None, "environment": 0.0, "radius": 10.0, "num_bounces": 1} | settings
    key = jax.random.key(seed)
    seen = lambda params, rays: path_trace(key, sdf, material, params, rays, **settings)
    return jax.jit(seen)(params, rays)


def floor(height, points):
    return points[:, 1] - height


def ball(radius, points):
    return shapes.sphere(points, radius)


def room(radius, points):
    return -shapes.sphere(points, radius)


def plates(params, points):
    return jnp.minimum(points[:, 1], 1 - points[:, 1])


def lamp(height, x=0.0, radiance=1.0) -> AreaLight:
    """The square, shining downwards."""
    half_u, half_v = jnp.array([0.5, 0.0, 0.0]), jnp.array([0.0, 0.0, 0.5])
    centre = jnp.stack([jnp.asarray(x), jnp.asarray(height), jnp.asarray(0.0)])
    return AreaLight(centre, half_u, half_v, radiance * jnp.ones(3))


def rays_at(target, origin, count) -> Rays:
    """The same ray many times."""
    way = np.subtract(target, origin)
    direction = way / np.linalg.norm(way)
    return Rays(*(jnp.tile(jnp.asarray(x, float), (count, 1)) for x in (origin, direction)))


def directions_all_round(seed, count):
    directions = np.random.default_rng(seed).normal(size=(count, 3))
    return jnp.asarray(directions / np.linalg.norm(directions, axis=-1, keepdims=True))


def assert_mean(samples, expected, relative):
    """The mean is right within 4 standard errors, and those are within `relative` of it."""
    samples = np.asarray(samples, np.float64)
    error = samples.std() / np.sqrt(len(samples))
    assert 4 * error < relative * abs(expected), f"standard error {error / expected:.2%}"
    assert abs(samples.mean() - expected) < 4 * error + 1e-6 * abs(expected)


def lit_point(light, count=2**15, **settings):
    """Radiance of a diffuse floor at the origin, albedo 0.6, [count]."""
    rays = rays_at([0.0, 0.0, 0.0], [1.0, 0.4, 0.0], count)
    return traced(floor, paint(0.6), 0.0, rays, light=light, **settings)[:, 0]
