"""Traced hits against dense sampling: whether any is lost, invented or elsewhere."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from figures.measure import Row, spread
from neural_sdf.geometry import Rays, clip_to_sphere
from neural_sdf.tracing import DistanceGrid, trace

NUM_SAMPLES = 2000
NUM_HALVINGS = 40


def differences(
    sdf: Any, params: Any, rays: Rays, known: DistanceGrid | None, march: dict[str, Any]
) -> list[Row]:
    """Shares of rays whose hit is another than dense sampling finds, and errors of depth.

    A ray may be in doubt: one that all but touches (least |f| < 1e-3) or grazes (|cosine| < 0.05).

    Args:
        sdf: the field.
        params: its parameters.
        rays: to trace, [N].
        known: as the tracer takes it.
        march: further settings of the tracer.
    """
    near, far, _ = clip_to_sphere(*rays)
    hits = jax.jit(
        lambda params: trace(sdf, params, *rays, near=near, far=far, known=known, **march)
    )(params)
    hit, t, least = dense_hits(sdf, params, rays)
    error = np.abs(np.asarray(hits.t, np.float64) - t)
    both = hit & np.asarray(hits.hit)
    other = (hit != np.asarray(hits.hit)) | (both & (error > 1e-3))
    touching = np.minimum(np.abs(least), np.abs(np.asarray(hits.distance_min))) < 1e-3
    doubtful = (~both & touching) | (both & (np.asarray(hits.cosine) > -0.05))
    sure = both & ~doubtful & (error <= 1e-3)
    return [
        Row("hits.differ", spread([100 * float(np.mean(other))]), "%"),
        Row("hits.differ_beyond_doubt", spread([100 * float(np.mean(other & ~doubtful))]), "%"),
        Row("hits.depth_error_p99", spread([float(np.quantile(error[sure], 0.99))]), ""),
    ]


def dense_hits(sdf: Any, params: Any, rays: Rays) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First change of sign among dense samples, then bisection, in double precision.

    Returns:
        hit, t and the least sample on the way to it, [N] each.
    """

    def one(params: Any, ray: tuple[Array, ...]) -> tuple[Array, Array, Array]:
        origin, direction, near, far = ray
        ts = jnp.linspace(near, far, NUM_SAMPLES)
        values = sdf(params, origin + ts[:, None] * direction)
        first = jnp.argmax(values < 0)

        def halve(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
            middle = (ends[0] + ends[1]) / 2
            inside = sdf(params, (origin + middle * direction)[None])[0] < 0
            return jnp.where(inside, ends[0], middle), jnp.where(inside, middle, ends[1])

        _, t = lax.fori_loop(0, NUM_HALVINGS, halve, (ts[first - 1], ts[first]))
        return (values < 0).any() & (first > 0), t, jnp.min(values)

    with jax.enable_x64(True):
        double = jax.tree.map(lambda x: jnp.asarray(np.asarray(x), jnp.float64), (params, rays))
        near, far, _ = clip_to_sphere(*double[1])
        found = jax.jit(lambda params, rays: lax.map(lambda ray: one(params, ray), rays))
        hit, t, least = found(double[0], (*double[1], near, far))
    return np.asarray(hit), np.asarray(t), np.asarray(least)
