"""The image of a surface: one hit a ray, coloured by the field's radiance there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from neural_sdf.fields import Field
from neural_sdf.geometry import Rays, clip_to_sphere
from neural_sdf.geometry.shapes import safe_norm
from neural_sdf.mistake import Mistake
from neural_sdf.rendering.renderer import Renderer, Rendering, Watch
from neural_sdf.tracing import (
    GRAZING,
    MAX_STEPS,
    PRECISION,
    DistanceGrid,
    Hits,
    least_distance,
    refresh,
    sample_grid,
    trace,
)


def surface(
    field: Field,
    *,
    dmin: float = 2e-3,
    max_steps: int = 128,
    tracer: Callable[..., Hits] = trace,
) -> Renderer:
    """The first surface on each ray inside the unit sphere of the scene frame.

    Differentiable in params and rays through the point of the hit, the normal and the feature
    there. It learns nothing itself, and remembers coarse samples of the field that let rays start
    near the surface.

    Args:
        field: shape and colour.
        dmin: least march step, scene units, see `tracing.trace`.
        max_steps: march steps before a ray counts as a miss.
        tracer: `tracing.trace`, or what is called as it is.

    Raises:
        Mistake: a step or a count with which no ray can find the surface.
    """
    _check_march(dmin, max_steps)

    def recall(params: Any, share: Array) -> DistanceGrid:
        return sample_grid(field.at(share).sdf, params["field"])

    def renew(memory: DistanceGrid, params: Any, share: Array, step: Array) -> DistanceGrid:
        return refresh(memory, field.at(share).sdf, params["field"], step)

    def render(
        params: Any, memory: DistanceGrid | None, rays: Rays, keys: Array, share: Array
    ) -> Rendering:
        near, far, _ = clip_to_sphere(*rays)
        limits = {"near": near, "far": far, "dmin": dmin, "max_steps": max_steps}
        now = field.at(share)
        hits = tracer(now.sdf, params["field"], *rays, **limits, known=memory)
        watch = (
            _watch(hits)
            if memory is None
            else {**_watch(hits), "drift": (memory.drift, jnp.float32(1))}
        )
        return _shaded(now, params["field"], rays, hits)._replace(watch=watch)

    return Renderer(lambda key: {}, recall, renew, render)


def _check_march(dmin: float, max_steps: int) -> None:
    if not 0 < dmin < 1:
        raise Mistake(
            f"render dmin is {dmin}; expected more than 0 and, in scene units, less than the radius"
            " of the region of interest, which is 1",
            setting="dmin",
        )
    if not 1 <= max_steps < 2**31:
        raise Mistake(
            f"render max_steps is {max_steps}; expected at least 1 and less than 2^31",
            setting="max_steps",
        )


def _shaded(field: Field, params: Any, rays: Rays, hits: Hits) -> Rendering:
    """Colour and normal of what was hit.

    Misses are shaded too, shapes being fixed, at a point whose value and gradient are of use.
    """
    origins, directions = rays
    points = origins + hits.t[:, None] * directions
    # As precisely as the tracer, so that the compiler sees one evaluation in its and in this.
    with jax.default_matmul_precision(PRECISION):
        distance, gradient, feature = field.surface(params, points)
    rgb = field.radiance(params, points, gradient, directions, feature)
    length = safe_norm(gradient)[:, None]
    normal = gradient / jnp.where(length > 0, length, 1.0)
    hit = hits.hit[:, None]
    return Rendering(
        rgb=jnp.where(hit, rgb, 0.0),
        opacity=hits.hit.astype(rgb.dtype),
        depth=jnp.where(hits.hit, hits.t, 0.0),
        normal=jnp.where(hit, normal, 0.0),
        mask=hits.hit,
        gradients=gradient,
        distance_min=least_distance(hits, directions, distance, gradient),
        watch={},
    )


def _watch(hits: Hits) -> Watch:
    """How the search went, over all rays."""
    grazing = hits.hit & (jnp.abs(hits.cosine) < GRAZING)
    sums = {
        "grazing": jnp.sum(grazing),
        "unfinished": jnp.sum(hits.status == MAX_STEPS),
        "evaluations": hits.num_paid,
    }
    return {name: (total, jnp.float32(len(hits.t))) for name, total in sums.items()}
