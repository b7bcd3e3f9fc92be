"""A run from its config: training, evaluation, mesh. The only module that knows ConfigDict."""

from __future__ import annotations

import contextlib
import functools
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from ml_collections import ConfigDict

from neural_sdf import resume
from neural_sdf.data import (
    Memory,
    Scene,
    background_colour,
    load_scene,
    scene_memory,
    scene_picture,
)
from neural_sdf.evaluation import compare_meshes, compile_views, evaluate_view
from neural_sdf.export import (
    MeshSummary,
    colour_vertices,
    describe,
    extract_mesh,
    read_mesh,
    replace_file,
    require_writer,
    share_on_sphere,
    to_world,
    write_mesh,
)
from neural_sdf.geometry import Similarity
from neural_sdf.launch import check_backend
from neural_sdf.run import Config, Run, build, compile_step, photo_feed
from neural_sdf.tracing import sample_grid
from neural_sdf.training import (
    Checkpoints,
    MetricLog,
    Progress,
    Stop,
    available_memory,
    gib,
    host_memory,
)


def train(config: Config, workdir: str | Path) -> None:
    """Trains to `config.train.steps`, from the latest checkpoint of `workdir` if it has one.

    Writes `config.json`, `scene.png` (cameras, region of interest and hull, to look at),
    `metrics.jsonl` and `checkpoints/`. SIGINT and SIGTERM save and stop at
    the next step.

    Raises:
        ValueError: a setting or a photo set that cannot be used, a step that the memory cannot
            hold, or a workdir of another config or other photos.
        FloatingPointError: a loss is not finite; says which, and at which step.
    """
    check_backend()
    workdir = Path(workdir)
    if workdir.exists() and not workdir.is_dir():
        raise ValueError(f"workdir {workdir} is a file; expected a folder; set --workdir")
    run = build(config)
    changes = resume.changes(config.to_dict(), workdir)
    print(describe_memory(config, scene_memory(**config.data)), flush=True)
    scene = load_scene(**config.data)
    require_masks(scene)
    print(describe_scene(scene), flush=True)
    step = compile_step(config, scene, available=available_memory())

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
        _write_json(workdir / "config.json", config.to_dict())
        replace_file(workdir / "scene.png", scene_picture(scene))
    else:
        print(f"nothing left to do up to step {steps}; to train on, raise config.train.steps")
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


class Trained(NamedTuple):
    """What a workdir holds.

    Attributes:
        config: of the run.
        run: built from it.
        params: of the checkpoint.
        step: of the checkpoint.
        world_from_scene: of the photos it was trained on.
    """

    config: Config
    run: Run
    params: Any
    step: int
    world_from_scene: Similarity


def evaluate(
    workdir: str | Path,
    *,
    step: int | None = None,
    reference: str | Path | None = None,
    resolution: int = 256,
    path: str | Path | None = None,
) -> dict[str, Any]:
    """Renders the held-out views and measures them, and the mesh where the true surface is known.

    A ray that misses shows the photos' own background colour (`data.background_colour`).

    Writes `eval/metrics.json` and one strip of images a view, `eval/<view>.png`.

    Args:
        workdir: of `train`.
        step: of the checkpoint; the latest if None.
        reference: mesh file of the true surface in the photos' world frame.
        resolution: of the mesh that is compared with it.
        path: folder of the photos; where training found them if None.

    Returns:
        The metrics as written.

    Raises:
        ValueError: a photo set or a reference that cannot be used, or no view held out.
        FileNotFoundError: no such workdir, checkpoint or reference.
    """
    check_backend()
    truth = None if reference is None else read_mesh(Path(reference))
    trained = load_trained(workdir, step)
    settings = trained.config.data.to_dict()
    scene = load_scene(**settings if path is None else settings | {"path": path})
    num_train, num_views = int(scene.num_train), len(scene.sizes)
    if num_train == num_views:
        raise ValueError(
            f"none of {num_views} views is held out; expected at least one; train with "
            "config.data.holdout_every or config.data.holdout_views"
        )
    folder = Path(workdir) / "eval"
    render, chunk = compile_views(
        trained.run.render,
        trained.params,
        np.asarray(scene.sizes)[num_train:],
        background=background_colour(scene),
        known=jax.jit(functools.partial(sample_grid, trained.run.field.sdf))(trained.params),
        available=available_memory(),
    )
    per_view = []
    for view in range(num_train, num_views):
        per_view.append(evaluate_view(scene, view, render, folder, chunk=chunk))
        print(f"view {_sentence(per_view[-1])}", flush=True)
    means = {
        name: float(np.mean([view[name] for view in per_view]))
        for name in ("psnr_masked", "ssim_masked", "mask_iou")
    }
    metrics = {"step": trained.step, "num_views": len(per_view), **means, "per_view": per_view}
    if truth is None and scene.source.reference is not None:
        known = scene.source.reference
        exact = extract_mesh(lambda _, points: known(points), None, resolution=resolution)
        truth = to_world(exact, scene.world_from_scene)
    if truth is not None:
        mesh = extract_mesh(trained.run.field.sdf, trained.params, resolution=resolution)
        metrics |= compare_meshes(to_world(mesh, trained.world_from_scene), truth)._asdict()
    _write_json(folder / "metrics.json", metrics)
    print(_sentence({k: v for k, v in metrics.items() if k != "per_view"}))
    print(f"evaluation: {folder / 'metrics.json'} and a strip of images a view beside it")
    return metrics


