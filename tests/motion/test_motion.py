"""What becomes of what structure from motion found, and of a worker that stops."""

import importlib.util
import json
import shutil
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest

from neural_sdf.motion import motion as module
from neural_sdf.motion.motion import Motion, find_motion, rejected, require_most

NAMES = tuple("abcdef")


def motion(groups, *, matches=None, num_points=None) -> Motion:
    count = len(NAMES)
    return Motion(
        photos=NAMES,
        num_points=np.full(count, 2000) if num_points is None else np.array(num_points),
        matches=np.zeros((count, count), int) if matches is None else matches,
        groups=groups,
        model=None,
        error=0.5,
        num_mapped=100,
    )


def pairs(**counts) -> np.ndarray:
    matches = np.zeros((len(NAMES), len(NAMES)), int)
    for pair, count in counts.items():
        i, j = (NAMES.index(name) for name in pair)
        matches[i, j] = matches[j, i] = count
    return matches


ALL = pairs(ab=300, bc=90, cd=80, de=70, ef=60)


def test_photos_of_the_largest_group_are_kept_and_the_others_have_a_reason():
    found = motion(
        ((0, 1, 2), (3, 4)),
        matches=pairs(ab=300, bc=200, de=90, cf=17),
        num_points=[2000, 2000, 2000, 2000, 2000, 2000],
    )
    assert rejected(found) == {
        "d": "it fits 1 photos that do not fit the rest",
        "e": "it fits 1 photos that do not fit the rest",
        "f": "it shares no more than 17 points, with c",
    }
    blank = found._replace(num_points=np.array([2000, 2000, 2000, 2000, 2000, 3]))
    assert rejected(blank)["f"] == "only 3 points stand out in it"
    alone = found._replace(matches=pairs(ab=300, bc=200, de=90))
    assert rejected(alone)["f"] == "it shares no points with the others"


def test_half_of_the_photos_are_enough():
    require_most(motion(((0, 1, 2),), matches=pairs(ab=300)))


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            motion((), num_points=[0, 0, 3, 7, 99, 2000]),
            r"5 of 6 photos show next to nothing that stands out \(a, b, c, d, e\); expected",
        ),
        (motion(()), r"6 photos do not show the same things: at most 1 are linked"),
        (motion((), matches=pairs(ab=300)), r"things: at most 2 are linked"),
        (motion((), matches=ALL), r"too few points \(a photo has 2000 .*\), or all were"),
        (motion(((0,),), matches=ALL), r"too few points .*, or all were taken from one place"),
        (
            motion(((0, 1),), matches=ALL),
            r"only 2 of 6 photos fit together; .* leave the others out: c, d, e, f",
        ),
    ],
)
def test_too_few_photos_are_refused_with_what_is_the_matter(found, sentence):
    with pytest.raises(ValueError, match=sentence):
        require_most(found)


def test_two_photos_of_three_are_too_few_for_a_scene():
    two = motion(((0, 1),), matches=ALL)
    three = two._replace(photos=NAMES[:3], num_points=two.num_points[:3])
    with pytest.raises(ValueError, match="only 2 of 3 photos"):
        require_most(three._replace(matches=two.matches[:3, :3]))


def test_without_pycolmap_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pycolmap is not installed; .* pip install 'pycolmap>="):
        find_motion(tmp_path, {}, {})


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("raise MemoryError('no luck')", r"status 1 \(MemoryError: no luck\); .* longest_side"),
        ("import os; os.kill(os.getpid(), 9)", r"status -9 \(no message\)"),
    ],
)
def test_a_worker_that_stops_early_is_one_line(tmp_path, monkeypatch, script, sentence):
    worker = tmp_path / "worker.py"
    worker.write_text(script)
    monkeypatch.setattr(module, "WORKER", worker)
    with pytest.raises(ValueError, match=sentence) as caught:
        find_motion(tmp_path, {"000/a.png": "a"}, {"000": None})
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    """Whatever the worker says of it: its log may be on that disk, too."""
    (tmp_path / "worker.py").write_text("raise SystemExit(1)")
    monkeypatch.setattr(module, "WORKER", tmp_path / "worker.py")
    usage = shutil.disk_usage(tmp_path)._replace(free=2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ValueError, match=r"the disk of .* is full; expected .* output"):
        find_motion(tmp_path, {"000/a.png": "a"}, {"000": None})


def test_an_interrupt_ends_the_worker(tmp_path, monkeypatch):
    worker = tmp_path / "worker.py"
    worker.write_text("import time; time.sleep(600)")
    monkeypatch.setattr(module, "WORKER", worker)
    started = []
    popen = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[0]
    )

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        find_motion(tmp_path, {"000/a.png": "a"}, {"000": None})
    assert started[0].returncode == -9


def test_what_the_worker_left_is_read_by_the_names_of_the_photos(tmp_path, monkeypatch):
    """A worker that leaves what COLMAP leaves: photo i has the number 7 − i in its database."""
    places = [f"000/{name}.png" for name in NAMES]
    script = f"""
import json, sqlite3, sys
from pathlib import Path
folder = Path(json.loads(Path(sys.argv[1]).read_text())["folder"])
base = sqlite3.connect(folder / "database.db")
base.execute("CREATE TABLE images (image_id, name)")
base.execute("CREATE TABLE keypoints (image_id, rows)")
base.execute("CREATE TABLE two_view_geometries (pair_id, rows)")
for i, place in enumerate({places}):
    base.execute("INSERT INTO images VALUES (?, ?)", (7 - i, place))
    base.execute("INSERT INTO keypoints VALUES (?, ?)", (7 - i, 100 + i))
base.execute("INSERT INTO two_view_geometries VALUES (?, 55)", (6 * 2147483647 + 7,))
base.commit()
models = [{{"folder": "3", "images": {places[2:]}, "error": 0.25, "points": 9}}]
(folder / "models.json").write_text(json.dumps(models))
"""
    worker = tmp_path / "worker.py"
    worker.write_text(script)
    monkeypatch.setattr(module, "WORKER", worker)
    found = find_motion(tmp_path, dict(zip(places, NAMES, strict=True)), {"000": None})
    assert found.photos == NAMES
    np.testing.assert_array_equal(found.num_points, 100 + np.arange(6))
    np.testing.assert_array_equal(found.matches, pairs(ab=55))
    assert found.groups == ((2, 3, 4, 5),)
    assert found.model == tmp_path / "models/3"
    assert (found.error, found.num_mapped) == (0.25, 9)


def test_the_worker_imports_nothing_that_writes_png_files():
    """Beside pycolmap, Pillow's PNG writer crashes."""
    command = (
        "import runpy, sys, unittest.mock; sys.modules['pycolmap'] = unittest.mock.MagicMock();"
        f"runpy.run_path({str(module.WORKER)!r}, run_name='worker');"
        "print([n for n in sys.modules if n.partition('.')[0] in ('PIL', 'jax', 'neural_sdf')])"
    )
    run = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_progress_counts_what_is_in_the_database(tmp_path):
    assert module._done(tmp_path, "keypoints") == module._done(tmp_path, None) == 0
    with sqlite3.connect(tmp_path / "database.db") as base:
        base.execute("CREATE TABLE keypoints (image_id)")
        base.executemany("INSERT INTO keypoints VALUES (?)", [(i,) for i in range(4)])
    base.close()
    (tmp_path / "mapped").write_text("..")
    assert module._done(tmp_path, "keypoints") == 4
    assert module._done(tmp_path, None) == 2
    assert json.dumps(module._done(tmp_path, "two_view_geometries")) == "0"
