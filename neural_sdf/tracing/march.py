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
        lipschitz: L, a bound of the field's slope along rays.
        num_refine: limit of Illinois steps in the bracket, of one evaluation each.
        smallest: size of the batches in which the last rays go on.
    """

    dmin: float
    max_steps: int
    lipschitz: float
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

    A batch is as slow as its slowest ray. Once no more than half of the rays are under way, a few
    at a time go on alone in a batch of `smallest`, and others take the places of those that have
    ended: static shapes, no ray left out, and two loops to compile however many rays there are.

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
    n, few = len(near), rules.smallest
    together = partial(_together, field, rules)
    paid, state = together(rays, far, jnp.sum(none), state, n // 2 if few < n else 0)
    if few >= n:
        return state, paid

    def unfinished(carry: tuple[Array, March]) -> Array:
        return jnp.any(carry[1].status >= _MARCHING)

    def some_go_on(carry: tuple[Array, March]) -> tuple[Array, March]:
        paid, state = carry
        active = state.status >= _MARCHING
        (kept,) = jnp.nonzero(active, size=few, fill_value=n)
        taken = jnp.minimum(kept, n - 1)
        some = jax.tree.map(lambda x: x[..., taken], state)
        some = some._replace(status=jnp.where(kept < n, some.status, MISS))
        some_rays = jax.tree.map(lambda x: x[taken], rays)
        # Filling a place costs about as much as a step; a quarter of the places may stand idle.
        least = jnp.where(jnp.sum(active) > few, 3 * few // 4, 0)
        paid, ended = together(some_rays, far[taken], paid, some, least)
        whole = jax.tree.map(lambda x, y: x.at[..., kept].set(y, mode="drop"), state, ended)
        return paid, whole

    paid, state = lax.while_loop(unfinished, some_go_on, (paid, state))
    return state, paid


def _together(
    field: Callable[[Any, Array], Array],
    rules: Rules,
    rays: Any,
    far: Array,
    paid: Array,
    state: March,
    least: ArrayLike,
) -> tuple[Array, March]:
    """All rays of a batch evaluated while more than `least` of them are under way."""

    def crowded(carry: tuple[Array, March]) -> Array:
        return jnp.sum(carry[1].status >= _MARCHING) > least

    def turn(carry: tuple[Array, March]) -> tuple[Array, March]:
        paid, state = carry
        return paid + len(far), _advance(field, rules, rays, far, state)

    return lax.while_loop(crowded, turn, (paid, state))


def _advance(
    field: Callable[[Any, Array], Array], rules: Rules, rays: Any, far: Array, state: March
) -> March:
    """One evaluation of every ray that is under way."""
    starting, marching, closing = (state.status == x for x in (_STARTING, _MARCHING, _CLOSING))
    stride = jnp.maximum(2 / (1 - state.slope) * state.f[1] / rules.lipschitz, rules.dmin)
    t = jnp.where(marching, jnp.minimum(state.t[1] + stride, far), state.t[1])
    t = jnp.where(closing, secant(state.t, state.f), t)
    f = field(rays, t)
    new = state
    for phase, then in (
        (starting, _begin(state, f)),
        (marching, _step(rules, stride, far, state, t, f)),
        (closing, _close(rules, state, t, f)),
    ):
        new = jax.tree.map(partial(jnp.where, phase), then, new)
    closer = (starting | marching) & (f < state.f_min)
    count = state.num_evaluations + (state.status >= _MARCHING)
    spent = (new.status == _MARCHING) & (count > rules.max_steps)
    return new._replace(
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


def _step(rules: Rules, stride: Array, far: Array, state: March, t: Array, f: Array) -> March:
    """After a march step to t, where the field is f: taken, or taken back."""
    bound = rules.lipschitz
    length = t - state.t[1]
    change = (f - state.f[1]) / jnp.where(length > 0, length, 1.0)
    # What neither end's sphere covers, in units of f. A crossing may leave as much as a least step.
    gap = bound * length - state.f[1] - jnp.abs(f)
    back = (stride > rules.dmin) & (state.slope > -1)
    back &= gap > jnp.where(f < 0, bound * rules.dmin, 0.0)
    slope = _MEMORY * state.slope + (1 - _MEMORY) * change / bound
    crossed = _CLOSING if rules.num_refine else HIT
    status = jnp.where(f < 0, crossed, jnp.where(t >= far, MISS, _MARCHING))
    return state._replace(
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
