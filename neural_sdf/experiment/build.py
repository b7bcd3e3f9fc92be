"""What a config builds: field, renderer, state and step, and the step compiled."""

from __future__ import annotations

import copy
import functools
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from neural_sdf.experiment.choices import check_settings, chosen
from neural_sdf.fields import FIELDS, Field
from neural_sdf.machine.memory import gib
from neural_sdf.machine.programs import seal_programs
from neural_sdf.mistake import Mistake
from neural_sdf.rendering import RENDERERS, Rendering
from neural_sdf.scenes import DeviceFeed, Drawn, HostFeed, Scene, drawn_shapes
from neural_sdf.training import (
    TrainState,
    adam,
    compile_within,
    doubling_sharpness,
    init_state,
    step_keys,
    train_step,
)

Config = Any  # a ConfigDict, whose attributes no type checker knows


class Run(NamedTuple):
    """What a config builds besides the scene.

    Attributes:
        field: shape and colour.
        render: (params, rays, *, background, known) -> Rendering, as finely as images are made.
        init: makes the state before the first step.
        step: (state, photos) -> (state, metrics), jitted; the state passed in is used up.
    """

    field: Field
    render: Callable[..., Rendering]
    init: Callable[[], TrainState]
    step: jax.stages.Wrapped


def build(config: Config) -> Run:
    """Field, renderer, state and step of a config.

    Raises:
        Mistake: a name or a number that cannot be used.
    """
    settings = config.train
    for name in ("steps", "batch_size", "log_every", "checkpoint_every"):
        if settings[name] < 1:
            raise Mistake(f"train {name} is {settings[name]}; expected at least 1", setting=name)
    _check_not_negative(settings)
    if not settings.device_photos >= 0:
        raise Mistake(
            f"train device_photos is {settings.device_photos}; expected GiB, at least 0",
            setting="device_photos",
        )
    field = chosen(FIELDS, config.field, "field")()
    check_coarse(config)
    render = functools.partial(chosen(RENDERERS, config.render, "render"), field)
    coarse = functools.partial(render, **settings.render)
    optimizer = adam(
        learning_rate=settings.learning_rate,
        steps=settings.steps,
        warmup=settings.warmup,
        decay=settings.decay,
    )
    step = train_step(
        field,
        coarse,
        optimizer,
        seed=config.seed,
        steps=settings.steps,
        batch_size=settings.batch_size,
        weights=settings.weights.to_dict(),
        sharpness=functools.partial(doubling_sharpness, steps=settings.steps),
    )
    # One program: operation by operation, a hundred small ones would be compiled.
    init = jax.jit(functools.partial(init_state, field, optimizer))
    init = functools.partial(init, jax.random.key(config.seed))
    return Run(field, render, init, step)


def check_coarse(config: Config) -> None:
    """Refuses what training lays over the settings of the renderer, if it is none of them."""
    name = config.render.get("name")
    if name in RENDERERS:
        settings = config.train.render.to_dict()
        check_settings(RENDERERS[name], settings, f"render {name}", "train.render")


def compile_step(
    config: Config, scene: Scene, *, available: int | None
) -> Callable[[TrainState, Scene | Drawn], tuple[TrainState, dict]]:
    """The run's step, compiled before the first; prints the time and the memory that it needs.

    Args:
        config: of the run.
        scene: that is trained on.
        available: bytes that the step may take, scene and state included; None for no limit.

    Raises:
        Mistake: it needs more; names the largest batch that does not.
    """

    def lower(batch_size: int) -> jax.stages.Lowered:
        other = copy.deepcopy(config)
        other.train.batch_size = batch_size
        run = build(other)
        photos = jax.eval_shape(lambda x: x, scene)
        if not fits_device(config, scene):
            photos = drawn_shapes(scene, batch_size)
        return run.step.lower(jax.eval_shape(run.init), photos)

    start = time.perf_counter()
    program, needed = compile_within(lower, config.train.batch_size, available)
    seal_programs()
    seconds = time.perf_counter() - start
    limit = "" if available is None else f" of {gib(available)}"
    print(f"compiled the step in {seconds:.1f} s; it needs {gib(needed)}{limit}", flush=True)
    return program


def fits_device(config: Config, scene: Scene) -> bool:
    """Whether the photos are within the budget for the device, `config.train.device_photos`."""
    return scene.rgb.nbytes + scene.mask.nbytes <= config.train.device_photos * 2**30


def photo_feed(config: Config, scene: Scene) -> DeviceFeed | HostFeed:
    """What gives the step its photos: all at once if the device has room, else a batch a step."""
    if fits_device(config, scene):
        return DeviceFeed(scene)
    return HostFeed(scene, config.train.batch_size, lambda step: step_keys(config.seed, step)[0])


def _check_not_negative(settings: Config) -> None:
    """Refuses a learning rate, a warm-up or a weight that would train away from the photos."""
    numbers = {"learning_rate": settings.learning_rate, "warmup": settings.warmup}
    numbers |= {f"weights.{name}": weight for name, weight in settings.weights.items()}
    for name, value in numbers.items():
        if not 0 <= value < math.inf:
            raise Mistake(
                f"train {name} is {value}; expected a finite number of at least 0", setting=name
            )
