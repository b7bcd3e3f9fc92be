"""March along rays to a change of sign.

A step is max(f/L, dmin), so that it never stalls, and a hit is nothing but f > 0 followed by
f < 0: with a threshold (f < eps) a ray that only passes near the surface counts as a hit, and
1/(n·d), large there, carries that error into the gradient of every parameter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Int

# The noise of TF32 matrix products on f (8e-5) exceeds any useful tolerance.
PRECISION = "highest"

HIT = 0
"""A change of sign was bracketed."""
MISS = 1
"""The ray reached its far end."""
MAX_STEPS = 2
"""The step limit came first; the ray is not a hit and its far part was not seen."""
INSIDE = 3
"""The field was negative already at the near end; not a hit."""
_ACTIVE = 4  # within the loop only


class March(NamedTuple):
    """Where each ray ended.

    Attributes:
        t: last two points, [2, N]: on a hit f > 0 at the first and f < 0 at the second.
        f: the field there, [2, N].
        t_min: where the least value was met, [N].
        f_min: that value, [N].
        status: one of HIT, MISS, MAX_STEPS, INSIDE, [N].
        num_evaluations: of the field, while the ray was under way, [N].
    """

    t: Float[Array, "2 N"]
    f: Float[Array, "2 N"]
    t_min: Float[Array, " N"]
    f_min: Float[Array, " N"]
    status: Int[Array, " N"]
    num_evaluations: Int[Array, " N"]


def march(
    field: Callable[[Array], Array],
    near: Float[Array, " N"],
    far: Float[Array, " N"],
    *,
    dmin: float,
    max_steps: int,
    lipschitz: float | None,
) -> March:
    """Marches all rays from `near` until each has changed sign, reached `far` or used its steps.

    Args:
        field: values [N] at ray parameters [N], one a ray.
        near: start, scene units, [N].
        far: end; an end not beyond the start is a miss, [N].
        dmin: least step, scene units: a sheet thinner than this along the ray can be stepped over.
        max_steps: limit of steps.
        lipschitz: L, a bound of the field's slope along rays. None for the greatest slope that any
            ray has met so far, at least 1; a step that raises it and leaves room for a surface
            between its ends, f₁ + max(f₂, 0) < L (t₂ − t₁), is taken back and tried again, shorter.
    """
    start = field(near)
    status = jnp.where(far > near, jnp.where(start < 0, INSIDE, _ACTIVE), MISS).astype(jnp.int32)
    count = jnp.ones(near.shape, jnp.int32)
    state = March(jnp.stack([near, near]), jnp.stack([start, start]), near, start, status, count)

    def unfinished(carry: tuple[Array, Array, March]) -> Array:
        step, _, state = carry
        return (step < max_steps) & jnp.any(state.status == _ACTIVE)

    def advance(carry: tuple[Array, Array, March]) -> tuple[Array, Array, March]:
        step, slope, state = carry
        active = state.status == _ACTIVE
        t, f = state.t[1], state.f[1]
        stride = jnp.maximum(f / slope, dmin)
        t_new = jnp.where(active, jnp.minimum(t + stride, far), t)
        f_new = field(t_new)
        steepest = slope
        if lipschitz is None:
            met = jnp.abs(f_new - f) / jnp.where(t_new > t, t_new - t, 1.0)
            steepest = jnp.maximum(slope, jnp.max(jnp.where(active, met, 0.0), initial=0.0))
        roomy = (stride > dmin) & (f + jnp.maximum(f_new, 0.0) < steepest * (t_new - t))
        # By more than rounding, else a step to f = 0 would be taken back for ever.
        moved = active & ~(roomy & (steepest > 1.01 * slope))
        ended = jnp.where(f_new < 0, HIT, jnp.where(t_new >= far, MISS, _ACTIVE))
        closer = active & (f_new < state.f_min)
        return (
            step + 1,
            steepest,
            March(
                t=jnp.where(moved, jnp.stack([t, t_new]), state.t),
                f=jnp.where(moved, jnp.stack([f, f_new]), state.f),
                t_min=jnp.where(closer, t_new, state.t_min),
                f_min=jnp.where(closer, f_new, state.f_min),
                status=jnp.where(moved, ended, state.status).astype(jnp.int32),
                num_evaluations=state.num_evaluations + active,
            ),
        )

    slope = jnp.asarray(1.0 if lipschitz is None else lipschitz, near.dtype)
    _, _, state = lax.while_loop(unfinished, advance, (jnp.int32(0), slope, state))
    unended = state.status == _ACTIVE
    return state._replace(status=jnp.where(unended, MAX_STEPS, state.status).astype(jnp.int32))


def refine(
    field: Callable[[Array], Array],
    t: Float[Array, "2 N"],
    f: Float[Array, "2 N"],
    *,
    num_steps: int,
) -> Float[Array, " N"]:
    """The root in a bracket by Illinois steps (Dowell and Jarratt 1971) and one secant for free.

    An end that is kept *twice running* has its value halved. Halving at every step, a common slip,
    turns superlinear convergence into a factor of two a step.

    Args:
        field: values [N] at ray parameters [N].
        t: outer and inner end of each bracket, [2, N].
        f: the field there, positive and negative, [2, N].
        num_steps: evaluations to spend.
    """

    def secant(t: Array, f: Array) -> Array:
        fall = f[0] - f[1]
        # No fall: an end hit the root exactly, or the ray has no bracket and its result no reader.
        share = jnp.where(fall > 0, f[0] / jnp.where(fall > 0, fall, 1.0), 0.0)
        return t[0] + jnp.clip(share, 0.0, 1.0) * (t[1] - t[0])

    def step(_: ArrayLike, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        t, f, last = carry  # last: +1 if the outer end moved last, −1 the inner, 0 at the start
        middle = secant(t, f)
        value = field(middle)
        outside = value > 0
        outer = jnp.where((~outside) & (last < 0), f[0] / 2, f[0])
        inner = jnp.where(outside & (last > 0), f[1] / 2, f[1])
        t = jnp.where(outside, jnp.stack([middle, t[1]]), jnp.stack([t[0], middle]))
        f = jnp.where(outside, jnp.stack([value, inner]), jnp.stack([outer, value]))
        return t, f, jnp.where(outside, 1, -1).astype(jnp.int32)

    t, f, _ = lax.fori_loop(0, num_steps, step, (t, f, jnp.zeros(t.shape[1:], jnp.int32)))
    return secant(t, f)
