"""Where plain photos were taken from: structure from motion (Schönberger and Frahm 2016, COLMAP).

Points that stand out are found (SIFT, Lowe 2004) and matched between all pairs of photos; beginning
with one pair, cameras are added one after another to a model of cameras and points, which bundle
adjustment keeps consistent. pycolmap does the work, in a process of its own (`worker`).
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int
from rich.console import Console
from rich.progress import Progress
from scipy.sparse.csgraph import connected_components

from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.findings import names

WORKER = Path(__file__).with_name("worker.py")
ROOM = 2**22  # bytes; with less left the disk is full
TOO_FEW = 100  # points of a photo; a photo of a thing has thousands
LEAST_SHARE = 0.5  # of the photos that must fit together
PAIRS = 2147483647  # COLMAP calls a pair of photos first · this + second, counted from 1
INTERVAL = 0.5  # seconds between two looks at what the worker has done


class Motion(NamedTuple):
    """What structure from motion found.

    Attributes:
        photos: names of all photos.
        num_points: how many points stand out in each, [N].
        matches: how many of them two photos share, checked by their geometry; symmetric, [N, N].
        groups: positions of the photos that fit together; the largest group first.
        model: COLMAP's folder of the first group; None if there is no group.
        error: mean distance between the first group's points as mapped and as found, pixels.
        num_mapped: how many points of the surface the first group has.
    """

    photos: tuple[str, ...]
    num_points: Int[np.ndarray, " N"]
    matches: Int[np.ndarray, "N N"]
    groups: tuple[tuple[int, ...], ...]
    model: Path | None
    error: float
    num_mapped: int


def find_motion(
    folder: Path, photos: Mapping[str, str], focals: Mapping[str, float | None], inside: str = ""
) -> Motion:
    """Finds the cameras of photos; shows progress, and can be interrupted.

    Args:
        folder: holds `images/`, in which each camera has a folder of PNG files; results are written
            into it.
        photos: name of each photo, by its place in `images/`.
        focals: of each camera, by the name of its folder, pixels; None where unknown.
        inside: a folder in it of masks, in which alone points are found; empty for whole photos.

    Raises:
        Mistake: if pycolmap is not installed or stops early.
    """
    if importlib.util.find_spec("pycolmap") is None:
        raise Mistake(
            "pycolmap is not installed; it finds the cameras of plain photos; install it with"
            " pip install 'pycolmap>=4.2,<5'"
        )
    _clear(folder)
    job = {"folder": str(folder), "focals": dict(focals), "inside": inside}
    (folder / "job.json").write_text(json.dumps(job))
    with (folder / "worker.log").open("w") as log:
        command = [sys.executable, "-P", str(WORKER), str(folder / "job.json")]
        scratch = os.environ | {"TMPDIR": str(folder)}  # where its library leaves logs
        worker = subprocess.Popen(command, stdout=log, stderr=log, env=scratch)
        try:
            _show_progress(worker, folder, len(photos))
        finally:
            worker.kill()
            worker.wait()
    if worker.returncode:
        raise Mistake(_reason_of_stop(folder, worker.returncode))
    return _found(folder, photos)


def _clear(folder: Path) -> None:
    """Removes what an earlier worker left."""
    shutil.rmtree(folder / "models", ignore_errors=True)
    for name in ("database.db", "models.json", "mapped"):
        (folder / name).unlink(missing_ok=True)


def fits_most(motion: Motion) -> bool:
    """Whether enough photos fit together to go on."""
    kept = len(motion.groups[0]) if motion.groups else 0
    return kept >= max(3, LEAST_SHARE * len(motion.photos))


def rejected(motion: Motion) -> dict[str, str]:
    """The photos outside the first group, each with the reason."""
    kept = motion.groups[0] if motion.groups else ()
    return {
        photo: _reason(motion, i) for i, photo in enumerate(motion.photos) if i not in set(kept)
    }


def require_most(motion: Motion) -> None:
    """Stops where too few photos fit together, with what is the matter with them.

    Raises:
        Mistake: if so.
    """
    if fits_most(motion):
        return
    photos, count = motion.photos, len(motion.photos)
    kept = len(motion.groups[0]) if motion.groups else 0
    blank = [photo for photo, n in zip(photos, motion.num_points, strict=True) if n < TOO_FEW]
    if len(blank) > count / 2:
        raise Mistake(
            f"{len(blank)} of {count} photos show next to nothing that stands out"
            f" ({names(blank)}); expected sharp photos of things with some pattern; put the object"
            " on a printed page, or light it better"
        )
    together = int(np.bincount(connected_components(motion.matches)[1]).max())
    if together < max(3, LEAST_SHARE * count):
        raise Mistake(
            f"{count} photos do not show the same things: at most {together} are linked by points"
            " in common; expected neighbours that overlap by two thirds; move round the object and"
            " take one every 10 to 20 degrees"
        )
    if kept < together / 3:
        raise Mistake(
            f"the {count} photos share too few points (a photo has"
            f" {np.median(motion.num_points):.0f} that stand out, expected 1000 or more), or all"
            " were taken from one place; put the object on a printed page, and move the camera"
            " rather than turn it"
        )
    raise Mistake(
        f"only {kept} of {count} photos fit together; expected half of them or more; take photos"
        f" between these and the others, or leave the others out: {names(list(rejected(motion)))}"
    )


def _show_progress(worker: subprocess.Popen, folder: Path, count: int) -> None:
    """A bar for each stage, read from what the worker has left in its database so far."""
    stages = {
        "finding points": (count, "keypoints"),
        "matching pairs": (count * (count - 1) // 2, "two_view_geometries"),
        "placing cameras": (count, None),
    }
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks = {name: bar.add_task(name, total=total) for name, (total, _) in stages.items()}
        while worker.poll() is None:
            for name, (_, table) in stages.items():
                bar.update(tasks[name], completed=_done(folder, table))
            time.sleep(INTERVAL)


def _done(folder: Path, table: str | None) -> int:
    """How much of a stage is done; the number of last time is not worth waiting for a lock."""
    if table is None:
        mapped = folder / "mapped"
        return mapped.stat().st_size if mapped.exists() else 0
    with contextlib.suppress(sqlite3.Error):
        return _rows(folder, f"SELECT count(*) FROM {table}")[0][0]
    return 0


def _rows(folder: Path, query: str) -> list[tuple]:
    """Rows of the worker's database."""
    uri = f"{(folder / 'database.db').as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as base:
        return base.execute(query).fetchall()


