"""A checkpoint measured on photos it has not seen, and on the true surface where it is known."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from neural_sdf.evaluation import (
    CHAMFER,
    compare_meshes,
    compare_points,
    doubt_frame,
    evaluate_view,
)
from neural_sdf.experiment.export import foretell_memory
from neural_sdf.experiment.photos import load_in_frame
from neural_sdf.experiment.workdir import load_trained
from neural_sdf.export import extract_mesh, fill_cavities, read_mesh, to_world
from neural_sdf.launch import check_backend
from neural_sdf.machine.files import write_json
from neural_sdf.machine.memory import available_memory
from neural_sdf.mistake import Mistake
from neural_sdf.rendering import compile_views
from neural_sdf.scenes import background_colour


def evaluate(
    workdir: str | Path,
    *,
    step: int | None = None,
    reference: str | Path | None = None,
    resolution: int = 256,
    path: str | Path | None = None,
) -> dict[str, Any]:
    """Renders the held-out views and measures them, and the mesh where the true surface is known.

    Where the photo set has sparse points of the object, how far they lie from the surface is told
    too (`evaluation.compare_points`).

    A ray that misses shows the photos' own background colour (`scenes.background_colour`).

    Writes `eval/metrics.json` and one strip of images a view, `eval/<view>.png`.

    Args:
        workdir: of `train`.
        step: of the checkpoint; the latest if None.
        reference: mesh file of the true surface in the photos' world frame.
        resolution: of the mesh that is compared with it.
        path: folder of the photos, as for `load_in_frame`; where training found them if None.

    Returns:
        The metrics as written.

    Raises:
        Mistake: a workdir, a checkpoint, a photo set or a reference that cannot be used, or no view
            held out.
    """
    check_backend()
    truth = None if reference is None else read_mesh(Path(reference))
    trained = load_trained(workdir, step)
    scene = load_in_frame(trained, workdir, path)
    num_train, num_views = int(scene.num_train), len(scene.sizes)
    if num_train == num_views:
        raise Mistake(
            f"none of {num_views} views is held out; expected at least one",
            remedy="train with data.holdout_every or data.holdout_views, or give photos that were "
            "not trained on by <path>",
        )
    if truth is not None or scene.source.reference is not None:
        foretell_memory(trained.field.sdf, trained.params["field"], resolution)
    folder = Path(workdir) / "eval"
    render, chunk = compile_views(
        trained.run.renderer,
        trained.params,
        trained.share,
        np.asarray(scene.sizes)[num_train:],
        background=background_colour(scene),
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
    surface = functools.partial(trained.field.surface, trained.params["field"])
    if sparse := compare_points(surface, scene):
        metrics |= sparse._asdict()
    if truth is None and scene.source.reference is not None:
        known = scene.source.reference
        exact = extract_mesh(lambda _, points: known(points), None, resolution=resolution)
        truth = to_world(exact, scene.world_from_scene)
    if truth is not None:
        mesh = extract_mesh(trained.field.sdf, trained.params["field"], resolution=resolution)
        mesh = to_world(fill_cavities(mesh)[0], trained.world_from_scene)
        metrics |= compare_meshes(mesh, truth)._asdict()
        doubt_frame(mesh, truth)
    write_json(folder / "metrics.json", metrics)
    print(_sentence({k: v for k, v in metrics.items() if k != "per_view"}))
    if truth is not None:
        print(CHAMFER)
    print(f"evaluation: {folder / 'metrics.json'} and a strip of images a view beside it")
    return metrics


def _sentence(metrics: dict[str, Any]) -> str:
    shown = (f"{x:.4g}" if isinstance(x, float) else str(x) for x in metrics.values())
    return "  ".join(f"{name} {x}" for name, x in zip(metrics, shown, strict=True))
