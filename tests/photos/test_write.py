import dataclasses
import errno
import json
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neural_sdf.geometry import Similarity
from neural_sdf.machine.files import scratch_beside
from neural_sdf.photos import load_scene, write_scene
from neural_sdf.photos.formats import FORMATS
from neural_sdf.photos.write import file_names
from neural_sdf.scenes.frame import in_scene_frame, world_from_camera

LAYOUTS = ["idr", "transforms", "colmap"]
HELD_OUT = (2, 7, 11)
# No fixture has one of its own: neither turned, nor with numbers that a few digits spell.
REGION = {"centre": (1.01, -1.99, 1.1 / 3), "radius": 4 / 3}


@pytest.fixture(params=["idr_folder", "transforms_folder"])
def folder(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def scene(transforms_folder):
    return load_scene(transforms_folder, holdout_views=HELD_OUT)


def assert_same(one, other, tolerance=1e-9):
    for field in ("rgb", "mask", "offsets", "sizes", "num_train"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field), err_msg=field)
    for field in ("intrinsics", "scene_from_camera"):
        np.testing.assert_allclose(
            getattr(one, field), getattr(other, field), rtol=0, atol=tolerance, err_msg=field
        )
    for part, same in zip(one.world_from_scene, other.world_from_scene, strict=True):
        np.testing.assert_allclose(part, same, rtol=0, atol=1e-9)
    assert one.source.indices == other.source.indices
    assert one.source.has_masks == other.source.has_masks
    # A view of images/000.png is called images_000, of idr's image/000.png 000.
    assert [name.removeprefix("images_") for name in one.source.names] == [
        name.removeprefix("images_") for name in other.source.names
    ]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("settings", [{}, {"downscale": 3}, REGION], ids=str)
def test_reading_undoes_writing(folder, tmp_path, layout, settings):
    scene = load_scene(folder, holdout_views=HELD_OUT, **settings)
    write_scene(scene, tmp_path / "out", layout)
    again = load_scene(tmp_path / "out", format=layout, holdout_views=HELD_OUT)
    assert [name for name, form in FORMATS.items() if form.recognises(tmp_path / "out")] == [layout]
    assert_same(scene, again)
    assert len(np.unique(scene.rgb, axis=0)) > 50 and 0 < scene.mask.mean() < 1


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_turned_region_is_kept(scene, tmp_path, layout):
    """Its axes are not the world's; a point of the scene stays where it was in the world."""
    turn = np.array([[0.6, -0.8, 0], [0, 0, -1], [0.8, 0.6, 0]])
    frame = scene.world_from_scene
    poses = scene.scene_from_camera.copy()
    poses[:, :3] = turn.T @ poses[:, :3]
    turned = scene._replace(
        scene_from_camera=poses, world_from_scene=Similarity(frame.scale, turn, frame.translation)
    )
    np.testing.assert_allclose(world_from_camera(turned), world_from_camera(scene), atol=1e-12)
    write_scene(turned, tmp_path / "out", layout)
    assert_same(turned, load_scene(tmp_path / "out", holdout_views=HELD_OUT))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_undistorted_photos_are_written_with_a_camera_without_a_lens(
    transforms_folder, edit_json, tmp_path, layout
):
    edit_json(transforms_folder / "transforms.json", lambda d: d.update(k1=0.1, p2=0.01))
    scene = load_scene(transforms_folder, holdout_views=HELD_OUT)
    assert scene.sizes[0].tolist() != [36, 48]
    write_scene(scene, tmp_path / "out", layout)
    assert_same(scene, load_scene(tmp_path / "out", holdout_views=HELD_OUT))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_view_keeps_its_place_where_names_have_another_order(
    transforms_folder, edit_json, tmp_path, layout
):
    path = transforms_folder / "transforms.json"
    edit_json(path, lambda d: d["frames"].reverse())
    path.rename(transforms_folder / "transforms_train.json")  # frames count, names do not
    scene = load_scene(transforms_folder, holdout_views=HELD_OUT)
    assert scene.source.names[0] == "images_011"
    write_scene(scene, tmp_path / "out", layout)
    again = load_scene(tmp_path / "out", holdout_views=HELD_OUT)
    assert [name[-3:] for name in again.source.names] == [n[-3:] for n in scene.source.names]
    assert again.source.names[0].endswith("00_011" if layout != "idr" else "00_images_011")
    source = dataclasses.replace(again.source, names=scene.source.names)
    assert_same(scene, again._replace(source=source))


def test_poses_are_those_of_the_photos_own_world(ball, scene):
    expected = ball.world_from_camera[list(scene.source.indices)]
    np.testing.assert_allclose(world_from_camera(scene), expected, rtol=0, atol=1e-12)


