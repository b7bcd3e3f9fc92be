"""A photo set of each layout, a file of it changed for a while, and what is said of it."""

import json
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from neural_sdf.photos.doctor import as_json, as_text, inspect_scene
from neural_sdf.photos.layouts import read_capture
from neural_sdf.photos.views import usable_views
from neural_sdf.scenes import Scene
from neural_sdf.scenes.frame import world_from_camera
from tests.photos import layouts

SENTENCES = ("unreadable-cameras", "unreadable-region")  # findings that were exceptions
# From no side like from another, so that a camera that was turned is told from one that was not.
BALLS = (((-0.35, 0.1, 0.0), 0.5), ((0.45, -0.1, 0.1), 0.35), ((0.1, 0.25, 0.5), 0.25))
PHOTOS = layouts.take_photos(BALLS)
VIEWS = layouts.NUM_VIEWS
POINTS = np.random.default_rng(0).normal(size=(20, 3))
LINES = "".join(f"{i} {x!r} {y!r} {z!r} 1 2 3 0.5\n" for i, (x, y, z) in enumerate(POINTS.tolist()))
ENTRIES = b"".join(struct.pack("<Q3d3BdQ", i, *p, 1, 2, 3, 0.5, 0) for i, p in enumerate(POINTS))


def write(layout: str, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    layouts.LAYOUTS[layout].write(folder, PHOTOS)
    if layout == "colmap":
        (folder / "sparse/0/points3D.txt").write_text(LINES)
    if layout == "colmap, binary":
        (folder / "sparse/0/points3D.bin").write_bytes(struct.pack("<Q", len(POINTS)) + ENTRIES)
    return folder


def is_sentence(message: str) -> bool:
    return "\n" not in message and len(message) < 1200


def check(folder: Path, *, whole: bool = True, **settings: Any) -> list[str]:
    """What is said of a folder: sentences only, without another warning; else it is as it was.

    Cameras and the headers of photos are always read; pixels only if asked for.
    """
    said, unread, scene = [], [], None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            if whole:
                report = inspect_scene(folder, **settings)
                scene = report.scene
                said = [finding.sentence for finding in report.findings]
                unread = [f.message for f in report.findings if f.code in SENTENCES]
                json.loads(as_json(report))
                as_text(report).encode()
            else:
                capture = read_capture(folder, **{"format": "auto", "cameras": "", **settings})
                usable_views(
                    folder,
                    capture,
                    skip_missing=False,
                    report=lambda finding: said.append(finding.sentence),
                )
        except (ValueError, FileNotFoundError) as error:
            said.append(str(error))
            unread.append(str(error))
    foreign = [
        f"{w.filename}:{w.lineno}: {w.message}" for w in caught if w.category is not UserWarning
    ]
    assert not foreign, foreign
    strange = [sentence for sentence in said if not is_sentence(sentence)]
    assert not strange, strange
    puzzling = [sentence for sentence in unread if "expected" not in sentence]
    assert not puzzling, puzzling
    if whole and not said:
        check_unmoved(scene)
    return said


def check_unmoved(scene: Scene | None) -> None:
    """Every photo is there, and its camera sees the object within a pixel of where it did."""
    assert scene is not None
    numbers = [int(name[-3:]) for name in scene.source.names]
    assert sorted(numbers) == list(range(VIEWS))
    given = zip(
        numbers, np.asarray(scene.intrinsics), world_from_camera(scene), scene.sizes, strict=True
    )
    moved = {}
    for i, K, pose, (height, width) in given:
        middle = np.array([width, height]) / 2  # a lens cuts the photo all round
        now, before = _seen(K, pose) - middle, _seen(layouts.K, PHOTOS.poses[i]) - layouts.SIZE / 2
        moved[i] = float(np.linalg.norm(now - before, axis=1).max())
    assert not max(moved.values()) > 1, f"cameras moved by so many pixels without a word: {moved}"


def _seen(K: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Where a camera sees points of the object, pixels; far away what is behind it, [N, 2]."""
    directions = np.random.default_rng(1).normal(size=(50, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    points = np.concatenate([np.array(m) + r * directions for m, r in BALLS]) + layouts.CENTRE
    image = (points - pose[:3, 3]) @ pose[:3, :3] @ K.T
    return np.where(image[:, 2:] > 0, image[:, :2] / image[:, 2:], 1e9)


@contextmanager
def told(what: str, content: bytes) -> Iterator[None]:
    """Whatever fails says which mutant it was."""
    try:
        yield
    except Exception as error:
        error.add_note(f"{what} is {content[:300]!r}")
        raise


@contextmanager
def changed(path: Path, content: bytes) -> Iterator[None]:
    """A file of another content, or a new one, for a while."""
    before = path.read_bytes() if path.is_file() else None
    path.write_bytes(content)
    try:
        yield
    finally:
        path.unlink() if before is None else path.write_bytes(before)
