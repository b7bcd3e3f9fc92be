"""What the tests of this folder trace: shapes, and rays that meet them."""

import jax
import jax.numpy as jnp
import numpy as np

from neural_sdf.geometry import clip_to_sphere, shapes
from neural_sdf.tracing import least_distance, trace, value_and_normal


def ball(params, points):
    return shapes.sphere(points - params["centre"], params["radius"])


def looking_at(key, count, distance=2.5, spread=0.7):
    """Rays from a sphere of cameras towards random points near the centre."""
    a, b = jax.random.split(key)
    origins = jax.random.normal(a, (count, 3))
    origins = distance * origins / jnp.linalg.norm(origins, axis=-1, keepdims=True)
    directions = spread * jax.random.uniform(b, (count, 3), minval=-1, maxval=1) - origins
    return origins, directions / jnp.linalg.norm(directions, axis=-1, keepdims=True)


def in_sphere(sdf, params, origins, directions, **settings):
    near, far, _ = clip_to_sphere(origins, directions, 1.0)
    return trace(sdf, params, origins, directions, near=near, far=far, **settings)


def least_along(sdf, params, origins, directions, hits):
    """The least value met along each ray, as a renderer would have it."""
    points = origins + hits.t[:, None] * directions
    seen = value_and_normal(lambda points: sdf(params, points), points)
    return least_distance(hits, directions, *seen)


def lumpy(params, points):
    """Torus, ball and thin plate, with numbers to differentiate."""
    x = points - params["offset"]
    torus = shapes.torus(x, params["ring"], 0.15)
    lump = shapes.sphere(x - jnp.array([0.3, 0.1, 0.3]), 0.25)
    plate = shapes.box(x + jnp.array([0.0, 0.0, 0.45]), jnp.array([0.5, 0.5, 0.02]))
    return shapes.smooth_union(shapes.union(torus, plate), lump, 0.1)


def bumpy_ball(params, points):
    """A ball with smooth random bumps of a small network; slope 0.5 to 2."""
    bumps = jnp.tanh(2 * points @ params["first"] + params["bias"]) @ params["last"]
    return shapes.sphere(points, 0.5) + bumps


def random_params(seed):
    """Of a `bumpy_ball`, in double precision."""
    keys = jax.random.split(jax.random.key(seed), 3)
    return {
        "first": jax.random.normal(keys[0], (3, 16), jnp.float64),
        "bias": jax.random.normal(keys[1], (16,), jnp.float64),
        "last": 0.03 * jax.random.normal(keys[2], (16,), jnp.float64),
    }


LUMPY = {"offset": np.array([0.02, -0.03, 0.01], np.float32), "ring": np.float32(0.5)}
