"""One step of training: a pure function of a state and a batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, Int

from neural_sdf.fields import Field
from neural_sdf.rendering import Renderer, Rendering
from neural_sdf.scenes import Batch, CameraModel, Pyramid
from neural_sdf.training.losses import LOSSES, OFF_OBJECT, Evidence, check_losses, sharpness
from neural_sdf.training.patches import compare
from neural_sdf.training.probes import known_along, probes

Metrics = dict[str, Any]


class Fault(NamedTuple):
    """The first step at which something was not finite.

    Attributes:
        step: counted from 1; 0 while there is none, [].
        terms: bit i is set if the i-th of `fault_terms` was not finite then, [].
    """

    step: Int[Array, ""]
    terms: Int[Array, ""]


class TrainState(NamedTuple):
    """All that a run remembers; everything else is a function of (seed, step).

    Attributes:
        step: updates done, [].
        params: {"field": ..., "renderer": ..., "cameras": ...}.
        opt_state: of the optimiser.
        memory: what the renderer remembers of the field.
        loss: running mean of the training loss over about a hundred steps, [].
        fault: what went wrong first.
    """

    step: Int[Array, ""]
    params: Any
    opt_state: Any
    memory: Any
    loss: Float[Array, ""]
    fault: Fault


class Model(NamedTuple):
    """What is trained: the three parts of the parameters, and how they learn.

    Attributes:
        field: shape and colour.
        renderer: made of the field.
        cameras: how pixels become rays.
        schedules: learning rate of each part, by the parts' names in `TrainState.params`.
        optimizer: made of the schedules.
    """

    field: Field
    renderer: Renderer
    cameras: CameraModel
    schedules: Mapping[str, optax.Schedule]
    optimizer: optax.GradientTransformation


def init_state(model: Model, num_views: int, key: Array) -> TrainState:
    """The state before the first update, for so many training views."""
    field_key, renderer_key = jax.random.split(key)
    params = {
        "field": model.field.init(field_key),
        "renderer": model.renderer.init(renderer_key),
        "cameras": model.cameras.init(num_views),
    }
    return TrainState(
        step=jnp.int32(0),
        params=params,
        opt_state=model.optimizer.init(params),
        memory=model.renderer.recall(params, jnp.float32(0)),
        loss=jnp.float32(0),
        fault=Fault(jnp.int32(0), jnp.int32(0)),
    )


def train_step(
    model: Model,
    *,
    steps: int,
    schedule_steps: int | None = None,
    weights: Mapping[str, float],
    log_every: int = 1,
    axis: str | None = None,
) -> Callable[..., tuple[TrainState, Metrics]]:
    """The step, (state, batch, photos) -> (state, metrics), to be jitted by the caller.

    The photos are those that the losses of `COMPARING` look into; None where no weight is for one.

    Args:
        model: what is trained.
        steps: of the whole run, updates.
        schedule_steps: after which the share of the run that is done counts as 1; `steps` if None.
        weights: of the losses, by their name in `LOSSES`.
        log_every: norms of parameters and updates, which cost a part of a step, are taken at every
            so many steps and at the last; they are zero at others.
        axis: of the mesh along which a batch is cut, inside `jax.shard_map`; None for one device.

    Raises:
        Mistake: a weight for a loss that does not exist, or that needs what the renderer lacks.
    """
    check_losses(weights, model.renderer)
    whole = steps if schedule_steps is None else schedule_steps

    def total(
        params: Any, memory: Any, batch: Batch, photos: Pyramid | None, share: Array
    ) -> tuple[Array, Any]:
        evidence = _evidence(
            model, params, memory, batch, photos, share, weights.keys() >= OFF_OBJECT
        )
        terms = {name: LOSSES[name].value(evidence) for name in weights}
        loss = sum((weights[name] * term for name, term in terms.items()), jnp.float32(0))
        seen = evidence.rendering
        return loss, ({"loss": loss, **terms}, {**seen.watch, **_against(seen, batch)})

    def step(
        state: TrainState, batch: Batch, photos: Pyramid | None = None
    ) -> tuple[TrainState, Metrics]:
        share = state.step / whole
        share = jnp.minimum(share, 1.0) if whole < steps else share
        memory = model.renderer.renew(state.memory, state.params, share, state.step)
        params = state.params if axis is None else lax.pcast(state.params, axis, to="varying")
        gradient, (terms, sums) = jax.grad(total, has_aux=True)(
            params, memory, batch, photos, share
        )
        if axis is not None:
            gradient, terms = lax.pmean((gradient, terms), axis)
            sums = lax.psum(sums, axis)
        updates: Any
        updates, opt_state = model.optimizer.update(gradient, state.opt_state, state.params)
        updates = {**updates, "field": model.field.anneal(updates["field"], share)}
        done, gradient_norm = state.step + 1, _norm(gradient)
        update_norm, parameter_norm = lax.cond(
            (done % log_every == 0) | (done == steps),
            lambda: (_norm(updates), _norm(state.params)),
            lambda: (jnp.zeros_like(gradient_norm),) * 2,
        )
        new = TrainState(
            step=done,
            params=optax.apply_updates(state.params, updates),
            opt_state=opt_state,
            memory=memory,
            loss=_running_mean(state, terms["loss"]),
            fault=_first_fault(state, [terms[name] for name in weights], gradient_norm),
        )
        watched = {
            "learning_rate": model.schedules["field"](state.step),
            **({"sharpness": sharpness(share)} if "mask" in weights else {}),
            "gradient_norm": gradient_norm,
            "update_norm": update_norm,
            "parameter_norm": parameter_norm,
        }
        return new, {**terms, **_ratios(sums), **watched}

    return step


def _evidence(
    model: Model,
    params: Any,
    memory: Any,
    batch: Batch,
    photos: Pyramid | None,
    share: Array,
    passing: bool,
) -> Evidence:
    """What the step knows, as functions of the parameters; `passing` as in `probes`."""
    rays = model.cameras.rays(params["cameras"], batch)
    seen = model.renderer.render(params, memory, rays, batch.keys, share)
    known = known_along(batch, rays)
    asked = probes(batch, rays, known, passing=passing)
    distances, gradients, _ = model.field.at(share).surface(params["field"], asked.points)
    compared = None
    if photos is not None:
        cameras = functools.partial(model.cameras.rays, params["cameras"])
        compared = compare(photos, cameras, batch, rays, seen, share)
    gradients = jnp.concatenate([gradients, seen.gradients])
    return Evidence(rays, seen, batch, gradients, share, known, asked, distances, compared)


def fault_terms(losses: Iterable[str]) -> list[str]:
    """What the bits of `Fault.terms` stand for, given the losses in the order of their weights."""
    return [*losses, "gradient"]


def _norm(tree: Any) -> Array:
    """Euclidean, of all numbers in the tree, []; one sum, where each array's would be compiled."""
    return jnp.linalg.norm(ravel_pytree(tree)[0])


