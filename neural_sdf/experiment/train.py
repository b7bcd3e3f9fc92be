"""The training loop, whole and visible."""

from __future__ import annotations

import contextlib
import functools
import shlex
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import jax

from neural_sdf.commands import as_started
from neural_sdf.experiment import workdir as resume
from neural_sdf.experiment.before import (
    check_photos,
    describe_memory,
    describe_scene,
    doubt_start,
)
from neural_sdf.experiment.build import (
    Config,
    Run,
    Step,
    build,
    compared_photos,
    compared_shapes,
    compile_step,
    fits_device,
    loss_weights,
    photo_feed,
)
from neural_sdf.experiment.defaults import flat
from neural_sdf.experiment.lock import claimed
from neural_sdf.experiment.photos import (
    earlier_photos,
    meet_again,
    refuse_others_to_train_on,
    remember,
)
from neural_sdf.geometry import Similarity
from neural_sdf.launch import check_backend
from neural_sdf.machine.files import replace_file, require_writable, write_json
from neural_sdf.machine.memory import available_memory
from neural_sdf.mistake import Mistake, RunEnded, file_mistakes, within
from neural_sdf.photos import Memory, open_scene, scene_picture
from neural_sdf.photos.known import Earlier, Known, with_masks
from neural_sdf.scenes import Scene
from neural_sdf.training import (
    Checkpoints,
    CollapseWatch,
    Fault,
    MetricLog,
    Progress,
    Stop,
    TrainState,
    collapse,
    fault_terms,
)


class Begun(NamedTuple):
    """A run that goes on.

    Attributes:
        state: of its latest checkpoint.
        frame: world_from_scene of it.
        earlier: what it knows of its photos.
        leap: of its learning rate, in words; empty if there is none.
    """

    state: TrainState
    frame: Similarity
    earlier: Earlier
    leap: str


def train(config: Config, workdir: str | Path) -> None:
    """Trains to `config.train.steps`, from the latest checkpoint of `workdir` if it has one.

    Writes `config.json`, `photos.json`, `scene.png` (cameras, region of interest and hull, to look
    at), `metrics.jsonl` and `checkpoints/`. SIGINT and SIGTERM save and stop at the next step.

    A start is one of four: (1) the workdir holds a run of another config, or of photos in another
    world: refused; (2) it holds a checkpoint of the last step: nothing is left to do; (3) of an
    earlier one: the run goes on, to the same bits as if it had never stopped; (4) none: a new run.
    A workdir takes one training at a time, evaluations and exports beside it.

    Raises:
        Mistake: a setting or a photo set that cannot be used, a step that the memory cannot
            hold, or a workdir of another config, of another world, or not to be written in.
        RunEnded: a loss is not finite; says which, and at which step.
    """
    with claimed(Path(workdir)):
        _train(config, workdir)


def _train(config: Config, workdir: str | Path) -> None:
    """Does so in a workdir that is its own."""
    check_backend()
    config, workdir = resume.whole(flat(config.to_dict())), Path(workdir)
    if workdir.exists() and not workdir.is_dir():
        raise Mistake(f"workdir {workdir} is a file; expected a folder", setting="workdir")
    run = build(config)
    doubt_start(config)
    changes = resume.changes(config.to_dict(), workdir)
    checkpoints = Checkpoints(workdir / "checkpoints")
    latest = (checkpoints.steps() or [0])[-1]
    if latest >= config.train.steps:
        checkpoints.close()
        print(
            f"nothing left to do up to step {config.train.steps}; to train on, raise train.steps; "
            f"train.schedule_steps={resume.schedule_steps(config.train)} goes on at the last rate\n"
            f"{_closing(workdir, latest, stopped=False)}"
        )
        return
    require_writable(workdir)
    begun = _begun(run, config, workdir, checkpoints) if latest else None
    step, state, scene, photos = _prepared(config, run, begun)
    if begun:
        told = [f"resuming after step {state.step}", *changes, begun.leap]
        with within("data"):
            told.append(meet_again(photos, scene, begun.earlier, begun.frame, workdir))
        print("; ".join(filter(None, told)), flush=True)
    with file_mistakes("workdir"):
        workdir.mkdir(parents=True, exist_ok=True)
    checkpoints.remove_unfinished()
    write_json(workdir / "config.json", config.to_dict())
    remember(workdir, photos, scene, begun.earlier if begun else Earlier())
    replace_file(workdir / "scene.png", scene_picture(scene))
    _loop(config, workdir, scene, checkpoints, step, state)


def _begun(run: Run, config: Config, workdir: Path, checkpoints: Checkpoints) -> Begun:
    """What the run in a workdir goes on from."""
    state, frame = checkpoints.load(run.shapes)
    return Begun(
        state=state,
        frame=frame,
        earlier=earlier_photos(workdir, frame, resume.has_moved(config, workdir)),
        leap=resume.leap(config, workdir, int(state.step)),
    )


