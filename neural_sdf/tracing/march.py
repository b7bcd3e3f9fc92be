"""March along rays to a change of sign.

A step is max(f/L, dmin), so that it never stalls, and a hit is nothing but f > 0 followed by
f < 0: with a threshold (f < eps) a ray that only passes near the surface counts as a hit, and
1/(n·d), large there, carries that error into the gradient of every parameter.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
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
    field: Callable[[Any, Array], Array],
    rays: Any,
    near: Float[Array, " N"],
    far: Float[Array, " N"],
    *,
    dmin: float,
    max_steps: int,
    lipschitz: float | None,
    smallest: int,
) -> March:
    """Marches all rays from `near` until each has changed sign, reached `far` or used its steps.

    A batch is as slow as its slowest ray. Whenever no more than half of it is under way, those rays
    go on alone in a batch of half the size, down to `smallest`: static shapes, no ray left out.

    Args:
        field: (rays, t) -> values [n] at ray parameters t [n], one a ray.
        rays: what `field` needs of each ray, a tree of arrays [N, ...].
        near: start, scene units, [N].
        far: end; an end not beyond the start is a miss, [N].
        dmin: least step, scene units: a sheet thinner than this along the ray can be stepped over.
        max_steps: limit of steps.
        lipschitz: L, a bound of the field's slope along rays. None for the greatest slope that any
            ray has met so far, from its start on, and at least 1; a step that raises it and leaves
            room for a surface between its ends, f₁ + max(f₂, 0) < L (t₂ − t₁), is taken back and
            tried again, shorter.
        smallest: batches are not halved below this size.
    """
    start = field(rays, near)
    # Made from values, so that under shard_map all that the loop carries varies as they do.
    near = near + jnp.zeros_like(start)
    status = jnp.where(far > near, jnp.where(start < 0, INSIDE, _ACTIVE), MISS).astype(jnp.int32)
    count = jnp.ones_like(start, jnp.int32)
    state = March(jnp.stack([near, near]), jnp.stack([start, start]), near, start, status, count)
    if lipschitz is None:
        # Not from the first stride: on a steep field it may leap over the shape on every ray.
        slopes = jnp.abs(field(rays, near + dmin) - start) / dmin
        slope = jnp.maximum(jnp.max(jnp.where(far > near, slopes, 0.0), initial=0.0), 1.0)
    else:
        slope = jnp.asarray(lipschitz, near.dtype)
    advance = partial(_advance, field, dmin, lipschitz is None)

    def finish(step: Array, slope: Array, rays: Any, far: Array, state: March) -> March:
        n = len(far)
        half = n // 2 if n >= 2 * smallest else 0

        def crowded(carry: tuple[Array, Array, March]) -> Array:
            step, _, state = carry
            return (step < max_steps) & (jnp.sum(state.status == _ACTIVE) > half)

        def turn(carry: tuple[Array, Array, March]) -> tuple[Array, Array, March]:
            step, slope, state = carry
            return step + 1, *advance(slope, rays, far, state)

        step, slope, state = lax.while_loop(crowded, turn, (step, slope, state))
        if not half:
            return state
        (kept,) = jnp.nonzero(state.status == _ACTIVE, size=half, fill_value=n)
        taken = jnp.minimum(kept, n - 1)
        some = jax.tree.map(lambda x: x[..., taken], state)
        some = some._replace(status=jnp.where(kept < n, some.status, MISS))
        some_rays = jax.tree.map(lambda x: x[taken], rays)
        ended = finish(step, slope, some_rays, far[taken], some)
        return jax.tree.map(lambda x, y: x.at[..., kept].set(y, mode="drop"), state, ended)

    state = finish(jnp.int32(0), slope, rays, far, state)
    unended = state.status == _ACTIVE
    return state._replace(status=jnp.where(unended, MAX_STEPS, state.status).astype(jnp.int32))


def _advance(
    field: Callable[[Any, Array], Array],
    dmin: float,
    estimates: bool,
    slope: Array,
    rays: Any,
    far: Array,
    state: March,
) -> tuple[Array, March]:
    """One step of every ray that is under way, and the slope bound after it."""
    active = state.status == _ACTIVE
    t, f = state.t[1], state.f[1]
    stride = jnp.maximum(f / slope, dmin)
    t_new = jnp.where(active, jnp.minimum(t + stride, far), t)
    f_new = field(rays, t_new)
    steepest = slope
    if estimates:
        met = jnp.abs(f_new - f) / jnp.where(t_new > t, t_new - t, 1.0)
        steepest = jnp.maximum(slope, jnp.max(jnp.where(active, met, 0.0), initial=0.0))
    roomy = (stride > dmin) & (f + jnp.maximum(f_new, 0.0) < steepest * (t_new - t))
    # By more than rounding, else a step to f = 0 would be taken back for ever.
    moved = active & ~(roomy & (steepest > 1.01 * slope))
    ended = jnp.where(f_new < 0, HIT, jnp.where(t_new >= far, MISS, _ACTIVE))
    closer = active & (f_new < state.f_min)
    return steepest, March(
        t=jnp.where(moved, jnp.stack([t, t_new]), state.t),
        f=jnp.where(moved, jnp.stack([f, f_new]), state.f),
        t_min=jnp.where(closer, t_new, state.t_min),
        f_min=jnp.where(closer, f_new, state.f_min),
        status=jnp.where(moved, ended, state.status).astype(jnp.int32),
        num_evaluations=state.num_evaluations + active,
    )


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

    t, f, _ = lax.fori_loop(0, num_steps, step, (t, f, jnp.zeros_like(t[0], jnp.int32)))
    return secant(t, f)


def checked_rays(
    sdf: Callable[[Any, Array], Array],
    params: Any,
    origins: ArrayLike,
    directions: ArrayLike,
    **positive: float | None,
) -> tuple[Float[Array, "N 3"], Float[Array, "N 3"]]:
    """Origins and directions as arrays of one floating dtype, if they and the field fit together.

    Raises:
        ValueError: shapes that are no rays, a field that gives not one number a point, or a setting
            that is not positive.
    """
    origins, directions = jnp.asarray(origins), jnp.asarray(directions)
    dtype = jnp.result_type(origins, directions, jnp.zeros((), jnp.float32))
    origins, directions = origins.astype(dtype), directions.astype(dtype)
    if origins.ndim != 2 or origins.shape[-1] != 3 or origins.shape != directions.shape:
        raise ValueError(
            f"rays have origins of shape {origins.shape} and directions of shape "
            f"{directions.shape}; expected [N, 3] for both; reshape or broadcast them"
        )
    value = jax.eval_shape(sdf, params, origins)
    if getattr(value, "shape", None) != origins.shape[:1]:
        raise ValueError(
            f"sdf gives {value} for points of shape {origins.shape}; expected distances of shape "
            f"{origins.shape[:1]}; it is called as sdf(params, points)"
        )
    for name, setting in positive.items():
        if isinstance(setting, int | float) and not setting > 0:
            raise ValueError(f"{name} is {setting}; expected a positive number; set {name}")
    return origins, directions