def _reason_of_stop(folder: Path, status: int) -> str:
    log = (folder / "worker.log").read_text(errors="replace")
    if shutil.disk_usage(folder).free < ROOM:  # where the log may have had no room, too
        return (
            f"the disk of {folder.parent} is full; expected some megabytes for each photo; choose"
            " another place by <output>"
        )
    last = next((line for line in reversed(log.splitlines()) if line.strip()), "no message")
    return (
        f"pycolmap stopped with status {status} ({last.strip()[:200]}); expected it to end by"
        " itself; if memory ran out, set a smaller <longest_side>"
    )


def _found(folder: Path, photos: Mapping[str, str]) -> Motion:
    """What a worker that has ended by itself left in its folder."""
    position = {place: i for i, place in enumerate(photos)}
    ids = {i: position[name] for i, name in _rows(folder, "SELECT image_id, name FROM images")}
    num_points = np.zeros(len(photos), int)
    for i, rows in _rows(folder, "SELECT image_id, rows FROM keypoints"):
        num_points[ids[i]] = rows
    matches = np.zeros((len(photos), len(photos)), int)
    for pair, rows in _rows(folder, "SELECT pair_id, rows FROM two_view_geometries"):
        first, second = (ids[i] for i in divmod(pair, PAIRS))
        matches[first, second] = matches[second, first] = rows
    models = json.loads((folder / "models.json").read_text())
    best = models[0] if models else {"error": 0.0, "points": 0}
    return Motion(
        photos=tuple(photos.values()),
        num_points=num_points,
        matches=matches,
        groups=tuple(tuple(sorted(position[i] for i in model["images"])) for model in models),
        model=folder / "models" / best["folder"] if models else None,
        error=best["error"],
        num_mapped=best["points"],
    )


def _reason(motion: Motion, i: int) -> str:
    if motion.num_points[i] < TOO_FEW:
        return f"only {motion.num_points[i]} points stand out in it"
    others = [len(group) - 1 for group in motion.groups[1:] if i in group]
    if others:
        return f"it fits {others[0]} photos that do not fit the rest"
    kept = list(motion.groups[0]) if motion.groups else list(range(len(motion.photos)))
    best = kept[int(np.argmax(motion.matches[i, kept]))]
    if not motion.matches[i, best]:
        return "it shares no points with the others"
    return f"it shares no more than {motion.matches[i, best]} points, with {motion.photos[best]}"
