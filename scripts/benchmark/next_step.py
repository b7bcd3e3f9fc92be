"""A trained field and all that its next step sees: what figures of training are measured on."""

from __future__ import annotations

import runpy
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.stages import Compiled

from neural_sdf.experiment.build import compared_photos, compared_shapes, loss_weights
from neural_sdf.experiment.photos import load_in_frame
from neural_sdf.experiment.train import train
from neural_sdf.experiment.workdir import Trained, load_trained
from neural_sdf.geometry import Rays, clip_to_sphere
from neural_sdf.rendering import surface
from neural_sdf.scenes import Batch, DeviceFeed, Pyramid, Scene
from neural_sdf.tracing import Hits, trace
from neural_sdf.training import TrainState, train_step

BATCH = 2048
QUICKSTART = Path(__file__).parents[2] / "configs/quickstart.py"

Tracer = Callable[..., Hits]


class NextStep(NamedTuple):
    """A run that was stopped, about to go on.

    Attributes:
        trained: the run; its renderer is `surface`.
        scene: its photos.
        state: after the last step, known distances up to date; the optimiser's is fresh.
        batch: of the next step.
        photos: that this step compares; None if it does not.
    """

    trained: Trained
    scene: Scene
    state: TrainState
    batch: Batch
    photos: Pyramid | None


def of_workdir(workdir: str) -> NextStep:
    """The next step of the run in a folder, or of configs/quickstart.py trained for the purpose."""
    with tempfile.TemporaryDirectory() as scratch:
        if not workdir:
            train(runpy.run_path(str(QUICKSTART))["get_config"](), scratch)
        trained = load_trained(workdir or scratch)
    return next_step(trained, load_in_frame(trained, workdir), BATCH)


def next_step(trained: Trained, scene: Scene, batch_size: int) -> NextStep:
    """The next step of a run, with so many rays."""
    memory = jax.jit(trained.run.model.renderer.recall)(trained.params, jnp.float32(trained.share))
    fresh = trained.run.init(int(scene.num_train))
    state = fresh._replace(params=trained.params, memory=memory, step=jnp.int32(trained.step))
    batch = DeviceFeed(scene, batch_size, trained.config.seed)(trained.step)
    num_bytes, config = scene.rgb.nbytes + scene.mask.nbytes, trained.config
    photos = compared_photos(scene, compared_shapes(config, num_bytes, int(scene.num_train)))
    return NextStep(trained, scene, state, batch, photos)


def compiled_step(
    now: NextStep,
    tracer: Tracer = trace,
    *,
    knows: bool = True,
    weights: Mapping[str, float] | None = None,
) -> Compiled:
    """The step that searches with `tracer`, to be called with state, batch and `photos`.

    Args:
        now: what it is compiled for.
        tracer: as `surface` takes it.
        knows: whether the renderer remembers distances; if not, the state is `unknowing`.
        weights: of its losses; the run's if None.
    """
    settings = now.trained.config.train
    model = now.trained.run.model
    renderer = surface(model.field, **settings.render.to_dict(), tracer=tracer)
    if not knows:
        renderer = renderer._replace(recall=lambda *_: None, renew=lambda *_: None)
    step = train_step(
        model._replace(renderer=renderer),
        steps=settings.steps,
        weights=loss_weights(settings) if weights is None else weights,
    )
    state = now.state if knows else unknowing(now.state)
    return jax.jit(step).lower(state, now.batch, photos=now.photos).compile()


def unknowing(state: TrainState) -> TrainState:
    """The state of a renderer that remembers nothing."""
    return state._replace(memory=None)


def rays_of(now: NextStep, batch: Batch) -> Rays:
    """The rays of a batch."""
    return now.trained.run.model.cameras.rays(now.trained.params["cameras"], batch)


def search(now: NextStep, tracer: Tracer = trace) -> Callable[[Any, Any, Rays], Hits]:
    """(params, memory, rays) -> what a step finds on them with `tracer`, jitted."""
    field, settings = now.trained.field, now.trained.config.train.render.to_dict()

    @jax.jit
    def find(params: Any, memory: Any, rays: Rays) -> Hits:
        near, far, _ = clip_to_sphere(*rays)
        limits = {"near": near, "far": far, **settings}
        return tracer(field.sdf, params["field"], *rays, **limits, known=memory)

    return find


def hits_of(now: NextStep) -> Hits:
    """What the next step finds."""
    return search(now)(now.state.params, now.state.memory, rays_of(now, now.batch))
