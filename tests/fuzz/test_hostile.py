"""Files made to hurt are refused in little memory."""

import os
import struct
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from neural_sdf.photos.files.folder import MOST_BYTES, MOST_MODEL_BYTES
from tests.cases import cases
from tests.fuzz.hostile import HOSTILE
from tests.fuzz.inspected import changed, check
from tests.photos.layouts import LAYOUTS


def resident(key: str) -> int:
    """A line of Linux' account of this process, in bytes; 0 elsewhere."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(key))


@contextmanager
def little_memory(most: int = 200_000_000) -> Iterator[None]:
    """Python's and NumPy's own is counted; Pillow's too where Linux resets its account."""
    reset = Path("/proc/self/clear_refs")
    if reset.is_file():
        reset.write_text("5")
    before = resident("VmRSS")
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most
    if reset.is_file():
        assert resident("VmHWM") - before < most


LONG_LINES = [kind for kind in HOSTILE if "a long line" in kind]  # of three kinds, in five files
SLOW = [kind for i, kind in enumerate(LONG_LINES) if i % 6]  # each kind is quick in one file


@pytest.mark.parametrize("kind", cases([kind for kind in HOSTILE if kind not in SLOW], SLOW))
def test_a_file_made_to_hurt_is_refused_in_little_memory(sets, kind):
    layout, name, content = HOSTILE[kind]
    folder = sets(layout)
    with changed(folder / name, content()), little_memory():
        said = check(folder)
    assert said


def test_a_point_farther_than_any_is_refused_or_left_out(sets):
    """Without masks the region is that of the points."""
    folder = sets("colmap, binary")
    far = struct.pack("<QQ3d3BdQ", 1, 1, 1e300, -1e300, 1e300, 1, 2, 3, 0.5, 0)
    masks = (folder / "masks").rename(folder / "unused")
    try:
        with changed(folder / "sparse/0/points3D.bin", far):
            check(folder)
    finally:
        masks.rename(folder / "masks")


def test_a_camera_file_too_large_is_refused_unread(good):
    """A sparse file takes no place on the disk."""
    layout, folder = good
    for name in LAYOUTS[layout].files:
        with changed(folder / name, b""), little_memory(20_000_000):
            most = MOST_MODEL_BYTES if "colmap" in layout else MOST_BYTES
            os.truncate(folder / name, most + 1)
            said = check(folder)
            assert any(f"{most + 1} bytes, expected {most} or fewer" in s for s in said)


def test_a_region_too_large_is_refused_unread(transforms):
    path = transforms / "region.json"
    with changed(path, b""), little_memory(20_000_000):
        os.truncate(path, 300_000_000)
        (sentence,) = check(transforms)
    assert "region.json cannot be read (300000000 bytes, expected" in sentence
