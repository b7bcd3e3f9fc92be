"""What a config builds: the model, its state and step, and the step compiled."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from neural_sdf.experiment.choices import LARGEST, check_settings, chosen
from neural_sdf.fields import FIELDS
from neural_sdf.machine.memory import gib
from neural_sdf.machine.programs import seal_programs
from neural_sdf.mistake import Mistake, within
from neural_sdf.rendering import RENDERERS, Renderer
from neural_sdf.scenes import (
    CAMERAS,
    Depths,
    DeviceFeed,
    HostFeed,
    ObjectPoints,
    Pyramid,
    Scene,
    batch_shapes,
    object_points,
)
from neural_sdf.stereo import agreed_depths, photo_pyramid, pyramid_shapes
from neural_sdf.training import (
    COMPARING,
    GUIDES,
    SPARSE,
    Model,
    TrainState,
    adam_by_part,
    compile_within,
    init_state,
    schedule,
    train_step,
)

Config = Any  # a ConfigDict, whose attributes no type checker knows
Step = Callable[..., tuple[TrainState, dict]]


class Run(NamedTuple):
    """What a config builds without its photos.

    Attributes:
        model: that is trained; its renderer is as coarse as pays while training.
        renderer: as finely as images are made.
        init: number of training views -> the state before the first step.
        shapes: the same as shapes and types alone, at no cost.
        step: (state, batch, photos) -> (state, metrics), jitted; the state passed in is used up.
    """

    model: Model
    renderer: Renderer
    init: Callable[[int], TrainState]
    shapes: Callable[[int], TrainState]
    step: jax.stages.Wrapped


def build(config: Config) -> Run:
    """Model, state and step of a config.

    Raises:
        Mistake: a name or a number that cannot be used.
    """
    settings = config.train
    _check_numbers(settings)
    if not 0 <= config.seed < 2**31:
        raise Mistake(f"seed is {config.seed}; expected at least 0, below 2^31", setting="seed")
    field = chosen(FIELDS, config.field, "field")()
    renderer = chosen(RENDERERS, config.render, "render")
    coarse = settings.render.to_dict()
    check_settings(renderer.func, coarse, f"render {config.render.name}", "train.render")
    with within("train.render"):
        rough = renderer(field, **coarse)
    with within("render"):
        fine = renderer(field)
    rate = learning_rate(settings)
    schedules = {"field": rate, "renderer": rate, "cameras": rate}
    model = Model(
        field=field,
        renderer=rough,
        cameras=chosen(CAMERAS, settings.cameras, "train.cameras")(),
        schedules=schedules,
        optimizer=adam_by_part(schedules, field.painted, settings.weight_decay),
    )
    step = train_step(
        model,
        steps=settings.steps,
        schedule_steps=settings.schedule_steps,
        weights=loss_weights(settings),
        log_every=settings.log_every,
    )
    # One program: operation by operation, a hundred small ones would be compiled.
    init = jax.jit(functools.partial(init_state, model), static_argnums=0)
    start = functools.partial(init, key=jax.random.key(config.seed))
    return Run(
        model=model,
        renderer=fine,
        init=start,
        shapes=lambda num_views: jax.eval_shape(functools.partial(start, num_views)),
        step=jax.jit(step, donate_argnums=0),
    )


def loss_weights(settings: Config) -> dict[str, float]:
    """Those of a config's section `train` that count."""
    return {name: weight for name, weight in settings.weights.items() if weight}


def learning_rate(settings: Config) -> Callable[..., Any]:
    """The learning rate of a config's section `train`, by the number of updates done."""
    return schedule(
        learning_rate=settings.learning_rate,
        steps=schedule_steps(settings),
        warmup=settings.warmup,
        decay=settings.decay,
    )


def schedule_steps(settings: Config) -> int:
    """Steps that the schedule of a config's section `train` is laid out over."""
    return settings.steps if settings.schedule_steps is None else settings.schedule_steps


