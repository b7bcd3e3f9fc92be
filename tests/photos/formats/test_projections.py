import numpy as np
import pytest

from neural_sdf.photos.formats import FORMATS
from neural_sdf.photos.formats.projections import is_projections, read_projections
from neural_sdf.photos.layouts import recognise

K = np.array([[60.0, 0.0, 24.5], [0.0, 66.0, 16.5], [0.0, 0.0, 1.0]])


def written(matrix: np.ndarray) -> str:
    return "".join(" ".join(repr(float(x)) for x in row) + "\n" for row in matrix)


def projection_of(pose: np.ndarray) -> np.ndarray:
    return K @ np.linalg.inv(pose)[:3]


@pytest.fixture
def scene(ball, tmp_path):
    """Makes a folder with one file for each camera; `head` begins and `tail` ends each."""

    def make(place="cameras", head="", tail="", photos="images", stem="{:03d}", scale=1.0):
        folder = tmp_path / "scene"
        (folder / place).mkdir(parents=True)
        (folder / photos).mkdir(parents=True, exist_ok=True)
        for i, pose in enumerate(ball.world_from_camera):
            text = head + written(scale * projection_of(pose)) + tail
            (folder / place / f"{stem.format(i)}.txt").write_text(text)
            (folder / photos / f"{i:03d}.png").touch()
        return folder

    return make


@pytest.mark.parametrize(
    "setting",
    [
        {},
        {"place": "txt", "head": "CONTOUR\n", "photos": "visualize"},
        {"place": "pmvs/txt", "head": "CONTOUR\n", "photos": "pmvs/visualize"},
        {"place": "calib", "stem": "pos_{:03d}", "photos": "image"},
        {"place": "projections", "tail": "0 0 0 1\n", "head": "# P, row by row\n\n"},
        {"place": "cams", "scale": 1e-4, "photos": "."},
    ],
)
def test_the_cameras_that_were_written_are_read(ball, scene, setting):
    folder = scene(**setting)
    assert [name for name, form in FORMATS.items() if form.recognises(folder)] == ["projections"]
    views = read_projections(folder, "").views
    photos = folder / setting.get("photos", "images")
    assert [view.image for view in views] == [photos / f"{i:03d}.png" for i in range(12)]
    for view, pose in zip(views, ball.world_from_camera, strict=True):
        np.testing.assert_allclose(view.intrinsics, ball.intrinsics, atol=1e-9)
        np.testing.assert_allclose(view.world_from_camera, pose, atol=1e-9)


def test_a_view_says_its_file(scene):
    view = read_projections(scene(), "").views[3]
    assert (view.name, view.origin) == ("images_003", "cameras/003.txt")


def test_a_folder_of_another_name_is_named(scene):
    folder = scene(place="other")
    assert not is_projections(folder)
    assert len(read_projections(folder, "other").views) == 12


def test_the_path_of_a_missing_photo_is_told(scene):
    folder = scene()
    (folder / "images/003.png").unlink()
    assert read_projections(folder, "").views[3].image == folder / "images/003.png"


def test_files_of_other_layouts_are_not_claimed(scene, tmp_path, idr_folder, transforms_folder):
    assert not is_projections(idr_folder)
    assert not is_projections(transforms_folder)
    colmap, blended = tmp_path / "a/cameras", tmp_path / "b/cams"
    colmap.mkdir(parents=True)
    (colmap / "cameras.txt").write_text("1 PINHOLE 48 36 60 66 25 17\n")
    (colmap / "images.txt").write_text("1 1 0 0 0 0 0 0 1 000.png\n\n")
    blended.mkdir(parents=True)
    (blended / "00000000_cam.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n")
    assert not is_projections(colmap.parent)
    assert next(recognise(blended.parent, "auto")) == "blended_mvs"
    folder = scene()
    (folder / "transforms.json").write_text("{}")
    assert next(recognise(folder, "auto")) == "transforms"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"003.txt has only 0 entries; expected 12 numbers"),
        ("1 0 0 0 0 1 0 0 0 0 1", "has only 11 entries; expected 12 numbers"),
        ("1 0 0 0 0 1 0 0 0 0 1 0 0", "has only 13 entries; expected 16 numbers"),
        ("1 " * 17, "has more than 16 entries"),
        ("1 0 0 0 0 1 0 0 0 0 1 nan", "003.txt holds nan; expected"),
        ("1 0 0 0 0 1 0 0 0 0 1 1e400", "003.txt holds inf; expected"),
        ("1 0 0 0 0 1 0 0 0 0 1 x", "003.txt.*'x'; expected 12 numbers"),
        ("1 0 0 0 0 1 0 0 0 0 1 0", "003.txt is a pose without intrinsics; expected"),
        ("60 0 9 0 0 66 9 0 0 0 0 1", "003.txt has zeros in its third row; expected"),
        ("60 0 9 0 60 0 9 0 0 0 1 1", "003.txt has determinant 0"),
        ("1e30 0 9 0 0 1e30 9 0 0 0 1e-310 1", "003.txt has zeros in its third row"),
        ("CONTOUR2\n60 60 0 9 9 0 0 0 0 0 0 0", "003.txt holds the parameters .*; expected"),
        ("A B 60 0 9 0 0 66 9 0 0 0 1 0", "003.txt"),
    ],
)
def test_files_that_are_not_as_expected_are_refused(scene, text, message):
    folder = scene()
    (folder / "cameras/003.txt").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_projections(folder, "")


@pytest.mark.parametrize("content", [b"\xff\xfe\0", b"\0" * 100, b"\n" * 10**6, b"1 " * 10**6])
def test_a_file_of_something_else_is_refused(scene, content):
    folder = scene()
    (folder / "cameras/000.txt").write_bytes(content)
    assert not is_projections(folder)
    with pytest.raises(ValueError, match=r"000.txt.*; expected"):
        read_projections(folder, "")


def test_numbers_of_files_that_do_not_match_are_refused(scene):
    folder = scene(stem="pos_{:03d}")
    (folder / "images/003.png").unlink()
    with pytest.raises(ValueError, match=r"11 images for 12 matrices .*; expected"):
        read_projections(folder, "")


def test_missing_photos_or_matrices_are_refused(scene, tmp_path):
    folder = scene()
    with pytest.raises(ValueError, match=r"other holds no projection matrices; expected"):
        read_projections(folder, "other")
    with pytest.raises(ValueError, match=r"\(cameras\).*outside"):
        read_projections(folder, "../other")
    for photo in (folder / "images").iterdir():
        photo.unlink()
    with pytest.raises(ValueError, match=r"holds no image; expected 12 files"):
        read_projections(folder, "")
    with pytest.raises(ValueError, match=r"holds no projection matrices; .*cameras, calib"):
        read_projections(tmp_path, "")
