"""A photo set of each layout, a file of it changed for a while, and what is said of it."""

import json
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neural_sdf.photos.doctor import as_json, as_text, inspect_scene
from neural_sdf.photos.layouts import read_capture
from neural_sdf.photos.views import usable_views
from tests.photos import layouts

SENTENCES = ("unreadable-cameras", "unreadable-region")  # findings that were exceptions
VIEWS = 6  # few, so that the doctor is quick
PHOTOS = layouts.Photos(*(part[::2] for part in layouts.take_photos()))
POINTS = np.random.default_rng(0).normal(size=(20, 3))
LINES = "".join(f"{i} {x!r} {y!r} {z!r} 1 2 3 0.5\n" for i, (x, y, z) in enumerate(POINTS.tolist()))
ENTRIES = b"".join(struct.pack("<Q3d3BdQ", i, *p, 1, 2, 3, 0.5, 0) for i, p in enumerate(POINTS))


def write(layout: str, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layouts, "NUM_VIEWS", VIEWS)
        layouts.LAYOUTS[layout].write(folder, PHOTOS)
    if layout == "colmap":
        (folder / "sparse/0/points3D.txt").write_text(LINES)
    if layout == "colmap, binary":
        (folder / "sparse/0/points3D.bin").write_bytes(struct.pack("<Q", len(POINTS)) + ENTRIES)
    return folder


def is_sentence(message: str) -> bool:
    return "\n" not in message and len(message) < 1200


def check(folder: Path, *, whole: bool = True, **settings: Any) -> list[str]:
    """What is said of a folder: sentences only, without another warning.

    Cameras and the headers of photos are always read; pixels only if asked for.
    """
    said, unread = [], []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            if whole:
                report = inspect_scene(folder, **settings)
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
    return said


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
