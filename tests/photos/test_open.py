"""What is known of a set before its pixels, and that no file is read twice for it."""

import runpy
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from neural_sdf.photos import load_scene, open_scene
from neural_sdf.photos.files import views as views_module
from neural_sdf.photos.files.lens_models import OpenCV
from neural_sdf.photos.prepare import prepare_dataset
from neural_sdf.photos.settings import Settings
from tests.photos.layouts import LAYOUTS, take_photos

ROOT = Path(__file__).parents[2]
PHOTOS = take_photos()
TOLD_BY = {"projections": ["txt/000.txt"]}  # files that a layout is recognised by, by their content
OPENED: list[Path] | None = None


def note(event: str, arguments: tuple) -> None:
    if event == "open" and OPENED is not None and isinstance(arguments[0], str | bytes):
        OPENED.append(Path(str(arguments[0])))


sys.addaudithook(note)  # for good: Python has no way to take one back


@pytest.fixture
def count_opened():
    """What a function returns, and how often it opened each file of a folder."""

    def count(function, folder: Path) -> tuple:
        global OPENED
        OPENED = []
        try:
            result = function()
            return result, Counter(p for p in OPENED if p.is_relative_to(folder) and p.is_file())
        finally:
            OPENED = None

    return count


def images(folder: Path) -> set[Path]:
    return set(folder.rglob("*.png"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_file_is_opened_once_and_images_once_more_for_their_pixels(
    tmp_path, count_opened, layout
):
    folder = tmp_path / "set"
    LAYOUTS[layout].write(folder, PHOTOS)
    for i, path in enumerate(images(folder)):  # none is of another's size, as a copy would be
        path.write_bytes(path.read_bytes().ljust(10_000 + i, b"\0"))
    opened, before = count_opened(lambda: open_scene(folder), folder)
    before -= Counter({folder / name: 1 for name in TOLD_BY.get(layout, [])})
    assert set(before.values()) == {1}
    assert images(folder) < set(before)
    _, after = count_opened(opened.read, folder)
    assert after == dict.fromkeys(images(folder), 1)


def test_a_dataset_is_summed_once_and_its_pixels_come_from_memory(tmp_path, count_opened):
    LAYOUTS["idr"].write(tmp_path / "set", PHOTOS)
    folder = prepare_dataset(tmp_path / "set", tmp_path / "datasets")
    opened, before = count_opened(lambda: open_scene(folder), folder)
    (records,) = folder.glob("*.array_record*")
    assert before[records] == before[folder / "checksums.json"] == 1
    _, after = count_opened(opened.read, folder)
    assert not after


def test_memory_is_told_before_pixels_are_read(tmp_path, transforms_folder, monkeypatch):
    monkeypatch.setattr(views_module, "read_pixels", None)  # reading would fail
    memory, _, read, _ = open_scene(transforms_folder, downscale=3)
    monkeypatch.undo()
    scene = read()
    assert memory.kept == scene.rgb.nbytes + scene.mask.nbytes == 12 * 12 * 16 * 4
    assert memory.reading > memory.kept


def test_memory_of_the_embedded_scene_is_what_it_takes():
    memory, _, read, _ = open_scene("", format="synthetic", downscale=32)
    scene = read()
    assert memory == (48 * 4 * 4 * 4,) * 2 == (scene.rgb.nbytes + scene.mask.nbytes,) * 2


@pytest.mark.parametrize("num_cameras", [1, 6])
def test_the_window_of_a_lens_is_found_once_for_each_camera(
    transforms_folder, edit_json, monkeypatch, num_cameras
):
    def bend(document):
        for i, frame in enumerate(document["frames"]):
            frame["k1"] = 0.01 + 0.001 * (i % num_cameras)

    edit_json(transforms_folder / "transforms.json", bend)
    found, window = [], views_module.lenses.window
    monkeypatch.setattr(
        views_module.lenses, "window", lambda lens, *rest: found.append(lens) or window(lens, *rest)
    )
    load_scene(transforms_folder)
    assert sorted(found) == [OpenCV(k1=0.01 + 0.001 * i) for i in range(num_cameras)]


@pytest.mark.parametrize("format", ["auto", "synthetic"])
def test_an_unknown_setting_is_refused_by_name_and_the_known_are_listed(format, idr_folder):
    path = idr_folder if format == "auto" else ""
    with pytest.raises(ValueError, match=r"'holdout_evry' is unknown; expected .*'holdout_every'"):
        open_scene(path, format=format, holdout_evry=5)


OTHERS = {
    "cameras": "cameras.npz",
    "holdout_every": 4,
    "holdout_offset": 1,
    "holdout_views": (3,),
    "centre": (0.0, 0.0, 0.0),
    "radius": 1.0,
    "box": (0, 0, 0, 1, 1, 1),
    "background": 0.5,
    "mask_shows": "background",
    "skip_missing": True,
}


def test_every_setting_but_two_is_among_those_that_the_embedded_scene_refuses():
    assert {"format", "downscale", *OTHERS} == set(Settings._fields)


@pytest.mark.parametrize("name", OTHERS)
def test_a_setting_that_the_embedded_scene_does_not_use_is_refused_by_name(name):
    with pytest.raises(ValueError, match=rf"synthetic.*{name} .*leave out {name}$"):
        open_scene("", format="synthetic", **{name: OTHERS[name]})


def test_a_path_beside_the_embedded_scene_is_refused():
    with pytest.raises(ValueError, match=r"synthetic.*path 'my_photos'.*leave out path"):
        open_scene("my_photos", format="synthetic")


def test_the_quickstart_sets_everything_to_its_default():
    config = runpy.run_path(str(ROOT / "configs/quickstart.py"))["get_config"]()
    assert set(config.data) == {"path", *Settings._fields}
    assert open_scene(**config.data).memory.kept == 48 * 128 * 128 * 4


def test_lists_of_a_json_file_stand_for_tuples(idr_folder):
    region = {"centre": [1.0, -2.0, 0.5], "radius": 1.5, "box": None}
    scene = load_scene(idr_folder, holdout_views=[3, 5], **region)
    assert scene.source.indices[-2:] == (3, 5)
    np.testing.assert_array_equal(scene.world_from_scene.translation, region["centre"])
    assert open_scene("", format="synthetic", holdout_views=[], centre=None).memory
