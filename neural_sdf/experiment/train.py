"""The training loop, whole and visible."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import jax
import numpy as np

from neural_sdf.experiment import workdir as resume
from neural_sdf.experiment.build import Config, build, compile_step, photo_feed
from neural_sdf.experiment.defaults import flat
from neural_sdf.launch import check_backend
from neural_sdf.machine.files import replace_file, write_json
from neural_sdf.machine.memory import available_memory, gib, host_memory
from neural_sdf.mistake import Mistake, RunEnded, file_mistakes, within
from neural_sdf.photos import Memory, load_scene, scene_memory, scene_picture
from neural_sdf.scenes import Scene
from neural_sdf.training import Checkpoints, MetricLog, Progress, Stop


def train(config: Config, workdir: str | Path) -> None:
    """Trains to `config.train.steps`, from the latest checkpoint of `workdir` if it has one.

    Writes `config.json`, `scene.png` (cameras, region of interest and hull, to look at),
    `metrics.jsonl` and `checkpoints/`. SIGINT and SIGTERM save and stop at
    the next step.

    Raises:
        Mistake: a setting or a photo set that cannot be used, a step that the memory cannot
            hold, or a workdir of another config or other photos.
        RunEnded: a loss is not finite; says which, and at which step.
    """
    check_backend()
    config, workdir = resume.whole(flat(config.to_dict())), Path(workdir)
    if workdir.exists() and not workdir.is_dir():
        raise Mistake(f"workdir {workdir} is a file; expected a folder", setting="workdir")
    run = build(config)
    changes = resume.changes(config.to_dict(), workdir)
    with within("data"):
        print(describe_memory(config, scene_memory(**config.data)), flush=True)
        scene = load_scene(**config.data)
    require_masks(scene)
    print(describe_scene(scene), flush=True)
    step = compile_step(config, scene, available=available_memory())

    with file_mistakes("workdir"):
        workdir.mkdir(parents=True, exist_ok=True)
    checkpoints = Checkpoints(workdir / "checkpoints")
    checkpoints.remove_unfinished()
    if checkpoints.steps():
        state, frame = checkpoints.load(jax.eval_shape(run.init))
        resume.check_same_frame(scene.world_from_scene, frame, workdir)
        print("; ".join([f"resuming after step {state.step}", *changes]), flush=True)
    else:
        state = run.init()
    first, steps, every = int(state.step), config.train.steps, config.train.checkpoint_every
    if first < steps:
        write_json(workdir / "config.json", config.to_dict())
        replace_file(workdir / "scene.png", scene_picture(scene))
    else:
        print(f"nothing left to do up to step {steps}; to train on, raise train.steps")
    log = MetricLog(workdir / "metrics.jsonl", step=first)
    with (
        contextlib.closing(photo_feed(config, scene)) as photos,
        contextlib.closing(checkpoints),
        contextlib.closing(log),
        Progress(step=first, steps=steps, rays=config.train.batch_size) as progress,
        Stop() as stop,
    ):
        for done in range(first + 1, steps + 1):
            state, metrics = step(state, photos(done - 1))
            metrics = {name: float(x) for name, x in jax.device_get(metrics).items()}
            check_finite(metrics, done)
            if done % config.train.log_every == 0 or done == steps:
                rate = progress.show(done, metrics)
                log.write(done, {**metrics, "rays_per_second": rate})
            if done % every == 0 or done == steps or stop.requested:
                checkpoints.save(state, scene.world_from_scene)
            if stop.requested:
                break
        done = checkpoints.steps()[-1]
    verb = "stopped at" if stop.requested else "checkpoint of"
    again = "the same command to go on" if stop.requested else f"python eval.py --workdir={workdir}"
    print(f"{verb} step {done}: {workdir / 'checkpoints' / str(done)}; next: {again}")


def check_finite(metrics: dict[str, float], step: int) -> None:
    """Raises RunEnded with the step and the term if a metric is not finite."""
    bad = [name for name, value in metrics.items() if not math.isfinite(value)]
    if bad:
        terms = [name for name in bad if name != "loss"] or bad
        raise RunEnded(
            f"{', '.join(terms)} is not finite at step {step}; no checkpoint of it is written; "
            "lower train.learning_rate, or mend the photos' masks and cameras"
        )


def describe_memory(config: Config, memory: Memory) -> str:
    """One line for a person, before photos are read: how much memory they take, and where.

    Raises:
        Mistake: if the machine has less.
    """
    free = host_memory()
    if free is not None and memory.reading > free:
        raise Mistake(
            f"the photos need {gib(memory.reading)} of memory while they are read; expected at most"
            f" the {gib(free)} that are free",
            setting="downscale",
        )
    fits = memory.kept <= config.train.device_photos * 2**30
    place = "on the device" if fits else "on the host"
    return (
        f"photos take {gib(memory.kept)}, {gib(memory.reading)} while they are read; they are kept"
        f" {place} (config.train.device_photos={config.train.device_photos:g} GiB)"
    )


def require_masks(scene: Scene) -> None:
    """Raises Mistake if a scene has no masks, without which nothing is learned here."""
    if not scene.source.has_masks:
        raise Mistake(
            "the photos have neither masks nor alpha channels, expected the outline of the object"
            " in every photo, since training without is not supported",
            remedy="add masks (a folder mask/ or masks/, mask_path in transforms.json, or RGBA"
            " photos)",
        )


def describe_scene(scene: Scene) -> str:
    """One line for a person: how many photos, how large, and where the object is."""
    num_train, count = int(scene.num_train), len(scene.sizes)
    sizes = sorted({f"{width}x{height}" for height, width in scene.sizes})
    frame = scene.world_from_scene
    centre = ", ".join(f"{x:.4g}" for x in np.asarray(frame.translation))
    return (
        f"{num_train} photos to train on and {count - num_train} held out, "
        f"{', '.join(sizes)} pixels; region of interest: radius {float(frame.scale):.4g} about "
        f"({centre}) in world units, from {scene.source.region}"
    )
