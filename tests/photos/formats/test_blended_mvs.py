import numpy as np
import pytest

from neural_sdf.photos.formats import FORMATS
from neural_sdf.photos.formats.blended_mvs import is_blended_mvs, read_blended_mvs


def written(matrix: np.ndarray) -> str:
    return "".join(" ".join(repr(float(x)) for x in row) + " \n" for row in matrix)


@pytest.fixture
def scene(ball, tmp_path):
    (tmp_path / "cams").mkdir()
    (tmp_path / "blended_images").mkdir()
    (tmp_path / "cams/pair.txt").write_text("12\n0\n1 1 0.5\n")
    for i, pose in enumerate(ball.world_from_camera):
        extrinsic = written(np.linalg.inv(pose))
        intrinsic = "60.0 0.0 24.5\n0.0 66.0 16.5\n0.0 0.0 1.0\n"
        text = f"extrinsic\n{extrinsic}\nintrinsic\n{intrinsic}\n2.5 0.01 128 4.5\n"
        (tmp_path / f"cams/{i:08d}_cam.txt").write_text(text)
        (tmp_path / f"blended_images/{i:08d}.jpg").touch()
        (tmp_path / f"blended_images/{i:08d}_masked.jpg").touch()
    return tmp_path


def test_the_cameras_that_were_written_are_read(ball, scene):
    views = read_blended_mvs(scene, "").views
    for view, pose in zip(views, ball.world_from_camera, strict=True):
        np.testing.assert_allclose(view.intrinsics, ball.intrinsics, atol=1e-9)
        np.testing.assert_allclose(view.world_from_camera, pose, atol=1e-9)


def test_photos_have_the_stem_of_their_camera(scene):
    views = read_blended_mvs(scene, "").views
    photos = scene / "blended_images"
    assert [view.image for view in views] == [photos / f"{i:08d}.jpg" for i in range(12)]
    assert views[3].origin == "cams/00000003_cam.txt"
    assert views[3].name == "blended_images_00000003"


def test_photos_may_be_png_in_images_and_cameras_elsewhere(scene):
    (scene / "blended_images").rename(scene / "images")
    (scene / "images/00000003.jpg").rename(scene / "images/00000003.png")
    (scene / "cams").rename(scene / "cams_2")
    assert read_blended_mvs(scene, "cams_2").views[3].image == scene / "images/00000003.png"


def test_the_path_of_a_missing_photo_is_told(scene):
    (scene / "blended_images/00000003.jpg").unlink()
    assert read_blended_mvs(scene, "").views[3].image == scene / "blended_images/00000003.jpg"


def test_the_layout_is_told_by_its_files(scene, idr_folder):
    assert [name for name, form in FORMATS.items() if form.recognises(scene)] == ["blended_mvs"]
    assert not is_blended_mvs(idr_folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("extrinsic", "extrinsics", r"00000003_cam.txt is 'extrinsics .*; expected 'extrinsic'"),
        ("intrinsic\n60.0", "60.0", r"00000003_cam.txt is .*; expected 'extrinsic'"),
        ("0.0 0.0 0.0 1.0", "1.0 2.0 3.0 1.0", r"'extrinsic' of .* ends in .*transposed"),
        ("60.0", "nan", "'intrinsic' of .*00000003_cam.txt holds nan; expected"),
        ("60.0", "1e400", "'intrinsic' .* holds inf"),
        ("60.0", "sixty", "'intrinsic' .*'sixty'; expected 9 numbers"),
        ("0.0 66.0", "5.0 66.0", r"'intrinsic' .* has K .*; expected rows"),
        ("0.0 0.0 1.0\n\n2.5", "0.0 0.0 0.0\n\n2.5", r"'intrinsic' .* has K .*; expected rows"),
    ],
)
def test_files_that_are_not_as_expected_are_refused(scene, old, new, message):
    path = scene / "cams/00000003_cam.txt"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        read_blended_mvs(scene, "")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\0", b"extrinsic " * 40])
def test_a_file_of_something_else_is_refused(scene, content):
    (scene / "cams/00000003_cam.txt").write_bytes(content)
    with pytest.raises(ValueError, match=r"00000003_cam.txt.*; expected"):
        read_blended_mvs(scene, "")


def test_missing_cameras_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"cams holds no camera file; expected \*_cam.txt"):
        read_blended_mvs(tmp_path, "")
    with pytest.raises(ValueError, match=r"\(cameras\).*outside"):
        read_blended_mvs(tmp_path, "../cams")
