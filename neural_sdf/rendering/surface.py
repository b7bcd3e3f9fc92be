"""The image of a surface: one hit a ray, coloured by the field's radiance there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Bool, Float

from neural_sdf.fields import Field
from neural_sdf.geometry import Rays, clip_to_sphere
from neural_sdf.geometry.shapes import safe_norm
from neural_sdf.tracing import GRAZING, PRECISION, Hits, trace


class Rendering(NamedTuple):
    """What each ray sees inside the unit sphere.

    Attributes:
        rgb: radiance at the hit in [0, 1]; the background on a miss, [N, 3].
        depth: distance along the ray in scene units; zero on a miss, [N].
        normal: outward unit normal in the scene frame; zero on a miss, [N, 3].
        mask: whether the ray hits, [N].
        distance_min: closest approach: least field value met along the ray, its place taken as
            constant; differentiable, on a hit once, [N].
        gradient: of the field at the hit, or on a miss at the closest approach; not normalised,
            [N, 3].
        hits: what the tracer reports.
    """

    rgb: Float[Array, "N 3"]
    depth: Float[Array, " N"]
    normal: Float[Array, "N 3"]
    mask: Bool[Array, " N"]
    distance_min: Float[Array, " N"]
    gradient: Float[Array, "N 3"]
    hits: Hits


def render_surface(
    field: Field,
    params: Any,
    rays: Rays,
    *,
    background: Float[ArrayLike, "..."] = 1.0,
    dmin: float = 2e-3,
    max_steps: int = 128,
    known: Any = None,
    tracer: Callable[..., Hits] = trace,
) -> Rendering:
    """Renders rays against the field inside the unit sphere of the scene frame.

    Differentiable in params and rays through the point of the hit, the normal and the feature
    there; a ray that misses gives a constant colour.

    Args:
        field: shape and colour.
        params: its parameters.
        rays: in the scene frame, [N].
        background: colour of rays that miss, a grey or [3].
        dmin: least march step, see `tracing.trace`.
        max_steps: march steps before a ray counts as a miss.
        known: samples of the field that rays start from, see `tracing.trace`.
        tracer: `tracing.trace`, or what is called as it is.
    """
    origins, directions = rays
    near, far, _ = clip_to_sphere(origins, directions)
    limits = {"near": near, "far": far, "dmin": dmin, "max_steps": max_steps}
    hits = tracer(field.sdf, params, origins, directions, **limits, known=known)
    # Misses are shaded too, shapes being fixed, at a point whose value and gradient are of use.
    points = origins + hits.t_min[:, None] * directions
    # As precisely as the tracer, so that the compiler sees one evaluation in its and in this.
    with jax.default_matmul_precision(PRECISION):
        distance, gradient, feature = field.surface(params, points)
    rgb = field.radiance(params, points, gradient, directions, feature)
    length = safe_norm(gradient)[:, None]
    normal = gradient / jnp.where(length > 0, length, 1.0)
    hit = hits.hit[:, None]
    return Rendering(
        rgb=jnp.where(hit, rgb, jnp.asarray(background, rgb.dtype)),
        depth=jnp.where(hits.hit, hits.t, 0.0),
        normal=jnp.where(hit, normal, 0.0),
        mask=hits.hit,
        distance_min=_distance_at_rest(hits, distance, gradient, directions),
        gradient=gradient,
        hits=hits,
    )


def _distance_at_rest(
    hits: Hits, distance: Array, gradient: Array, directions: Array
) -> Float[Array, " N"]:
    """`hits.distance_min` from the one evaluation at the surface.

    At a hit that moves with the field, f(t(θ), θ) = 0 has no derivative. At the same point at rest
    it has ∂f/∂θ·dθ + n·(do + t dd) = −s dt, which is the rule of the hit, backwards.
    """
    slope = jnp.sum(gradient * directions, axis=-1)
    least = -GRAZING * safe_norm(gradient)
    moved = hits.t - lax.stop_gradient(hits.t)
    return jnp.where(hits.hit, -lax.stop_gradient(jnp.minimum(slope, least)) * moved, distance)
