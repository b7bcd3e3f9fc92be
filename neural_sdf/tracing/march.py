"""March along rays to a change of sign, and on to the root within it.

A step is at least max(f/L, dmin), so that it never stalls, and a hit is nothing but f > 0 followed
by f < 0: with a threshold (f < eps) a ray that only passes near the surface counts as a hit, and
1/(n·d), large there, carries that error into the gradient of every parameter.

Rays are evaluated together, whatever each of them is doing: starting, marching, or closing in on a
root; a ray that has ended soon costs nothing more (see `march`).

Steps are longer than f/L by 2/(1 − s), where s is the slope of f along the ray of late: towards a
plane, two spheres of free space then touch (auto-relaxation, Bálint and Kiglics 2023). If they do
not, a surface might hide between them; the step is taken back and f/L is tried.
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

from neural_sdf.mistake import Mistake
from neural_sdf.tracing.bracket import illinois, secant

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
_MARCHING = 4  # from here on within the loop only
_STARTING = 5  # t[1] is to be evaluated; if the field is negative there, t[0]
_CLOSING = 6  # a root is bracketed

_MEMORY = 0.7  # share of the old in the slope of late; 0.3 in the new, as in the paper


class Rules(NamedTuple):
    """How rays advance; static.

    Attributes:
        dmin: least step, scene units: a sheet thinner than this along the ray can be stepped over.
        max_steps: limit of evaluations between the first and the bracket.
        lipschitz: L, a bound of the field's slope along rays. None for the greatest slope that any
            ray has met so far, from its near end on, and at least 1.
        num_refine: limit of Illinois steps in the bracket, of one evaluation each.
        smallest: batches are not halved below this size.
    """

    dmin: float
    max_steps: int
    lipschitz: float | None
    num_refine: int
    smallest: int


class March(NamedTuple):
    """Where each ray is, and in the end where it ended.

    Attributes:
        t: last two points, [2, N]: on a hit the ends of its bracket.
        f: the field there, [2, N]: on a hit positive and negative, as `illinois` weighs them.
        last: which end of the bracket moved last, see `illinois`, [N].
        slope: of f along the ray of late, in units of L; −1 allows no relaxation, [N].
        t_min: where the least value was met, [N].
        f_min: that value, [N].
        status: one of HIT, MISS, MAX_STEPS, INSIDE, [N].
        num_refined: Illinois steps taken, [N].
        num_evaluations: of the field for this ray, [N].
    """

    t: Float[Array, "2 N"]
    f: Float[Array, "2 N"]
    last: Int[Array, " N"]
    slope: Float[Array, " N"]
    t_min: Float[Array, " N"]
    f_min: Float[Array, " N"]
    status: Int[Array, " N"]
    num_refined: Int[Array, " N"]
    num_evaluations: Int[Array, " N"]


def march(
    field: Callable[[Any, Array], Array],
    rays: Any,
    near: Float[Array, " N"],
    far: Float[Array, " N"],
    rules: Rules,
    begun: tuple[Float[Array, " N"], Float[Array, " N"], Float[Array, " N"]],
) -> tuple[March, Int[Array, ""]]:
    """Marches all rays until each has its root, reached `far` or used its steps.

    A batch is as slow as its slowest ray. Whenever no more than half of it is under way, those rays
    go on alone in a batch of half the size, down to `smallest`: static shapes, no ray left out.

    Args:
        field: (rays, t) -> values [n] at ray parameters t [n], one a ray.
        rays: what `field` needs of each ray, a tree of arrays [N, ...].
        near: where rays begin, scene units, [N].
        far: end; an end not beyond `near` is a miss, [N].
        rules: of the march.
        begun: first points to evaluate, from which rays go back to `near` if the field is negative
            there; where on the way to them the least value was; and that value, infinite if
            nothing is known: [N] each.

    Returns:
        The rays, and how many evaluations were paid for: those of rays under way and those of ended
        ones that filled a batch.
    """
    start, t_min, f_min = begun
    if rules.lipschitz is None:
        # Not from the first stride: on a steep field it may leap over the shape on every ray.
        slopes = jnp.abs(field(rays, near + rules.dmin) - field(rays, near)) / rules.dmin
        bound = jnp.maximum(jnp.max(jnp.where(far > near, slopes, 0.0), initial=0.0), 1.0)
        num_probes = 2 * len(near)
    else:
        bound = jnp.asarray(rules.lipschitz, near.dtype)
        num_probes = 0
    advance = partial(_advance, field, rules)

    def finish(bound: Array, paid: Array, rays: Any, far: Array, state: March) -> tuple:
        n = len(far)
        half = n // 2 if n >= 2 * rules.smallest else 0

        def crowded(carry: tuple[Array, Array, March]) -> Array:
            return jnp.sum(carry[-1].status >= _MARCHING) > half

        def turn(carry: tuple[Array, Array, March]) -> tuple[Array, Array, March]:
            bound, paid, state = carry
            bound, state = advance(bound, rays, far, state)
            return bound, paid + n, state

        bound, paid, state = lax.while_loop(crowded, turn, (bound, paid, state))
        if not half:
            return paid, state
        (kept,) = jnp.nonzero(state.status >= _MARCHING, size=half, fill_value=n)
        taken = jnp.minimum(kept, n - 1)
        some = jax.tree.map(lambda x: x[..., taken], state)
        some = some._replace(status=jnp.where(kept < n, some.status, MISS))
        some_rays = jax.tree.map(lambda x: x[taken], rays)
        paid, ended = finish(bound, paid, some_rays, far[taken], some)
        whole = jax.tree.map(lambda x, y: x.at[..., kept].set(y, mode="drop"), state, ended)
        return paid, whole

    none = jnp.zeros_like(near, jnp.int32)
    state = March(
        t=jnp.stack([near, start]),
        f=jnp.zeros_like(near, shape=(2, len(near))),
        last=none,
        slope=jnp.full_like(near, -1.0),
        t_min=t_min,
        f_min=f_min,
        status=jnp.where(far > start, _STARTING, MISS).astype(jnp.int32),
        num_refined=none,
        num_evaluations=none,
    )
    paid, state = finish(bound, jnp.sum(none) + num_probes, rays, far, state)
    return state, paid


def _advance(
    field: Callable[[Any, Array], Array],
    rules: Rules,
    bound: Array,
    rays: Any,
    far: Array,
    state: March,
) -> tuple[Array, March]:
    """One evaluation of every ray that is under way, and the slope bound after it."""
    starting, marching, closing = (state.status == x for x in (_STARTING, _MARCHING, _CLOSING))
    stride = jnp.maximum(2 / (1 - state.slope) * state.f[1] / bound, rules.dmin)
    t = jnp.where(marching, jnp.minimum(state.t[1] + stride, far), state.t[1])
    t = jnp.where(closing, secant(state.t, state.f), t)
    f = field(rays, t)
    bound, stepped = _step(rules, bound, stride, far, state, t, f)
    new = state
    for phase, then in (
        (starting, _begin(state, f)),
        (marching, stepped),
        (closing, _close(rules, state, t, f)),
    ):
        new = jax.tree.map(partial(jnp.where, phase), then, new)
    closer = (starting | marching) & (f < state.f_min)
    count = state.num_evaluations + (state.status >= _MARCHING)
    spent = (new.status == _MARCHING) & (count > rules.max_steps)
    return bound, new._replace(
        t_min=jnp.where(closer, t, state.t_min),
        f_min=jnp.where(closer, f, state.f_min),
        status=jnp.where(spent, MAX_STEPS, new.status),
        num_evaluations=count,
    )


def _begin(state: March, f: Array) -> March:
    """After the evaluation of t[1]: march from there, or go back to t[0] to start again."""
    back = jnp.where(state.t[1] > state.t[0], _STARTING, INSIDE)
    return state._replace(
        t=jnp.where(f < 0, state.t[0], state.t),
        f=jnp.stack([f, f]),
        status=jnp.where(f < 0, back, _MARCHING).astype(jnp.int32),
    )


def _step(
    rules: Rules, bound: Array, stride: Array, far: Array, state: March, t: Array, f: Array
) -> tuple[Array, March]:
    """After a march step to t, where the field is f: taken, or taken back."""
    length = t - state.t[1]
    change = (f - state.f[1]) / jnp.where(length > 0, length, 1.0)
    steepest = bound
    if rules.lipschitz is None:
        met = jnp.where(state.status == _MARCHING, jnp.abs(change), 0.0)
        steepest = jnp.maximum(bound, jnp.max(met, initial=0.0))
    # By more than rounding, else a step to f = 0 would be taken back for ever.
    may_hide = (stride > rules.dmin) & ((state.slope > -1) | (steepest > 1.01 * bound))
    # What neither end's sphere covers, in units of f. A crossing may leave as much as a least step.
    gap = steepest * length - state.f[1] - jnp.abs(f)
    back = may_hide & (gap > jnp.where(f < 0, steepest * rules.dmin, 0.0))
    slope = _MEMORY * state.slope + (1 - _MEMORY) * change / steepest
    crossed = _CLOSING if rules.num_refine else HIT
    status = jnp.where(f < 0, crossed, jnp.where(t >= far, MISS, _MARCHING))
    return steepest, state._replace(
        t=jnp.where(back, state.t, jnp.stack([state.t[1], t])),
        f=jnp.where(back, state.f, jnp.stack([state.f[1], f])),
        slope=jnp.where(back, -1.0, jnp.clip(slope, -1.0, 0.5)),
        status=jnp.where(back, _MARCHING, status).astype(jnp.int32),
    )


def _close(rules: Rules, state: March, t: Array, f: Array) -> March:
    """After an evaluation within the bracket."""
    ends, values, last = illinois(state.t, state.f, state.last, t, f)
    count = state.num_refined + 1
    # By the chord's slope, nearer than t can tell; the secant that follows is free.
    width, fall = state.t[1] - state.t[0], state.f[0] - state.f[1]
    exact = jnp.abs(f) * width <= 2 * jnp.finfo(f.dtype).eps * fall
    found = (count >= rules.num_refine) | exact
    return state._replace(
        t=ends,
        f=values,
        last=last,
        num_refined=count,
        status=jnp.where(found, HIT, _CLOSING).astype(jnp.int32),
    )


def checked_rays(
    sdf: Callable[[Any, Array], Array],
    params: Any,
    origins: ArrayLike,
    directions: ArrayLike,
    ends: tuple[ArrayLike, ArrayLike],
    **positive: float | None,
) -> tuple[Float[Array, "N 3"], Float[Array, "N 3"], Float[Array, " N"], Float[Array, " N"]]:
    """Origins, directions, near and far of one floating dtype, if they and the field fit together.

    Raises:
        Mistake: shapes that are no rays, a field that gives not one number a point, or a setting
            that is not positive.
    """
    origins, directions = jnp.asarray(origins), jnp.asarray(directions)
    dtype = jnp.result_type(origins, directions, jnp.zeros((), jnp.float32))
    origins, directions = origins.astype(dtype), directions.astype(dtype)
    if origins.ndim != 2 or origins.shape[-1] != 3 or origins.shape != directions.shape:
        raise Mistake(
            f"rays have origins of shape {origins.shape} and directions of shape "
            f"{directions.shape}; expected [N, 3] for both; reshape or broadcast them"
        )
    value = jax.eval_shape(sdf, params, origins)
    if getattr(value, "shape", None) != origins.shape[:1]:
        raise Mistake(
            f"sdf gives {value} for points of shape {origins.shape}; expected distances of shape "
            f"{origins.shape[:1]}; it is called as sdf(params, points)"
        )
    for name, setting in positive.items():
        if isinstance(setting, int | float) and not setting > 0:
            raise Mistake(f"{name} is {setting}; expected a positive number", setting=name)
    near, far = (jnp.broadcast_to(jnp.asarray(x, dtype), origins.shape[:1]) for x in ends)
    return origins, directions, near, far
