"""How near a ray comes to a surface, over its whole chord."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Bool, Float

from neural_sdf import implicit
from neural_sdf.tracing.bracket import refine
from neural_sdf.tracing.march import PRECISION, checked_rays


class Approach(NamedTuple):
    """The closest approach of each ray.

    Attributes:
        distance: least field value on the chord, negative if the ray goes through the shape, [N].
        t: where that is along the ray, scene units, [N].
        interior: whether it is a stationary point between the ends; else it is an end, or a kink
            of the field, and moves with the chord only, [N].
    """

    distance: Float[Array, " N"]
    t: Float[Array, " N"]
    interior: Bool[Array, " N"]


class _Branch(NamedTuple):
    """What the solver decided and the derivative takes as given."""

    interior: Bool[Array, " N"]
    share: Float[Array, " N"]  # of the way from near to far; 0 and 1 are the ends


def closest_approach(
    sdf: Callable[[Any, Array], Array],
    params: Any,
    origins: ArrayLike,
    directions: ArrayLike,
    *,
    near: Float[ArrayLike, "..."],
    far: Float[ArrayLike, "..."],
    num_samples: int = 64,
    num_refine: int | None = None,
    least_curvature: float = 1e-2,
) -> Approach:
    """The least value of `sdf` between `near` and `far`, in front of a surface and behind it.

    t is a root of the directional derivative g = n·d (`implicit.root`), so that both t and distance
    are differentiable with respect to params, origins, directions, near and far, forward and
    reverse, at any order:

        dt = −(∂g/∂θ·dθ + …) / g',    g' = dᵀ H d, held above `least_curvature`.

    With t taken as constant the first derivative of the distance would be the same (envelope
    theorem) and its second derivative wrong.

    >>> ball = lambda radius, points: jnp.linalg.norm(points, axis=-1) - radius
    >>> ray = (jnp.array([[0.0, 0.8, -3.0]]), jnp.array([[0.0, 0.0, 1.0]]))
    >>> miss = lambda radius: closest_approach(ball, radius, *ray, near=0.0, far=6.0).distance[0]
    >>> print(miss(0.5), jax.grad(miss)(0.5))
    0.3 -1.0

    Args:
        sdf: distances [N] of points [N, 3], negative inside.
        params: what `sdf` depends on, any tree of arrays.
        origins: scene units, [N, 3].
        directions: unit length, [N, 3].
        near: where chords start, a number or [N].
        far: where they end, likewise.
        num_samples: pieces that a chord is first cut into. A dip narrower than one can be missed;
            the distance is then too great by at most half a piece times the field's slope.
        num_refine: Illinois steps between two samples, of two evaluations each; by default 6 in
            single precision and 12 in double.
        least_curvature: least g' that the derivative divides by, 1 / scene units: along a flat
            face the closest point is not determined.

    Raises:
        ValueError: shapes that do not fit together, or a setting that is not positive.
    """
    settings = {"num_samples": num_samples, "least_curvature": least_curvature}
    origins, directions, near, far = checked_rays(
        sdf, params, origins, directions, (near, far), **settings
    )
    dtype = origins.dtype
    if num_refine is None:
        num_refine = 6 if dtype.itemsize <= 4 else 12

    def along(theta: tuple, t: Array) -> Array:
        params, origins, directions = theta[:3]
        with jax.default_matmul_precision(PRECISION):
            return sdf(params, origins + t[:, None] * directions)

    def slope(theta: tuple, t: Array) -> Array:
        return jax.jvp(lambda t: along(theta, t), (t,), (jnp.ones_like(t),))[1]

    def place(theta: tuple, share: Array) -> Array:
        near, far = theta[3:]
        return near + share * (far - near)

    def solve(theta: tuple) -> tuple[Array, _Branch, None]:
        share, least = _least_sample(lambda share: along(theta, place(theta, share)), num_samples)
        rising = slope(theta, place(theta, share)) > 0
        lower = jnp.where(rising, jnp.maximum(share - 1 / num_samples, 0.0), share)
        upper = jnp.where(rising, share, jnp.minimum(share + 1 / num_samples, 1.0))
        bracket = jnp.stack([place(theta, lower), place(theta, upper)])
        slopes = jnp.stack([slope(theta, t) for t in bracket])
        t = refine(lambda t: -slope(theta, t), bracket, -slopes, num_steps=num_refine)
        bracketed = (slopes[0] <= 0) & (slopes[1] >= 0) & (bracket[1] > bracket[0])
        # At a kink the slope changes sign without a root; rounding alone must not look like one.
        rounding = 16 * jnp.finfo(dtype).eps * (theta[4] - theta[3])
        interior = bracketed & (along(theta, t) <= least + rounding)
        return jnp.where(interior, t, place(theta, share)), _Branch(interior, share), None

    def residual(t: Array, branch: _Branch, theta: tuple) -> Array:
        return jnp.where(branch.interior, slope(theta, t), t - place(theta, branch.share))

    def tangent_solve(linear: Callable[[Array], Array], b: Array, branch: _Branch) -> Array:
        curvature = linear(jnp.ones_like(b))
        return b / jnp.where(branch.interior, jnp.maximum(curvature, least_curvature), curvature)

    theta = (params, origins, directions, near, far)
    t, branch, _ = implicit.root(residual, solve, theta, tangent_solve=tangent_solve)
    return Approach(along(theta, t), t, branch.interior)


def _least_sample(
    value: Callable[[Array], Array], num_samples: int
) -> tuple[Float[Array, " N"], Float[Array, " N"]]:
    """Where the least of evenly spaced samples lies, as a share of the way, and its value."""

    def step(best: tuple[Array, Array], share: Array) -> tuple[tuple[Array, Array], None]:
        share = jnp.broadcast_to(share, best[0].shape)
        new = value(share)
        closer = new < best[1]
        return (jnp.where(closer, share, best[0]), jnp.where(closer, new, best[1])), None

    first = value(jnp.zeros(()))
    shares = jnp.arange(1, num_samples + 1, dtype=first.dtype) / num_samples
    return lax.scan(step, (jnp.zeros_like(first), first), shares)[0]
