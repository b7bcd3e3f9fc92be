"""What the hidden layers of a distance apply: smooth, so that normals and their slopes exist."""

from __future__ import annotations

import math

import jax
from jax import Array, lax


def softplus(x: Array) -> Array:
    """A ReLU rounded over a hundredth: log(1 + exp(100 x)) / 100 (IDR)."""
    return jax.nn.softplus(100.0 * x) / 100.0


_ROUNDING = (2 * math.log(2) / 100) ** 2


@jax.custom_jvp
def squareplus(x: Array) -> Array:
    """A ReLU rounded over a hundredth: (x + sqrt(x² + b)) / 2 (Barron 2021).

    b is such that at 0 it is what `softplus` is. No exponential, no logarithm.
    """
    square = x * x + _ROUNDING
    return 0.5 * x + 0.5 * square * lax.rsqrt(square)


@squareplus.defjvp
def _squareplus_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    # What autodiff has too, but in one form wherever it is met, so that the compiler sees that a
    # normal and the same normal on the way to its own derivative are one.
    (x,), (x_dot,) = primals, tangents
    slope = 0.5 + 0.5 * x * lax.rsqrt(x * x + _ROUNDING)
    return squareplus(x), slope * x_dot


ACTIVATIONS = {"softplus": softplus, "squareplus": squareplus}
