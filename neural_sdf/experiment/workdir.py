"""The folder of a run: its config, what may change in it from start to start, its checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from neural_sdf.experiment.build import Config, Run, build
from neural_sdf.geometry import Similarity
from neural_sdf.mistake import Mistake, file_mistakes
from neural_sdf.training import Checkpoints


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


def load_trained(workdir: str | Path, step: int | None = None) -> Trained:
    """A trained field from its workdir alone.

    Raises:
        Mistake: no run or no such checkpoint there, or one that cannot be read.
    """
    workdir = Path(workdir)
    path = workdir / "config.json"
    if not path.is_file():
        raise Mistake(
            f"no config.json in {workdir}; expected the workdir of train.py", setting="workdir"
        )
    config = ConfigDict(read_config(path))
    run = build(config)
    checkpoints = Checkpoints(workdir / "checkpoints")
    state, world_from_scene = checkpoints.load(jax.eval_shape(run.init), step)
    checkpoints.close()
    return Trained(config, run, state.params, int(state.step), world_from_scene)


def changes(config: dict[str, Any], workdir: Path) -> list[str]:
    """What differs from the config of the run in a workdir, if there is one.

    The photos may have moved; whether they are the same their frame tells.

    Raises:
        Mistake: another seed, data, field or batch.
    """
    path = workdir / "config.json"
    if not path.exists():
        return []
    before, now = _flat(read_config(path)), _flat(config)
    changed = {k: f"{k}: {before.get(k)} -> {now[k]}" for k in now if before.get(k) != now[k]}
    may_change = {k for k in now if k.startswith("train.")} - {"train.batch_size"} | {"data.path"}
    refused = [change for key, change in changed.items() if key not in may_change]
    if refused:
        raise Mistake(
            f"{workdir} holds a run of another config ({'; '.join(refused)}); expected the same",
            setting="workdir",
            remedy="or delete that one",
        )
    return list(changed.values())


def check_same_frame(now: Similarity, before: Similarity, workdir: Path) -> None:
    """Refuses photos whose region of interest is not the one that was trained in."""
    scale = float(before.scale)
    same = [
        np.allclose(x, y, rtol=1e-6, atol=1e-6 * (1 if name == "rotation" else scale))
        for (name, x), y in zip(now._asdict().items(), before, strict=True)
    ]
    if not all(same):
        raise Mistake(
            f"{workdir} was trained on a region of radius {scale:.6g} about "
            f"{np.asarray(before.translation).round(6).tolist()}, these photos have radius "
            f"{float(now.scale):.6g} about {np.asarray(now.translation).round(6).tolist()}; "
            "expected the same photos",
            setting=("path", "workdir"),
        )


def read_config(path: Path) -> dict[str, Any]:
    """The `config.json` of a run.

    Raises:
        Mistake: a file that is not JSON.
    """
    with file_mistakes():
        text = path.read_text()
    try:
        return json.loads(text)
    except ValueError as error:
        raise Mistake(
            f"{path} is not JSON ({error}); expected what train.py wrote", setting="workdir"
        ) from error


def _flat(tree: dict, prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = list(value) if isinstance(value, tuple) else value
    return flat
