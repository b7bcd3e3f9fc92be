"""What may change between the runs of one workdir, and what may not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from neural_sdf.geometry import Similarity


def changes(config: dict[str, Any], workdir: Path) -> list[str]:
    """What differs from the config of the run in a workdir, if there is one.

    The photos may have moved; whether they are the same their frame tells.

    Raises:
        ValueError: another seed, data, field or batch.
    """
    path = workdir / "config.json"
    if not path.exists():
        return []
    before, now = _flat(read_config(path)), _flat(config)
    changed = {k: f"{k}: {before.get(k)} -> {now[k]}" for k in now if before.get(k) != now[k]}
    may_change = {k for k in now if k.startswith("train.")} - {"train.batch_size"} | {"data.path"}
    refused = [change for key, change in changed.items() if key not in may_change]
    if refused:
        raise ValueError(
            f"{workdir} holds a run of another config ({'; '.join(refused)}); expected the same; "
            "give a new --workdir, or delete that one"
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
        raise ValueError(
            f"{workdir} was trained on a region of radius {scale:.6g} about "
            f"{np.asarray(before.translation).round(6).tolist()}, these photos have radius "
            f"{float(now.scale):.6g} about {np.asarray(now.translation).round(6).tolist()}; "
            "expected the same photos; set config.data.path, or give a new --workdir"
        )


def read_config(path: Path) -> dict[str, Any]:
    """The `config.json` of a run.

    Raises:
        ValueError: a file that is not JSON.
    """
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(
            f"{path} is not JSON ({error}); expected what train.py wrote; give a new --workdir"
        ) from error


def _flat(tree: dict, prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = list(value) if isinstance(value, tuple) else value
    return flat
