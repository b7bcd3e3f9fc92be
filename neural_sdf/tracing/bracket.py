"""A root in a bracket, by values alone."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Int


def secant(t: Float[Array, "2 N"], f: Float[Array, "2 N"]) -> Float[Array, " N"]:
    """Where the chord of a bracket is zero, within it."""
    fall = f[0] - f[1]
    # No fall: an end hit the root exactly, or the ray has no bracket and its result no reader.
    share = jnp.where(fall > 0, f[0] / jnp.where(fall > 0, fall, 1.0), 0.0)
    return t[0] + jnp.clip(share, 0.0, 1.0) * (t[1] - t[0])


def illinois(
    t: Float[Array, "2 N"],
    f: Float[Array, "2 N"],
    last: Int[Array, " N"],
    middle: Float[Array, " N"],
    value: Float[Array, " N"],
) -> tuple[Float[Array, "2 N"], Float[Array, "2 N"], Int[Array, " N"]]:
    """The bracket after an evaluation within it (Dowell and Jarratt 1971).

    An end that is kept *twice running* has its value halved. Halving at every step, a common slip,
    turns superlinear convergence into a factor of two a step.

    Args:
        t: outer and inner end, [2, N].
        f: the field there, positive and negative, [2, N].
        last: +1 if the outer end moved last, −1 the inner, 0 at first, [N].
        middle: where the field was evaluated, [N].
        value: what it is there, [N].

    Returns:
        t, f and last.
    """
    outside = value > 0
    outer = jnp.where((~outside) & (last < 0), f[0] / 2, f[0])
    inner = jnp.where(outside & (last > 0), f[1] / 2, f[1])
    t = jnp.where(outside, jnp.stack([middle, t[1]]), jnp.stack([t[0], middle]))
    f = jnp.where(outside, jnp.stack([value, inner]), jnp.stack([outer, value]))
    return t, f, jnp.where(outside, 1, -1).astype(jnp.int32)


def refine(
    field: Callable[[Array], Array],
    t: Float[Array, "2 N"],
    f: Float[Array, "2 N"],
    *,
    num_steps: int,
) -> Float[Array, " N"]:
    """The root in a bracket by `num_steps` Illinois steps, and one secant for free.

    Args:
        field: values [N] at ray parameters [N].
        t: outer and inner end of each bracket, [2, N].
        f: the field there, positive and negative, [2, N].
        num_steps: evaluations to spend.
    """

    def step(_: ArrayLike, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        middle = secant(*carry[:2])
        return illinois(*carry, middle, field(middle))

    t, f, _ = lax.fori_loop(0, num_steps, step, (t, f, jnp.zeros_like(t[0], jnp.int32)))
    return secant(t, f)
