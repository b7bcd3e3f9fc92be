"""Other searches for the hits of a step, to compare with `tracing.trace`; the derivative is its."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from neural_sdf.tracing import HIT, MISS, Found, Hits, attach
from neural_sdf.tracing.bracket import refine


def given(hits: Hits) -> Callable[..., Hits]:
    """A tracer that knows its hits and asks the field for nothing."""
    nothing = jnp.zeros_like(hits.num_evaluations)
    found = Found(hits.t, hits.status, nothing, jnp.zeros_like(hits.num_paid))

    def tracer(sdf: Any, params: Any, origins: Array, directions: Array, **settings: Any) -> Hits:
        return attach(lambda *_: found, sdf, params, (origins, directions))

    return tracer


def plain_trace(sdf: Any, params: Any, origins: Array, directions: Array, **settings: Any) -> Hits:
    """The plain batched march: all rays until the slowest has ended, then all are refined."""
    dmin, max_steps = settings["dmin"], settings["max_steps"]
    near, far = lax.stop_gradient((settings["near"], settings["far"]))

    def find(params: Any, rays: Any) -> Found:
        def along(t: Array) -> Array:
            return sdf(params, rays[0] + t[:, None] * rays[1])

        def under_way(carry: tuple) -> Array:
            step, _, f, t, *_ = carry
            return (step < max_steps) & ((f >= 0) & (t < far)).any()

        def march(carry: tuple) -> tuple:
            step, before, f, t, least, at, count = carry
            active = (f >= 0) & (t < far)
            t_new = jnp.where(active, jnp.minimum(t + jnp.maximum(f, dmin), far), t)
            f_new = along(t_new)
            before = jnp.where(active, jnp.stack([t, f]), before)
            closer = f_new < least
            least, at = jnp.where(closer, f_new, least), jnp.where(closer, t_new, at)
            return step + 1, before, f_new, t_new, least, at, count + active

        f = along(near)
        begun = (
            jnp.int32(0),
            jnp.stack([near, f]),
            f,
            near,
            f,
            near,
            jnp.ones(len(near), jnp.int32),
        )
        step, before, f, t, _, at, count = lax.while_loop(under_way, march, begun)
        hit = (f < 0) & (t > near)
        ends, values = jnp.stack([before[0], t]), jnp.stack([before[1], f])
        root = refine(along, ends, values, num_steps=4)
        status = jnp.where(hit, HIT, MISS).astype(jnp.int32)
        paid = ((step + 1 + 4) * len(near)).astype(jnp.int32)
        return Found(jnp.where(hit, root, at), status, count + 4 * hit, paid)

    return attach(find, sdf, params, (origins, directions))


def dense_trace(sdf: Any, params: Any, origins: Array, directions: Array, **settings: Any) -> Hits:
    """IDR's search on fixed shapes (Yariv et al. 2020, appendix): all rays, all samples."""
    near, far = lax.stop_gradient((settings["near"], settings["far"]))

    def find(params: Any, rays: Any) -> Found:
        def along(t: Array) -> Array:
            return sdf(params, rays[0] + t[:, None] * rays[1])

        def march(_: Any, t: Array) -> Array:
            # To IDR's threshold, so that no rounding puts a ray inside before the samples begin.
            return jnp.clip(t + along(t) - 5e-5, near, far)

        def sample(share: Array, t: Array) -> tuple[Array, Array]:
            at = t + share * (far - t)
            return at, along(at)

        t = lax.fori_loop(0, 10, march, near)
        shares = jnp.linspace(0.0, 1.0, 100)
        ats, values = lax.map(lambda share: sample(share, t), shares)
        first = jnp.argmax(values < 0, axis=0)
        hit = (first > 0) & (jnp.min(values, axis=0) < 0)
        ends = jnp.stack([jnp.maximum(first - 1, 0), first])
        bracket = jnp.take_along_axis(ats, ends, axis=0)
        root = refine(along, bracket, jnp.take_along_axis(values, ends, axis=0), num_steps=8)
        least = jnp.take_along_axis(ats, jnp.argmin(values, axis=0)[None], axis=0)[0]
        count = jnp.full(len(t), 118, jnp.int32)
        status = jnp.where(hit, HIT, MISS).astype(jnp.int32)
        return Found(jnp.where(hit, root, least), status, count, jnp.sum(count))

    return attach(find, sdf, params, (origins, directions))
