"""A cup on its saucer.

It has what is hard for a surface fit: a hole (the handle), a concavity (the cup) and a thin part
(the saucer).
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from neural_sdf.geometry import shapes


def cup(points: Float[Array, "*n 3"]) -> Float[Array, "*n"]:
    """Signed distance (a lower bound of it, in places) of cup and saucer, scene units."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    ball = shapes.sphere(points - jnp.array([0.0, 0.0, 0.18]), 0.52)
    handle = shapes.torus(jnp.stack([x - 0.53, z - 0.08, y], axis=-1), 0.22, 0.055)
    solid = shapes.smooth_union(jnp.maximum(ball, z - 0.3), handle, 0.05)
    hollow = shapes.sphere(points - jnp.array([0.0, 0.0, 0.46]), 0.46)
    saucer = shapes.cylinder(points - jnp.array([0.0, 0.0, -0.38]), 0.72, 0.015) - 0.02
    return shapes.smooth_union(shapes.difference(solid, hollow), saucer, 0.06)
