"""Analytic signed-distance functions and the ways to combine them.

All are negative inside. A primitive takes points [..., 3] and gives distances [...]; lengths are in
the units of the points. Primitives are exact distances; unions are exact outside, the other
combinations are lower bounds of the distance. Formulas: Quilez, "Distance functions" (2008).
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float


def safe_norm(x: Float[Array, "*batch k"]) -> Float[Array, "*batch"]:
    """Euclidean length over the last axis, with gradient zero (not NaN) at the zero vector."""
    squared = jnp.sum(x * x, axis=-1)
    positive = squared > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squared, 1.0)), 0.0)


def sphere(points: Float[Array, "*batch 3"], radius: ArrayLike) -> Float[Array, "*batch"]:
    """Distance to a sphere about the origin."""
    return safe_norm(points) - radius


def box(points: Float[Array, "*batch 3"], half_sizes: ArrayLike) -> Float[Array, "*batch"]:
    """Distance to an axis-aligned box about the origin; `half_sizes` is [3] or a number."""
    excess = jnp.abs(points) - jnp.asarray(half_sizes)
    return safe_norm(jnp.maximum(excess, 0.0)) + jnp.minimum(jnp.max(excess, axis=-1), 0.0)


def torus(
    points: Float[Array, "*batch 3"], major_radius: ArrayLike, minor_radius: ArrayLike
) -> Float[Array, "*batch"]:
    """Distance to a torus about the z axis."""
    ring = safe_norm(points[..., :2]) - major_radius
    return safe_norm(jnp.stack([ring, points[..., 2]], axis=-1)) - minor_radius


def cylinder(
    points: Float[Array, "*batch 3"], radius: ArrayLike, half_height: ArrayLike
) -> Float[Array, "*batch"]:
    """Distance to a capped cylinder about the z axis."""
    excess = jnp.stack(
        [safe_norm(points[..., :2]) - radius, jnp.abs(points[..., 2]) - half_height], axis=-1
    )
    return safe_norm(jnp.maximum(excess, 0.0)) + jnp.minimum(jnp.max(excess, axis=-1), 0.0)


def union(first: Float[Array, "*n"], second: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """What is in either shape."""
    return jnp.minimum(first, second)


def difference(first: Float[Array, "*n"], second: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """What is in the first shape and not in the second."""
    return jnp.maximum(first, -second)


def smooth_union(
    first: Float[Array, "*n"], second: Float[Array, "*n"], width: ArrayLike
) -> Float[Array, "*n"]:
    """Union with a fillet of the given width: a polynomial smooth minimum, once differentiable."""
    blend = jnp.clip(0.5 + 0.5 * (second - first) / width, 0.0, 1.0)
    return second + (first - second) * blend - width * blend * (1.0 - blend)
