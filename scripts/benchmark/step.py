"""A training step with other searches for the same hits, and what each search asks of the field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from measure import Row, alternating_times, compare, ratio, spread
from next_step import NextStep, compiled_step, hits_of, rays_of, search, unknowing
from searches import dense_trace, given, plain_trace

from neural_sdf.rendering import surface
from neural_sdf.tracing import trace
from neural_sdf.training import TrainState


def step_times(programs: Mapping[str, Callable[[], Any]]) -> list[Row]:
    """The whole step and the same with other searches, which `searching_steps` compiles."""
    times = alternating_times(programs, ())
    floors, whole, plain = times["hits_given"], times["whole"], times["plain"]
    return [
        *compare("step", times, "ms"),
        Row("step_over_hits_given", ratio(whole, floors), ""),
        Row("step_over_plain", ratio(plain, whole), ""),
    ]


def searching_steps(now: NextStep) -> dict[str, Callable[[], tuple[TrainState, dict]]]:
    """The next step by each of the searches, compiled."""
    given_to = unknowing(now.state), now.batch
    others = {"halving": trace, "plain": plain_trace, "idr": dense_trace}
    floor = compiled_step(now, given(hits_of(now)), knows=False)
    return {
        "hits_given": partial(floor, *given_to, photos=now.photos),
        "whole": partial(compiled_step(now), now.state, now.batch, photos=now.photos),
        **{
            name: partial(compiled_step(now, tracer, knows=False), *given_to, photos=now.photos)
            for name, tracer in others.items()
        },
    }


def evaluations(now: NextStep) -> list[Row]:
    """How often the network is asked while the hits are searched for, a ray."""
    rays = rays_of(now, now.batch)
    num_rays = len(rays.origins)
    searches = {
        "whole": (trace, now.state.memory),
        "halving": (trace, None),
        "plain": (plain_trace, None),
        "idr": (dense_trace, None),
    }
    rows = []
    for name, (tracer, memory) in searches.items():
        found = search(now, tracer)(now.state.params, memory, rays)
        rows += [
            Row(f"cost.{name}_paid", spread([int(found.num_paid) / num_rays]), ""),
            Row(f"cost.{name}_useful", spread([float(jnp.mean(found.num_evaluations))]), ""),
        ]
    return [*rows, Row("cost.refresh", spread([evaluations_of_renewal(now) / num_rays]), "")]


def evaluations_of_renewal(now: NextStep) -> int:
    """How often a step asks the network to keep its known distances up to date."""
    asked = []

    def counted(params: Any, points: Array) -> Array:
        asked.append(len(points))
        return now.trained.field.sdf(params, points)

    renew = surface(now.trained.field._replace(sdf=counted)).renew
    state = now.state
    jax.eval_shape(renew, state.memory, state.params, jnp.float32(1), state.step)
    return sum(asked)