def export_mesh(
    workdir: str | Path, output: str | Path, *, resolution: int = 256, step: int | None = None
) -> MeshSummary:
    """Writes the trained surface, coloured, in the photos' world frame, and prints what it is like.

    The colour of a vertex is the radiance along its normal.

    Args:
        workdir: of `train`.
        output: mesh file; its suffix chooses the format.
        resolution: cells across the unit sphere.
        step: of the checkpoint; the latest if None.

    Raises:
        ValueError: an unknown suffix, or a field without a surface.
        FileNotFoundError: no such workdir or checkpoint.
    """
    check_backend()
    output = Path(output)
    require_writer(output)
    trained = load_trained(workdir, step)
    field, params = trained.run.field, trained.params

    @jax.jit
    def shade(params: Any, points: Array) -> Array:
        _, gradients, features = field.surface(params, points)
        lengths = jnp.maximum(jnp.linalg.norm(gradients, axis=-1, keepdims=True), 1e-6)
        return field.radiance(params, points, gradients, -gradients / lengths, features)

    mesh = extract_mesh(field.sdf, params, resolution=resolution)
    mesh = colour_vertices(mesh, functools.partial(shade, params))
    on_sphere = share_on_sphere(mesh)
    mesh = to_world(mesh, trained.world_from_scene)
    write_mesh(output, mesh)
    summary = describe(mesh)
    print(f"{output}: {_mesh_sentence(summary, on_sphere)}")
    return summary


def load_trained(workdir: str | Path, step: int | None = None) -> Trained:
    """A trained field from its workdir alone.

    Raises:
        FileNotFoundError: no run or no such checkpoint there.
        ValueError: a config or checkpoint that cannot be read.
    """
    workdir = Path(workdir)
    path = workdir / "config.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"no config.json in {workdir}; expected the workdir of train.py; set --workdir"
        )
    config = ConfigDict(resume.read_config(path))
    run = build(config)
    checkpoints = Checkpoints(workdir / "checkpoints")
    state, world_from_scene = checkpoints.load(jax.eval_shape(run.init), step)
    checkpoints.close()
    return Trained(config, run, state.params, int(state.step), world_from_scene)


def check_finite(metrics: dict[str, float], step: int) -> None:
    """Raises FloatingPointError with the step and the term if a metric is not finite."""
    bad = [name for name, value in metrics.items() if not math.isfinite(value)]
    if bad:
        terms = [name for name in bad if name != "loss"] or bad
        raise FloatingPointError(
            f"{', '.join(terms)} is not finite at step {step}; no checkpoint of it is written; "
            "lower config.train.learning_rate, or mend the photos' masks and cameras"
        )


def describe_memory(config: Config, memory: Memory) -> str:
    """One line for a person, before photos are read: how much memory they take, and where.

    Raises:
        ValueError: if the machine has less.
    """
    free = host_memory()
    if free is not None and memory.reading > free:
        raise ValueError(
            f"the photos need {gib(memory.reading)} of memory while they are read; expected at most"
            f" the {gib(free)} that are free; raise config.data.downscale"
        )
    fits = memory.kept <= config.train.device_photos * 2**30
    place = "on the device" if fits else "on the host"
    return (
        f"photos take {gib(memory.kept)}, {gib(memory.reading)} while they are read; they are kept"
        f" {place} (config.train.device_photos={config.train.device_photos:g} GiB)"
    )


def require_masks(scene: Scene) -> None:
    """Raises ValueError if a scene has no masks, without which nothing is learned here."""
    if not scene.source.has_masks:
        raise ValueError(
            "the photos have neither masks nor alpha channels, expected the outline of the object"
            " in every photo, since training without is not supported; add masks (a folder mask/ or"
            " masks/, mask_path in transforms.json, or RGBA photos)"
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


def _sentence(metrics: dict[str, Any]) -> str:
    shown = (f"{x:.4g}" if isinstance(x, float) else str(x) for x in metrics.values())
    return "  ".join(f"{name} {x}" for name, x in zip(metrics, shown, strict=True))


def _mesh_sentence(summary: MeshSummary, on_sphere: float) -> str:
    corners = " to ".join(
        "(" + ", ".join(f"{x:.4g}" for x in corner) + ")" for corner in summary[-2:]
    )
    cut = f"; {on_sphere:.1%} of it lies on the bounding sphere" if on_sphere else ""
    return (
        f"{summary.num_vertices} vertices, {summary.num_faces} faces, "
        f"{summary.num_components} components, "
        f"{'watertight' if summary.watertight else 'not watertight'}, world extent {corners}{cut}"
    )


def _write_json(path: Path, content: dict) -> None:
    replace_file(path, (json.dumps(content, indent=2) + "\n").encode())
