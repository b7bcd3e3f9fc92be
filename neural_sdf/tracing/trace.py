"""The first point of a surface on a ray, with its derivative."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Int

from neural_sdf import implicit
from neural_sdf.tracing.march import HIT, PRECISION, checked_rays, march, refine


class Hits(NamedTuple):
    """First surface point of each ray, and the certificate that goes with it.

    Attributes:
        t: distance along the ray in scene units; on a miss the far end, with gradient zero, [N].
        hit: whether a change of sign, from outside to inside, was bracketed, [N].
        residual: the field at `t`; zero on a miss, [N].
        cosine: n·d/|n|, negative on entering; zero on a miss, [N].
        distance_min: least value met from the near end to where the ray ended (zero, to rounding,
            on a hit); differentiable also on a miss, [N].
        t_min: where that was; constant for derivatives, [N].
        num_evaluations: of the field, that served this ray, [N].
        status: HIT, MISS, MAX_STEPS or INSIDE, [N].
    """

    t: Float[Array, " N"]
    hit: Bool[Array, " N"]
    residual: Float[Array, " N"]
    cosine: Float[Array, " N"]
    distance_min: Float[Array, " N"]
    t_min: Float[Array, " N"]
    num_evaluations: Int[Array, " N"]
    status: Int[Array, " N"]


class _Branch(NamedTuple):
    """What the solver decided and the derivative takes as given."""

    hit: Bool[Array, " N"]
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
    lipschitz: float | None = 1.0,
    num_refine: int | None = None,
    grazing: float = 0.05,
    smallest_batch: int = 128,
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
            field is 1; None estimates it from what all rays meet, for a field of unknown slope.
        num_refine: Illinois steps in the bracket; by default what reaches the rounding error of the
            dtype: 4 in single precision and 8 in double.
        grazing: least |cosine| the derivative divides by; 0 for none.
        smallest_batch: rays still under way go on alone in ever smaller batches, down to this many.
            Values depend on it by rounding at most, and not at all if N is a power of two.

    Raises:
        ValueError: shapes that do not fit together, or a setting that is not positive.
    """
    origins, directions = checked_rays(
        sdf, params, origins, directions, dmin=dmin, max_steps=max_steps, lipschitz=lipschitz
    )
    dtype = origins.dtype
    near, far = (jnp.broadcast_to(jnp.asarray(x, dtype), origins.shape[:1]) for x in (near, far))
    if num_refine is None:
        num_refine = 4 if dtype.itemsize <= 4 else 8

    def solve(theta: tuple) -> tuple[Array, _Branch, tuple]:
        params, origins, directions, near, far = theta

        def value_at(rays: tuple[Array, Array], t: Array) -> Array:
            origins, directions = rays
            return sdf(params, origins + t[:, None] * directions)

        rays = (origins, directions)
        along = functools.partial(value_at, rays)
        with jax.default_matmul_precision(PRECISION):
            ended = march(
                value_at,
                rays,
                near,
                far,
                dmin=dmin,
                max_steps=max_steps,
                lipschitz=lipschitz,
                smallest=smallest_batch,
            )
            hit = ended.status == HIT
            t = jnp.where(hit, refine(along, ended.t, ended.f, num_steps=num_refine), far)
            points = origins + t[:, None] * directions
            value, pullback = jax.vjp(lambda points: sdf(params, points), points)
            (normal,) = pullback(jnp.ones_like(value))
        length = jnp.sqrt(jnp.sum(normal * normal, axis=-1))
        slope = jnp.sum(normal * directions, axis=-1)
        cosine = jnp.where(hit & (length > 0), slope / jnp.where(length > 0, length, 1.0), 0.0)
        t_min = jnp.where(hit, t, ended.t_min)
        num_evaluations = ended.num_evaluations + jnp.where(hit, num_refine + 1, 0)
        stats = (jnp.where(hit, value, 0.0), cosine, t_min, num_evaluations, ended.status)
        return t, _Branch(hit, grazing * length), stats

    def residual(t: Array, branch: _Branch, theta: tuple) -> Array:
        params, origins, directions, near, far = theta
        # A miss has no equation of its own but t = far; its points stay out of the derivative.
        start = lax.stop_gradient(origins + near[:, None] * directions)
        points = jnp.where(branch.hit[:, None], origins + t[:, None] * directions, start)
        with jax.default_matmul_precision(PRECISION):
            return jnp.where(branch.hit, sdf(params, points), t - far)

    theta = (params, origins, directions, *lax.stop_gradient((near, far)))
    t, branch, stats = implicit.root(residual, solve, theta, tangent_solve=_entering)
    value, cosine, t_min, num_evaluations, status = stats
    with jax.default_matmul_precision(PRECISION):
        distance_min = sdf(params, origins + t_min[:, None] * directions)
    return Hits(t, branch.hit, value, cosine, distance_min, t_min, num_evaluations, status)


def _entering(linear: Callable[[Array], Array], b: Array, branch: _Branch) -> Array:
    """`implicit.diagonal` with the slope of a hit held below −eps |n|: it is known to enter."""
    slope = linear(jnp.ones_like(b))
    return b / jnp.where(branch.hit, jnp.minimum(slope, -branch.least_slope), slope)
