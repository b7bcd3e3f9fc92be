"""Traced hits against dense sampling: whether any is lost, invented or elsewhere."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from measure import Row, spread
from next_step import NextStep, rays_of

from neural_sdf.geometry import Rays, clip_to_sphere
from neural_sdf.scenes import DeviceFeed
from neural_sdf.tracing import DistanceGrid, trace

NUM_SAMPLES = 2000
NUM_HALVINGS = 40


def hit_differences(now: NextStep, num_rays: int = 8192) -> list[Row]:
    """Of the step's own search, known distances included, and of an image's."""
    config = now.trained.config
    batch = DeviceFeed(now.scene, num_rays, config.seed)(now.trained.step)
    image = {name: config.render[name] for name in ("dmin", "max_steps")}
    settings = {"step": config.train.render.to_dict(), "image": image}
    field, params = now.trained.field, now.trained.params["field"]
    problem = (field.sdf, params, rays_of(now, batch), now.state.memory)
    return [row for name, own in settings.items() for row in differences(name, *problem, own)]


def differences(
    name: str,
    sdf: Any,
    params: Any,
    rays: Rays,
    known: DistanceGrid | None,
    march: dict[str, Any],
) -> list[Row]:
    """Shares of rays whose hit is another than dense sampling finds, and errors of depth.

    A ray may be in doubt: one that all but touches (least |f| < 1e-3) or grazes (|cosine| < 0.05).

    Args:
        name: of the rows.
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
    ours, cosine = np.asarray(hits.hit), np.asarray(hits.cosine)
    error = np.abs(np.asarray(hits.t, np.float64) - t)
    both = hit & ours
    other = (hit != ours) | (both & (error > 1e-3))
    ours_least = np.where(ours, np.inf, np.abs(np.asarray(hits.value)))
    touching = np.minimum(np.abs(least), ours_least) < 1e-3
    doubtful = (other & touching) | (ours & (cosine > -0.05))
    sure = both & ~other & ~doubtful
    return [
        Row(f"hits.{name}_differ", spread([100 * float(np.mean(other))]), "%"),
        Row(f"hits.{name}_beyond_doubt", spread([100 * float(np.mean(other & ~doubtful))]), "%"),
        Row(f"hits.{name}_depth_p99", spread([float(np.quantile(error[sure], 0.99))]), ""),
    ]


def dense_hits(sdf: Any, params: Any, rays: Rays) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First change of sign among dense samples, then bisection, in double precision.

    Returns:
        hit and t; and the least sample of the ray, or of the first stretch of a hit that lies
        inside: how deep a hit goes, [N] each.
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
        hit = (values < 0).any() & (first > 0)
        stretch = jnp.cumsum((values >= 0) & (jnp.arange(NUM_SAMPLES) > first)) == 0
        inside = stretch & (jnp.arange(NUM_SAMPLES) >= first)
        return hit, t, jnp.where(hit, jnp.min(values, where=inside, initial=0.0), jnp.min(values))

    with jax.enable_x64(True):
        double = jax.tree.map(lambda x: jnp.asarray(np.asarray(x), jnp.float64), (params, rays))
        near, far, _ = clip_to_sphere(*double[1])
        found = jax.jit(lambda params, rays: lax.map(lambda ray: one(params, ray), rays))
        hit, t, least = found(double[0], (*double[1], near, far))
    return np.asarray(hit), np.asarray(t), np.asarray(least)
