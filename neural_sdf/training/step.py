"""One step of training: a pure function of state and scene."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Int

from neural_sdf.fields import Field
from neural_sdf.mistake import Mistake
from neural_sdf.rendering import Rendering
from neural_sdf.scenes import Drawn, Scene, drawn_batch, sample_batch
from neural_sdf.tracing import MAX_STEPS, DistanceGrid, refresh, sample_grid
from neural_sdf.training.losses import LOSSES, Evidence

Render = Callable[..., Rendering]


class TrainState(NamedTuple):
    """All that a run remembers; everything else is a function of (seed, step).

    Attributes:
        step: updates done, [].
        params: of the field.
        opt_state: of the optimiser.
        known: coarse samples of the field, refreshed in turn, that rays start from; None for none.
        loss: running mean of the training loss over about a hundred steps, [].
    """

    step: Int[Array, ""]
    params: Any
    opt_state: Any
    known: DistanceGrid | None
    loss: Float[Array, ""]


def init_state(field: Field, optimizer: optax.GradientTransformation, key: Array) -> TrainState:
    """The state before the first update."""
    params = field.init(key)
    known = sample_grid(field.sdf, params)
    return TrainState(jnp.int32(0), params, optimizer.init(params), known, jnp.float32(0))


def step_keys(seed: int, step: Int[ArrayLike, ""]) -> tuple[Array, Array]:
    """The keys of a step's batch and of its points off the surface."""
    batch_key, point_key = jax.random.split(jax.random.fold_in(jax.random.key(seed), step))
    return batch_key, point_key


def train_step(
    field: Field,
    render: Render,
    optimizer: optax.GradientTransformation,
    *,
    seed: int,
    steps: int,
    batch_size: int,
    weights: Mapping[str, float],
    sharpness: Callable[[Array], Array],
) -> jax.stages.Wrapped:
    """The jitted step, (state, photos) -> (state, metrics); the state passed in is used up.

    Photos are a whole scene, which the step draws from, or the pixels that `data.HostFeed` drew.

    Args:
        field: what is trained.
        render: (params, rays, *, known) -> Rendering.
        optimizer: its learning-rate schedule included.
        seed: with the step number, the only source of randomness.
        steps: of the whole run, updates; the share done goes to `field.anneal`.
        batch_size: rays a step; half as many points off the surface serve the eikonal term.
        weights: of the losses, by their name in `LOSSES`.
        sharpness: α of the mask loss at a step.

    Raises:
        Mistake: a weight for a loss that does not exist.
    """
    unknown = sorted(set(weights) - set(LOSSES))
    if unknown:
        raise Mistake(
            f"loss name {unknown[0]!r} is unknown; expected some of {sorted(LOSSES)}",
            setting="weights",
        )

    def total(
        params: Any, batch: Any, points: Array, known: DistanceGrid | None, step: Array
    ) -> tuple[Array, dict]:
        rendering = render(params, batch.rays, known=known)
        _, gradients, _ = field.surface(params, points)
        gradients = jnp.concatenate([gradients, rendering.gradient])
        evidence = Evidence(rendering, batch, gradients, sharpness(step))
        terms = {name: LOSSES[name](evidence) for name in weights}
        loss = sum((weights[name] * term for name, term in terms.items()), jnp.float32(0))
        return loss, {"loss": loss, **terms, **_progress(rendering, batch)}

    def step(state: TrainState, photos: Scene | Drawn) -> tuple[TrainState, dict[str, Array]]:
        batch_key, point_key = step_keys(seed, state.step)
        if isinstance(photos, Drawn):
            batch = drawn_batch(photos)
        else:
            batch = sample_batch(batch_key, photos, batch_size)
        points = jax.random.uniform(point_key, (batch_size // 2, 3), minval=-1.0, maxval=1.0)
        known = state.known
        if known is not None:
            known = refresh(known, field.sdf, state.params, state.step)
        gradient, metrics = jax.grad(total, has_aux=True)(
            state.params, batch, points, known, state.step
        )
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        updates = field.anneal(updates, state.step / steps)
        params = optax.apply_updates(state.params, updates)
        share = 1 / jnp.minimum(state.step + 1, 100)
        average = state.loss + share * (metrics["loss"] - state.loss)
        if known is not None:
            metrics["drift"] = known.drift
        return TrainState(state.step + 1, params, opt_state, known, average), metrics

    return jax.jit(step, donate_argnums=0)


def _progress(rendering: Rendering, batch: Any) -> dict[str, Array]:
    """What a person watches: not part of the loss."""
    hits, both = rendering.hits, rendering.mask & batch.mask
    squares = jnp.sum(jnp.where(both[:, None], (rendering.rgb - batch.rgb) ** 2, 0.0))
    mean_square = squares / jnp.maximum(3 * jnp.sum(both), 1)
    grazing = hits.hit & (jnp.abs(hits.cosine) < 0.05)
    return {
        "psnr": -10 * jnp.log10(jnp.maximum(mean_square, 1e-10)),
        "hit_rate": jnp.mean(hits.hit),
        "mask_error": jnp.mean(rendering.mask != batch.mask),
        "grazing": jnp.mean(grazing),
        "unfinished": jnp.mean(hits.status == MAX_STEPS),
        "evaluations": hits.num_paid / len(hits.t),
    }


def adam(
    *, learning_rate: float, steps: int, warmup: int, decay: str = "cosine", final: float = 0.05
) -> optax.GradientTransformation:
    """Adam with a linear warm-up and a decay.

    Args:
        learning_rate: the highest.
        steps: of the whole run, updates.
        warmup: steps of the rise from zero.
        decay: "cosine", down to `final` times the highest at the last step; or "halving", at
            1/2 and 3/4 of the run as in IDR, which leaves a quarter.
        final: of the cosine.

    Raises:
        Mistake: an unknown decay.
    """
    if decay not in ("cosine", "halving"):
        raise Mistake(
            f"decay {decay!r} is unknown; expected one of ['cosine', 'halving']", setting="decay"
        )
    after = max(steps - warmup, 1)
    if decay == "cosine":
        falling = optax.cosine_decay_schedule(learning_rate, after, alpha=final)
    else:
        halvings = {steps // 2 - warmup: 0.5, 3 * steps // 4 - warmup: 0.5}
        falling = optax.piecewise_constant_schedule(learning_rate, halvings)
    rising = optax.linear_schedule(0.0, learning_rate, max(warmup, 1))
    return optax.adam(optax.join_schedules([rising, falling], [warmup]))


def doubling_sharpness(
    step: Int[Array, ""], *, steps: int, first: float = 50.0, doublings: int = 5
) -> Float[Array, ""]:
    """α of the mask loss: doubled after each eighth of the run, five times as in IDR."""
    return first * 2.0 ** jnp.minimum(8 * step // max(steps, 1), doublings)
