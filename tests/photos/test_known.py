"""Photos that a run meets again: which are which, which stay held out, what is said of them."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neural_sdf.mistake import Mistake
from neural_sdf.photos import load as load_module
from neural_sdf.photos import load_scene, open_scene
from neural_sdf.photos.known import Earlier, Known, differences, with_gone, with_masks
from tests.conftest import OPENGL

FIRST = (0, 1, 3, 4, 6, 7, 9, 10)  # of the ball's twelve photos; the others are added later
EVERY = {"holdout_every": 3, "holdout_offset": 1}
NEW = {"holdout_every": 1, "holdout_offset": 0}


@pytest.fixture
def write(ball, tmp_path):
    """Writes some of the ball's photos as `transforms`, under names of choice."""

    def write(
        name: str, which: Sequence[int], names: Sequence[str] = (), test: Sequence[int] = ()
    ) -> Path:
        folder = tmp_path / name
        (folder / "images").mkdir(parents=True, exist_ok=True)
        (fx, _, cx), (_, fy, cy), _ = ball.intrinsics.tolist()
        document = {"fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "frames": []}
        for i, stem in zip(which, names or [f"{i:03d}" for i in which], strict=True):
            file = f"images/{stem}.png"
            Image.fromarray(ball.rgba[i]).save(folder / file)
            pose = (ball.world_from_camera[i] @ OPENGL).tolist()
            document["frames"].append({"file_path": file, "transform_matrix": pose})
        document["test_filenames"] = [f"images/{i:03d}.png" for i in test]
        (folder / "transforms.json").write_text(json.dumps(document))
        return folder

    return write


def meet(folder: Path, earlier: Earlier = Earlier(), **settings) -> tuple[list[Known], Earlier]:  # noqa: B008
    """The photos of a folder in file order, and what a run that trains on them knows."""
    opened = open_scene(folder, earlier=earlier, **EVERY | settings)
    scene = opened.read()
    photos = sorted(with_masks(opened.photos, scene), key=lambda photo: photo.name)
    return photos, Earlier(with_gone(photos, earlier), scene.world_from_scene)


def held_out(photos: Sequence[Known]) -> list[str]:
    return [photo.name.removeprefix("images_") for photo in photos if photo.held_out]


def test_a_set_that_is_met_again_is_the_same_scene_to_the_bit(write):
    folder = write("first", FIRST)
    _, earlier = meet(folder)
    scene, again = load_scene(folder, **EVERY), open_scene(folder, earlier=earlier, **EVERY).read()
    for one, other in zip(scene[:-1], again[:-1], strict=True):
        np.testing.assert_equal(one, other)
    assert again.source.names == scene.source.names


def test_photos_are_known_before_a_pixel_is_read(write, monkeypatch):
    monkeypatch.setattr(load_module, "read_photos", None)
    assert len(open_scene(write("first", FIRST), earlier=Earlier()).photos) == 8


def test_views_that_were_held_out_stay_so_and_new_ones_go_by_the_rule_among_them(write):
    first, earlier = meet(write("first", FIRST))
    assert held_out(first) == ["001", "006", "010"]
    grown, again = meet(write("first", range(12)), earlier)
    assert held_out(grown) == ["001", "005", "006", "010"]  # of 002 005 008 011 the second
    assert again.world_from_scene == earlier.world_from_scene
    assert differences(grown, earlier) == (
        "photos since the run last read them: 4 added (images_002, images_005, images_008,"
        " images_011)"
    )
    grown, _ = meet(write("first", range(12)), again)
    assert held_out(grown) == ["001", "005", "006", "010"]
    assert differences(grown, again) == ""


def test_positions_that_were_chosen_choose_nothing_among_new_photos(write):
    first, earlier = meet(write("first", FIRST), holdout_views=(1, 2))
    assert held_out(first) == ["001", "003"]
    grown, _ = meet(write("first", range(12)), earlier, holdout_views=(1, 2))
    assert held_out(grown) == ["001", "003"]


def test_new_photos_of_a_test_split_are_held_out_and_no_others(write):
    _, earlier = meet(write("first", FIRST, test=[4]))
    grown, _ = meet(write("first", range(12), test=[4, 8]), earlier)
    assert held_out(grown) == ["004", "008"]


def test_renumbered_photos_keep_their_part_by_content(write):
    """As after one was deleted: each has its neighbour's name."""
    _, earlier = meet(write("first", FIRST))
    left = FIRST[1:]
    photos, _ = meet(write("left", left, [f"{i:03d}" for i in FIRST[:-1]]), earlier)
    parts = dict(zip(FIRST[:-1], left, strict=True))
    was = {int(name) for name in held_out(photos)}
    assert {parts[i] for i in was} == {1, 6, 10}
    said = differences(photos, earlier)
    assert "1 gone (images_000), 7 renamed (images_001 to images_000, " in said
    assert "added" not in said and "another" not in said


def test_a_copy_of_a_trained_photo_under_a_new_name_is_not_held_out(write):
    _, earlier = meet(write("first", FIRST))
    copies = [f"copy_{i:03d}" for i in FIRST]
    photos, _ = meet(write("copies", FIRST, copies), earlier, **NEW)
    assert held_out(photos) == ["copy_001", "copy_006", "copy_010"]


@pytest.mark.parametrize("name", ["first", "moved"])
def test_a_photo_written_anew_is_the_same_by_its_name_and_camera(write, name):
    _, earlier = meet(write("first", FIRST))
    folder = write(name, FIRST)
    image = Image.open(folder / "images/003.png")
    image.save(folder / "images/003.png", compress_level=1)
    photos, again = meet(folder, earlier, **NEW)
    assert held_out(photos) == ["001", "006", "010"]
    assert differences(photos, earlier).endswith(" 1 with another photo (images_003)")
    assert differences(photos, again) == ""


def test_other_photos_of_the_same_names_are_new_in_another_folder(write):
    _, earlier = meet(write("first", FIRST))
    others = write("others", (2, 5, 8, 11), ["000", "001", "003", "004"])
    photos, _ = meet(others, earlier, **NEW)
    assert held_out(photos) == ["000", "001", "003", "004"]
    assert differences(photos, earlier).startswith("none of the 4 photos is one of the run's; ")


def test_every_kind_of_change_is_said_of_its_photos(write, edit_json):
    first = write("first", FIRST)
    _, earlier = meet(first)
    now = write("now", (*FIRST[1:], 11))
    pixels = np.array(Image.open(now / "images/003.png"))
    pixels[:, :, 3] = np.roll(pixels[:, :, 3], 1, axis=1)
    Image.fromarray(pixels).save(now / "images/003.png")

    def adjust(document):
        document["frames"][3]["transform_matrix"][0][3] += 1e-3
        document["frames"][4] |= {"fl_x": 61.0}

    edit_json(now / "transforms.json", adjust)
    photos, again = meet(now, earlier)
    assert differences(photos, earlier) == (
        "photos since the run last read them: 1 added (images_011), 1 gone (images_000), "
        "1 with another photo (images_003), 1 with another mask (images_003), "
        "2 with another camera (images_006, images_007)"
    )
    assert differences(photos, again) == ""


def test_a_trained_photo_that_was_gone_for_a_while_is_not_held_out(write):
    folder = write("first", FIRST)
    _, earlier = meet(folder)
    _, without = meet(write("without", FIRST[1:]), earlier)
    photos, _ = meet(folder, without, **NEW)
    assert held_out(photos) == ["001", "006", "010"]
    assert differences(photos, without).endswith(": 1 added (images_000)")


@pytest.mark.parametrize("scale", [1.1, -1.0])
def test_cameras_of_another_world_are_refused(write, edit_json, scale):
    folder = write("first", FIRST)
    _, earlier = meet(folder)

    def move(document):
        for frame in document["frames"]:
            for row in frame["transform_matrix"][:3]:
                row[3] *= scale

    edit_json(folder / "transforms.json", move)
    with pytest.raises(Mistake, match=r"cameras of 8 photos that the run knows .* path or workdir"):
        open_scene(folder, earlier=earlier)


def test_photos_that_look_past_a_runs_region_are_not_told_to_set_another(write):
    folder = write("first", FIRST)
    _, earlier = meet(folder)
    frame = earlier.world_from_scene
    assert frame is not None
    aside = frame._replace(translation=frame.translation + 9 * frame.scale)
    with pytest.raises(Mistake, match=r"look past .* the world that the run was trained in"):
        open_scene(folder, earlier=Earlier((), aside), **NEW).read()


def test_a_dataset_of_the_photos_is_the_photos(write, tmp_path):
    from neural_sdf.photos.prepare import prepare_dataset

    folder = write("first", FIRST)
    _, earlier = meet(folder)
    dataset = prepare_dataset(folder, tmp_path / "datasets")
    shutil.rmtree(folder)
    photos, _ = meet(dataset, earlier)
    assert differences(photos, earlier) == ""
    assert held_out(photos) == ["001", "006", "010"]