def _first_fault(state: TrainState, terms: list[Array], gradient_norm: Array) -> Fault:
    bad = jnp.stack([~jnp.isfinite(x) for x in (*terms, gradient_norm)])
    bits = jnp.sum(bad * 2 ** jnp.arange(len(bad)))
    first = (state.fault.step == 0) & bad.any()
    fault = Fault(state.step + 1, bits.astype(jnp.int32))
    return jax.tree.map(lambda new, old: jnp.where(first, new, old), fault, state.fault)


def _running_mean(state: TrainState, loss: Array) -> Array:
    return state.loss + (loss - state.loss) / jnp.minimum(state.step + 1, 100)


def _against(seen: Rendering, batch: Batch) -> dict[str, tuple[Array, Array]]:
    """What a person watches of a rendering against its photos, as sums and counts."""
    both = seen.mask & batch.mask
    squares = jnp.sum(jnp.where(both[:, None], (seen.rgb - batch.rgb) ** 2, 0.0))
    return {
        "hit_rate": (jnp.sum(seen.mask), jnp.float32(len(both))),
        "square_error": (squares, 3.0 * jnp.sum(both)),
        "mask_error": (jnp.sum(seen.mask != batch.mask), jnp.float32(len(both))),
    }


def _ratios(sums: dict[str, tuple[Array, Array]]) -> Metrics:
    """The mean of each figure; of colours as peak signal-to-noise ratio in dB, NaN of no ray."""
    ratios = {name: total / jnp.maximum(count, 1) for name, (total, count) in sums.items()}
    psnr = -10 * jnp.log10(jnp.maximum(ratios.pop("square_error"), 1e-10))
    return {"psnr": jnp.where(sums["square_error"][1] > 0, psnr, jnp.nan), **ratios}
