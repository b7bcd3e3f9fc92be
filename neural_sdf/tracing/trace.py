"""The first point of a surface on a ray, with its derivative."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Int

from neural_sdf import implicit
from neural_sdf.tracing.bracket import secant
from neural_sdf.tracing.grid import DistanceGrid, walk
from neural_sdf.tracing.march import HIT, PRECISION, Rules, checked_rays, march

GRAZING = 0.05
"""Least |n·d| / |n| that derivatives of a hit divide by."""


class Hits(NamedTuple):
    """First surface point of each ray, and the certificate that goes with it.

    Attributes:
        t: distance along the ray in scene units; on a miss that of the least value met, a constant
            for derivatives, [N].
        hit: whether a change of sign, from outside to inside, was bracketed, [N].
        value: the field at `t`: zero, to rounding, on a hit; constant for derivatives, see
            `least_distance`, [N].
        cosine: n·d/|n|, negative on entering; zero on a miss, [N].
        num_evaluations: of the field to find `t`; the one at `t` is not counted, [N].
        num_paid: the same for all rays, on places of a batch that stood idle too, [].
        status: HIT, MISS, MAX_STEPS or INSIDE, [N].
    """

    t: Float[Array, " N"]
    hit: Bool[Array, " N"]
    value: Float[Array, " N"]
    cosine: Float[Array, " N"]
    num_evaluations: Int[Array, " N"]
    num_paid: Int[Array, ""]
    status: Int[Array, " N"]


class Found(NamedTuple):
    """What a search gives.

    Attributes:
        t: of the hit, or of the least value met, [N].
        status: HIT, MISS, MAX_STEPS or INSIDE, [N].
        num_evaluations: as in `Hits`, [N].
        num_paid: as in `Hits`, [].
    """

    t: Float[Array, " N"]
    status: Int[Array, " N"]
    num_evaluations: Int[Array, " N"]
    num_paid: Int[Array, ""]


class _Branch(NamedTuple):
    """What the solver decided and the derivative takes as given."""

    hit: Bool[Array, " N"]
    t_min: Float[Array, " N"]
    least_slope: Float[Array, " N"]  # eps |n|


def trace(
    sdf: Callable[[Any, Array], Array],
    params: Any,
    origins: ArrayLike,
    directions: ArrayLike,
    *,
    near: Float[ArrayLike, "..."],
    far: Float[ArrayLike, "..."],
    dmin: float = 2e-3,
    max_steps: int = 96,
    lipschitz: float = 1.0,
    num_refine: int | None = None,
    grazing: float = GRAZING,
    smallest_batch: int | None = None,
    known: DistanceGrid | None = None,
) -> Hits:
    """Traces rays to the first surface of `sdf`.

    `t` is differentiable with respect to params, origins and directions, forward and reverse, at
    any order, by the implicit function theorem (`implicit.root`):

        dt = −(∂f/∂θ·dθ + n·(do + t dd)) / s,    s = n·d.

    At grazing incidence 1/s² is not integrable; s is replaced by −max(−s, grazing·|n|), continuous
    through s = 0 because the crossing is known to be an entry. `hits.cosine` tells which rays that
    concerns (|cosine| < grazing). There is no visibility term: what a ray sees jumps at a
    silhouette, and the derivative is that of either side.

    >>> ball = lambda radius, points: jnp.linalg.norm(points, axis=-1) - radius
    >>> ray = (jnp.array([[0.0, 0.0, -3.0]]), jnp.array([[0.0, 0.0, 1.0]]))
    >>> depth = lambda radius: trace(ball, radius, *ray, near=0.0, far=6.0).t[0]
    >>> print(depth(1.0), jax.grad(depth)(1.0))
    2.0 -1.0

    Args:
        sdf: distances [N] of points [N, 3], negative inside.
        params: what `sdf` depends on, any tree of arrays.
        origins: scene units, [N, 3].
        directions: unit length, [N, 3].
        near: where rays start, a number or [N]; see `geometry.clip_to_sphere`. Taken as constant.
        far: where they end, likewise.
        dmin: least step in scene units; thinner sheets can be missed.
        max_steps: march steps before a ray is given up.
        lipschitz: bound of the field's gradient norm; steps are f / lipschitz. Right for a trained
            field is 1.
        num_refine: most Illinois steps in a bracket; by default what reaches the rounding error of
            the dtype: 4 in single precision and 8 in double.
        grazing: least |cosine| the derivative divides by; 0 for none.
        smallest_batch: once half of the rays have ended, the others go on in batches of this size;
            by default a 16th of all, but not below 32. Values depend on it by rounding at most,
            and not at all if N is a power of two.
        known: samples of the field that let rays start near the surface, in the unit ball. Taken
            as constant; which hits are found depends on them for rays that all but touch, at most.

    Raises:
        ValueError: shapes that do not fit together, or a setting that is not positive.
    """
    settings = {"dmin": dmin, "max_steps": max_steps, "lipschitz": lipschitz}
    origins, directions, near, far = checked_rays(
        sdf, params, origins, directions, (near, far), **settings
    )
    if num_refine is None:
        num_refine = 4 if origins.dtype.itemsize <= 4 else 8
    if smallest_batch is None:
        smallest_batch = max(len(origins) // 16, 32)
    rules = Rules(dmin, max_steps, lipschitz, num_refine, smallest_batch)
    near, far, known = lax.stop_gradient((near, far, known))

    def find(params: Any, rays: Any) -> Found:
        def value_at(rays: tuple[Array, Array], t: Array) -> Array:
            return sdf(params, rays[0] + t[:, None] * rays[1])

        origins, directions = rays
        # Made from values, so that under shard_map all that the loop carries varies as they do.
        start = near + 0 * (origins + directions)[:, 0]
        begun = (start, start, jnp.full_like(start, jnp.inf))
        if known is not None:
            begun = walk(known, origins, directions, start, far, lipschitz=lipschitz)
        ended, paid = march(value_at, rays, start, far, rules, begun)
        t = jnp.where(ended.status == HIT, secant(ended.t, ended.f), ended.t_min)
        return Found(t, ended.status, ended.num_evaluations, paid)

    return attach(find, sdf, params, (origins, directions), grazing=grazing)


def attach(
    find: Callable[[Any, tuple[Array, Array]], Found],
    sdf: Callable[[Any, Array], Array],
    params: Any,
    rays: tuple[Float[Array, "N 3"], Float[Array, "N 3"]],
    *,
    grazing: float = GRAZING,
) -> Hits:
    """What any search finds, with the derivative that it has in `trace`.

    Args:
        find: (params, rays) -> Found; never differentiated, and so what floats it captures must be
            constants or under `stop_gradient`.
        sdf: as in `trace`, and so are params and grazing.
        params: of the field.
        rays: origins and directions.
        grazing: least |cosine| the derivative divides by.
    """

    def solve(theta: tuple) -> tuple[Array, _Branch, tuple]:
        params, rays = theta
        origins, directions = rays
        with jax.default_matmul_precision(PRECISION):
            found = find(params, rays)
            points = origins + found.t[:, None] * directions
            value, normal = value_and_normal(partial(sdf, params), points)
        hit = found.status == HIT
        length = jnp.sqrt(jnp.sum(normal * normal, axis=-1))
        slope = jnp.sum(normal * directions, axis=-1)
        cosine = jnp.where(hit & (length > 0), slope / jnp.where(length > 0, length, 1.0), 0.0)
        stats = (value, cosine, *found[1:])
        return found.t, _Branch(hit, found.t, grazing * length), stats

    def residual(t: Array, branch: _Branch, theta: tuple) -> Array:
        params, rays = theta
        # A miss has no equation of its own but t = t_min; its points stay out of the derivative.
        # They are those of `solve` also to the compiler, which then evaluates them once.
        hit = branch.hit[:, None]
        origins, directions = (jnp.where(hit, x, lax.stop_gradient(x)) for x in rays)
        points = origins + t[:, None] * directions
        with jax.default_matmul_precision(PRECISION):
            return jnp.where(branch.hit, sdf(params, points), t - branch.t_min)

    t, branch, stats = implicit.root(residual, solve, (params, rays), tangent_solve=_entering)
    value, cosine, status, num_evaluations, num_paid = stats
    return Hits(t, branch.hit, value, cosine, num_evaluations, num_paid, status)


def least_distance(
    hits: Hits,
    directions: Float[Array, "N 3"],
    distance: Float[Array, " N"],
    normal: Float[Array, "N 3"],
) -> Float[Array, " N"]:
    """Least value met along each ray, differentiable also on a miss; its place is a constant.

    At a hit that moves with the field, f(t(θ), θ) = 0 has no derivative. At the same point at rest
    it has ∂f/∂θ·dθ + n·(do + t dd) = −s dt, which is the rule of the hit, backwards: one evaluation
    of the field serves both.

    Args:
        hits: of `trace`.
        directions: of the rays.
        distance: the field at `hits.t`.
        normal: its gradient there, not normalised.
    """
    still = lax.stop_gradient(normal)
    slope = jnp.sum(still * lax.stop_gradient(directions), axis=-1)
    slope = jnp.minimum(slope, -GRAZING * jnp.linalg.norm(still, axis=-1))
    moved = hits.t - lax.stop_gradient(hits.t)
    return jnp.where(hits.hit, -slope * moved, distance)


def value_and_normal(
    sdf: Callable[[Array], Array], points: Float[Array, "N 3"]
) -> tuple[Float[Array, " N"], Float[Array, "N 3"]]:
    """Distances [N] of points and their gradients, not normalised, in one pass."""
    value, pullback = jax.vjp(sdf, points)
    return value, pullback(jnp.ones_like(value))[0]


def _entering(linear: Callable[[Array], Array], b: Array, branch: _Branch) -> Array:
    """`implicit.diagonal` with the slope of a hit held below −eps |n|: it is known to enter."""
    slope = linear(jnp.ones_like(b))
    return b / jnp.where(branch.hit, jnp.minimum(slope, -branch.least_slope), slope)