def compile_step(
    run: Run,
    num_views: int,
    batch_size: int,
    photos: Pyramid | None = None,
    *,
    available: int | None,
) -> Step:
    """The run's step, compiled before the first; prints the time and the memory that it needs.

    It depends on settings and batch size alone: its stored program serves every photo set, or where
    photos are compared every one of about the size.

    Args:
        run: of a config.
        num_views: training views.
        batch_size: rays a step.
        photos: shapes of those that the step compares (`compared_shapes`).
        available: bytes that the step may take, state included; None for no limit.

    Raises:
        Mistake: it needs more; names the largest batch that does not.
    """
    state = run.shapes(num_views)
    start = time.perf_counter()
    program, needed = compile_within(
        lambda size: run.step.lower(state, batch_shapes(size), photos=photos),
        batch_size,
        available,
    )
    seal_programs()
    seconds = time.perf_counter() - start
    limit = "" if available is None else f" of {gib(available)}"
    print(f"compiled the step in {seconds:.1f} s; it needs {gib(needed)}{limit}", flush=True)
    return program


def fits_device(config: Config, num_bytes: int) -> bool:
    """Whether photos of so many bytes are within the budget, `config.train.device_photos`."""
    return num_bytes <= config.train.device_photos * 2**30


def photo_feed(config: Config, scene: Scene) -> DeviceFeed | HostFeed:
    """What gives the step its batches, from where the photos have room.

    The photos are compared with each other first, if a loss asks for what that tells.
    """
    fits = fits_device(config, scene.rgb.nbytes + scene.mask.nbytes)
    losses = loss_weights(config.train).keys()
    depths = _compared(scene) if GUIDES & losses else None
    sparse = _sparse(scene) if SPARSE & losses else None
    feed = DeviceFeed if fits else HostFeed
    return feed(scene, config.train.batch_size, config.seed, depths, sparse)


def compared_shapes(config: Config, num_bytes: int, num_views: int) -> Pyramid | None:
    """Shapes of the photos that a step compares, before they are read; None if no loss does.

    Args:
        config: whose `train.device_photos` they keep to.
        num_bytes: that the photos and masks take, or more.
        num_views: training views.
    """
    if not COMPARING & loss_weights(config.train).keys():
        return None
    return pyramid_shapes(num_bytes // 4, num_views, config.train.device_photos * 2**30)


def compared_photos(scene: Scene, shapes: Pyramid | None) -> Pyramid | None:
    """The photos of these shapes, for the step."""
    return None if shapes is None else photo_pyramid(scene, shapes)


def _sparse(scene: Scene) -> ObjectPoints | None:
    """The object's sparse points, None if there are none; prints how many."""
    points = object_points(scene)
    print(f"sparse points on the object: {len(points.places):,}", flush=True)
    return points if len(points.places) else None


def _compared(scene: Scene) -> Depths | None:
    """Depths that photos agree on; prints how long that took and what it gave."""
    start = time.perf_counter()
    depths = agreed_depths(scene)
    if depths is not None:
        on_object = scene.mask[: int(scene.offsets[int(scene.num_train)])].sum()
        known = np.count_nonzero(depths.surface) * int(depths.block) ** 2 / max(on_object, 1)
        print(
            f"compared the photos in {time.perf_counter() - start:.1f} s: they agree on the depth"
            f" of {min(known, 1):.0%} of the object's pixels",
            flush=True,
        )
    return depths


def _check_numbers(settings: Config) -> None:
    """Refuses counts below one or past 32 bits, and numbers that train away from the photos."""
    counts = ("steps", "schedule_steps", "batch_size", "log_every", "checkpoint_every")
    for name in counts:
        if settings[name] is not None and not 1 <= settings[name] < LARGEST:
            raise Mistake(
                f"train {name} is {settings[name]}; expected at least 1 and less than 2^31",
                setting=name,
            )
    numbers = {name: settings[name] for name in ("learning_rate", "warmup", "weight_decay")}
    numbers |= {f"weights.{name}": weight for name, weight in settings.weights.items()}
    for name, value in numbers.items():
        if not (isinstance(value, int | float) and 0 <= value < LARGEST):  # NaN is not
            raise Mistake(
                f"train {name} is {value!r:.40}; expected a finite number of at least 0",
                setting=name,
            )
    if not settings.learning_rate or not any(settings.weights.values()):
        given = "learning_rate is 0" if not settings.learning_rate else "weights are all 0"
        raise Mistake(
            f"train {given}, and nothing would be learned; expected more",
            setting="learning_rate" if not settings.learning_rate else "train.weights",
        )
    if not settings.device_photos >= 0:
        raise Mistake(
            f"train device_photos is {settings.device_photos}; expected GiB, at least 0",
            setting="device_photos",
        )
