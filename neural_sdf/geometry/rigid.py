"""Small motions of a camera: the exponential map of rigid motions."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float


def rigid_from_twist(twist: Float[ArrayLike, "*batch 6"]) -> Float[Array, "*batch 4 4"]:
    """The exponential of a twist (ω, v): turning by ω while moving by v, for unit time.

    R = I + a W + b W², t = (I + b W + c W²) v with W x = ω × x, θ = |ω|, a = sin θ/θ,
    b = (1 − cos θ)/θ², c = (θ − sin θ)/θ³ (Murray, Li and Sastry 1994, eq. 2.36). Differentiable at
    any order, also at zero, so that a pose can be refined as `pose @ rigid_from_twist(change)`.

    Args:
        twist: axis times angle in radians, then displacement, [..., 6].

    Returns:
        Rigid motion, [..., 4, 4].
    """
    twist = jnp.asarray(twist)
    turn, move = twist[..., :3], twist[..., 3:]
    a, b, c = (x[..., None, None] for x in _coefficients(jnp.sum(turn * turn, axis=-1)))
    zero = jnp.zeros_like(turn[..., 0])
    x, y, z = turn[..., 0], turn[..., 1], turn[..., 2]
    W = jnp.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1)
    W = W.reshape(*turn.shape[:-1], 3, 3)
    W2 = W @ W
    eye = jnp.eye(3, dtype=twist.dtype)
    rotation = eye + a * W + b * W2
    translation = (eye + b * W + c * W2) @ move[..., None]
    top = jnp.concatenate([rotation, translation], axis=-1)
    bottom = jnp.broadcast_to(jnp.array([0, 0, 0, 1], twist.dtype), (*top.shape[:-2], 1, 4))
    return jnp.concatenate([top, bottom], axis=-2)


def _coefficients(squared: Array) -> tuple[Array, Array, Array]:
    """The a, b and c of θ²: sin θ/θ, (1 − cos θ)/θ² and (θ − sin θ)/θ³ of θ²; by series near 0."""
    small = squared < 0.1
    near, far = jnp.where(small, squared, 0.0), jnp.where(small, 1.0, squared)
    angle = jnp.sqrt(far)
    a = jnp.where(small, _series(near, 1), jnp.sin(angle) / angle)
    b = jnp.where(small, _series(near, 2), (1 - jnp.cos(angle)) / far)
    c = jnp.where(small, _series(near, 3), (angle - jnp.sin(angle)) / (far * angle))
    return a, b, c


def _series(x: Array, first: int) -> Array:
    """1/first! − x/(first + 2)! + x²/(first + 4)! − …, to double precision for x < 0.1."""
    total = jnp.zeros_like(x)
    for k in reversed(range(8)):
        total = 1 / math.factorial(first + 2 * k) - x * total
    return total