def _prepared(
    config: Config, run: Run, begun: Begun | None
) -> tuple[Step, TrainState, Scene, tuple[Known, ...]]:
    """The step compiled, the state before it, the photos, and what to know of them."""
    with within("data"):
        opened = open_scene(**config.data, earlier=begun.earlier if begun else Earlier())
        if begun and jax.tree.leaves(begun.state.params["cameras"]):
            refuse_others_to_train_on(opened.photos, begun.earlier)
    if not opened.num_train:
        raise Mistake("all photos are held out; expected one to train on", setting="data.path")
    print(describe_memory(config, opened.memory), flush=True)
    shapes = compared_shapes(config, opened.memory.kept, opened.num_train)
    # The step depends on no photo: it is compiled while they are read. Readers need the interpreter
    # often and for moments; a step being traced would keep each of them waiting for 5 ms.
    sys.setswitchinterval(5e-4)
    beside = ThreadPoolExecutor(max_workers=1)
    try:
        compiling = beside.submit(
            compile_step,
            run,
            opened.num_train,
            config.train.batch_size,
            shapes,
            available=_left_for_step(config, opened.memory),
        )
        # While the step is traced; compiled beside it, their peaks of memory would add up.
        state = begun.state if begun else run.init(opened.num_train)
        with within("data"):
            scene = opened.read()
        check_photos(scene)
        print(describe_scene(scene), flush=True)
        step = functools.partial(compiling.result(), photos=compared_photos(scene, shapes))
        return step, state, scene, with_masks(opened.photos, scene)
    finally:
        beside.shutdown(wait=False)  # a mistake found by now is told at once


def _loop(
    config: Config,
    workdir: Path,
    scene: Scene,
    checkpoints: Checkpoints,
    step: Step,
    state: TrainState,
) -> None:
    """All steps that are left. Numbers leave the device where they are logged, and only there."""
    settings, first = config.train, int(state.step)
    log = MetricLog(workdir / "metrics.jsonl", step=first)
    watch = CollapseWatch(steps=settings.steps, rays=settings.batch_size)
    before = None
    with (
        contextlib.closing(photo_feed(config, scene)) as batches,
        contextlib.closing(checkpoints),
        contextlib.closing(log),
        Progress(step=first, steps=settings.steps, rays=settings.batch_size) as progress,
        Stop() as stop,
    ):
        for done in range(first + 1, settings.steps + 1):
            state, metrics = step(state, batches(done - 1))
            # At most one step ahead of the device, or a signal would wait for all that is queued.
            jax.block_until_ready(before)
            before, ends = metrics["loss"], stop.requested or done == settings.steps
            logs = done % settings.log_every == 0 or done == settings.steps
            saves = ends or done % settings.checkpoint_every == 0
            if logs or saves:
                check_fault(state.fault, list(loss_weights(settings)))
                shown = {name: float(x) for name, x in jax.device_get(metrics).items()}
            if logs:
                rate = progress.show(done, shown)
                log.write(done, {**shown, "rays_per_second": rate})
                watch.see(done, shown)
            if saves:
                lost = bool(collapse(shown)[0])
                checkpoints.save(state, scene.world_from_scene, int(scene.num_train), lost=lost)
            if ends:
                break
    print(_closing(workdir, int(state.step), stopped=int(state.step) < settings.steps))


def _closing(workdir: Path, step: int, *, stopped: bool) -> str:
    """Where the checkpoint is, and what may be done with it."""
    verb = "stopped at" if stopped else "checkpoint of"
    evaluation = f"python eval.py --workdir={shlex.quote(str(workdir))}"
    again = "the same command to go on" if stopped else as_started(evaluation)
    return f"{verb} step {step}: {workdir / 'checkpoints' / str(step)}; next: {again}"


def check_fault(fault: Fault, losses: Sequence[str]) -> None:
    """Raises RunEnded with the step and the terms, if something was not finite."""
    step, bits = int(fault.step), int(fault.terms)
    if step:
        names = [name for i, name in enumerate(fault_terms(losses)) if bits >> i & 1]
        raise RunEnded(
            f"{', '.join(names)} is not finite at step {step}; no checkpoint of it is written; "
            "lower train.learning_rate, or mend the photos' masks and cameras"
        )


def _left_for_step(config: Config, memory: Memory) -> int | None:
    """Bytes that the step may take, once the photos have theirs; None where nothing tells."""
    available = available_memory()
    shared = jax.default_backend() == "cpu" or fits_device(config, memory.kept)
    return available if available is None or not shared else max(available - memory.kept, 0)