def test_transforms_keep_which_views_are_held_out(scene, tmp_path):
    write_scene(scene, tmp_path / "out", "transforms")
    document = json.loads((tmp_path / "out/transforms.json").read_text())
    assert document["test_filenames"] == [f"images/{i:03d}.png" for i in HELD_OUT]
    assert_same(scene, load_scene(tmp_path / "out"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_masks_are_written_where_the_photos_had_them_only(scene, tmp_path, layout):
    photos, masks = FORMATS[layout].folders
    write_scene(scene, tmp_path / "with", layout)
    with Image.open(next((tmp_path / "with" / masks).iterdir())) as image:
        assert image.mode == "L" and set(np.unique(image)) == {0, 255}
    with Image.open(next((tmp_path / "with" / photos).iterdir())) as image:
        assert image.mode == "RGB"
    bare = scene._replace(
        mask=np.ones_like(scene.mask), source=dataclasses.replace(scene.source, has_masks=False)
    )
    write_scene(bare, tmp_path / "without", layout)
    assert not (tmp_path / "without" / masks).exists()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "none of the 12 photos has a mask")
        assert_same(bare, load_scene(tmp_path / "without", holdout_views=HELD_OUT))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a", "b"], ["a.png", "b.png"]),
        (["images_a", "images_b"], ["a.png", "b.png"]),
        (["b", "a"], ["0_b.png", "1_a.png"]),
        (["a", "a-1"], ["0_a.png", "1_a-1.png"]),  # the files sort the other way round: - before .
        (["a", "a"], ["0_a.png", "1_a.png"]),
        (["A", "a"], ["0_A.png", "1_a.png"]),  # one file, on some disks
        (["12:30", "12:31"], ["12_30.png", "12_31.png"]),
        ([*"cba" * 4], [f"{i:02d}_{name}.png" for i, name in enumerate("cba" * 4)]),
    ],
)
def test_file_names_are_the_views_where_they_sort_alike(names, expected):
    assert file_names(names, "images_") == expected
    assert sorted(map(Path, expected)) == list(map(Path, expected))


@pytest.mark.parametrize("layout", ["llff", "nerf", ""])
def test_a_layout_without_a_writer_is_answered_with_those_that_have_one(scene, tmp_path, layout):
    words = rf"layout '{layout}' .*\['idr', 'transforms', 'colmap'\]; set to"
    with pytest.raises(ValueError, match=words):
        write_scene(scene, tmp_path / "deep/out", layout)
    assert not (tmp_path / "deep").exists()


def test_a_folder_that_is_not_empty_is_left_alone(scene, tmp_path, transforms_folder):
    before = sorted(transforms_folder.rglob("*"))
    for taken in (transforms_folder, transforms_folder / "transforms.json"):
        with pytest.raises(ValueError, match=r"is there already; .* set output"):
            write_scene(scene, taken, "transforms")
    assert sorted(transforms_folder.rglob("*")) == before
    assert [path.name for path in tmp_path.iterdir()] == ["transforms"]


def test_an_empty_folder_and_a_deep_one_are_written_to(scene, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "deep/er"):
        write_scene(scene, folder, "colmap")
        assert {path.name for path in folder.iterdir()} == {
            *("images", "masks", "sparse", "region.json")
        }
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["er"]
    assert {path.name for path in tmp_path.iterdir()} == {"empty", "deep", "transforms"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_skew_is_written_as_idr_and_refused_elsewhere(scene, tmp_path, layout):
    skewed = scene._replace(intrinsics=scene.intrinsics.copy())
    skewed.intrinsics[:, 0, 1] = 2.5
    if layout == "idr":
        write_scene(skewed, tmp_path / "out/set", layout)
        assert_same(skewed, load_scene(tmp_path / "out/set", holdout_views=HELD_OUT))
        return
    with pytest.raises(ValueError, match=r"images_000.* have skew.*write the scene as idr"):
        write_scene(skewed, tmp_path / "out/set", layout)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_skew_that_rounding_left_is_no_skew(scene, tmp_path, layout):
    rounded = scene._replace(intrinsics=scene.intrinsics.copy())
    rounded.intrinsics[:, 0, 1] = 1e-3
    write_scene(rounded, tmp_path / "set", layout)
    assert_same(scene, load_scene(tmp_path / "set", holdout_views=HELD_OUT), tolerance=2e-3)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_nothing_is_left_of_a_write_that_fails(scene, tmp_path, monkeypatch, layout, error):
    write = Path.write_bytes

    def fails(path, content):
        if path.name in ("005.png", "images_005.png"):
            raise error
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", fails)
    with pytest.raises(error):
        write_scene(scene, tmp_path / "out/set", layout)
    assert not list((tmp_path / "out").iterdir())


def test_cameras_are_written_normalised_where_the_scene_is_its_own_world(idr_folder, tmp_path):
    scene = load_scene(idr_folder, holdout_views=(4,))
    write_scene(in_scene_frame(scene), tmp_path / "out", "transforms")
    again = load_scene(tmp_path / "out")
    frame = again.world_from_scene
    assert float(frame.scale) == 1.0
    np.testing.assert_array_equal(frame.translation, 0)
    np.testing.assert_allclose(again.scene_from_camera, scene.scene_from_camera, atol=1e-12)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_place_that_cannot_be_written_is_told_and_nothing_is_left(tmp_path, number):
    with (
        pytest.raises(ValueError, match=r"output .*out cannot be written: .*; set output"),
        scratch_beside(tmp_path / "new/out") as scratch,
    ):
        (scratch / "half").write_text("half")
        raise OSError(number, os.strerror(number))
    assert list((tmp_path / "new").iterdir()) == []


def test_what_has_nothing_to_do_with_the_place_stays_what_it_is(tmp_path):
    with pytest.raises(FileNotFoundError), scratch_beside(tmp_path / "out"):
        raise FileNotFoundError(errno.ENOENT, "lost")
