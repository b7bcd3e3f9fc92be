import numpy as np
import pytest

from neural_sdf.photos.formats import FORMATS
from neural_sdf.photos.formats.middlebury import is_middlebury, read_middlebury


@pytest.fixture
def scene(ball, tmp_path):
    """Cameras of 12 photos against the order of their names, some K multiplied by two."""
    lines = ["12"]
    for i, pose in reversed(list(enumerate(ball.world_from_camera))):
        K = (1 + i % 2) * np.array([[60.0, 0.0, 24.5], [0.0, 66.0, 16.5], [0.0, 0.0, 1.0]])
        camera_from_world = np.linalg.inv(pose)
        values = [*K.ravel(), *camera_from_world[:3, :3].ravel(), *camera_from_world[:3, 3]]
        lines.append(f"ball{i:04d}.png " + " ".join(repr(float(x)) for x in values))
    (tmp_path / "ball_par.txt").write_text("\r\n".join(lines) + "\r\n\r\n")
    return tmp_path


def test_the_cameras_that_were_written_are_read(ball, scene):
    views = read_middlebury(scene, "").views
    for view, pose in zip(views, ball.world_from_camera, strict=True):
        np.testing.assert_allclose(view.intrinsics, ball.intrinsics, atol=1e-9)
        np.testing.assert_allclose(view.world_from_camera, pose, atol=1e-9)


def test_views_are_in_the_order_of_file_names(scene):
    views = read_middlebury(scene, "ball_par.txt").views
    assert [view.image for view in views] == [scene / f"ball{i:04d}.png" for i in range(12)]
    assert (views[11].name, views[11].origin) == ("ball0011", "line 2 of ball_par.txt")


def test_skew_is_kept(scene):
    edit(scene, "60.0 0.0", "60.0 3.0")
    assert read_middlebury(scene, "").views[10].intrinsics[0, 1] == 3.0


def test_the_layout_is_told_by_its_file(scene, idr_folder):
    assert [name for name, form in FORMATS.items() if form.recognises(scene)] == ["middlebury"]
    assert not is_middlebury(idr_folder)


def edit(scene, old: str, new: str) -> None:
    path = scene / "ball_par.txt"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("12\n", "13\n", "ball_par.txt says 13 photos and has cameras of 12; expected"),
        ("12\n", "99999999999999999999\n", "says 99999999999999999999 photos"),
        ("12\n", "9" * 5000 + "\n", "line 1 of .*ball_par.txt has '999.*; expected the number"),
        ("12\n", "twelve\n", "line 1 of .*'twelve'; expected the number of photos"),
        ("12\n", "", "line 1 of .*'ball0011.png .*; expected the number of photos"),
        ("ball0011.png", "../..", "photo in line 2 of .*; expected the path of a file"),
        ("ball0011.png", "ball0010.png", "line 2 .* line 3 .* 'ball0010'; expected one camera"),
        ("120.0", "nan", "line 2 of .*ball_par.txt holds nan; expected"),
        ("120.0", "1e400", "line 2 of .* holds inf; expected"),
        ("120.0", "", "line 2 of .* only 20 entries; expected 21 numbers"),
        ("120.0", "120.0 1.0", "line 2 of .* more than 21 entries; expected 21 numbers"),
        ("120.0", "0x1p4", "line 2 of .*'0x1p4'; expected 21 numbers"),
        ("0.0 0.0 2.0", "0.0 0.0 0.0", "line 2 of .* has K .*; expected rows"),
        ("0.0 0.0 2.0", "0.0 9.0 2.0", "line 2 of .* has K .*; expected rows"),
    ],
)
def test_files_that_are_not_as_expected_are_refused(scene, old, new, message):
    edit(scene, old, new)
    with pytest.raises(ValueError, match=message):
        read_middlebury(scene, "")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\0", b"0\n"])
def test_a_file_of_something_else_is_refused(scene, content):
    (scene / "ball_par.txt").write_bytes(content)
    with pytest.raises(ValueError, match=r"ball_par.txt.*; expected"):
        read_middlebury(scene, "")


def test_one_file_of_several_is_named(scene):
    text = (scene / "ball_par.txt").read_text()
    (scene / "other_par.txt").write_text(text)
    assert not is_middlebury(scene)
    with pytest.raises(ValueError, match=r"expected one \*_par.txt; name it in cameras"):
        read_middlebury(scene, "")
    assert len(read_middlebury(scene, "other_par.txt").views) == 12


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"'x.txt' is not in .*; expected .*none"):
        read_middlebury(tmp_path, "x.txt")
    with pytest.raises(ValueError, match=r"_par.txt.* is not in"):
        read_middlebury(tmp_path, "")


def test_the_temple_has_the_cameras_of_its_file(photo_set):
    folder = photo_set("middlebury_templeRing")
    assert [name for name, form in FORMATS.items() if form.recognises(folder)] == ["middlebury"]
    views = read_middlebury(folder, "").views
    assert [view.name for view in views] == [f"templeR{i:04d}" for i in range(1, 48)]
    assert all(view.image.is_file() for view in views)
    K = [[1520.4, 0, 302.82], [0, 1525.9, 247.37], [0, 0, 1]]
    # The object's box projects into the photo, 0.56 away.
    centre = np.array([0.0267, 0.0371, -0.0550])
    for view in views:
        np.testing.assert_allclose(view.intrinsics, K, atol=1e-9)
        x, y, z = view.intrinsics @ (np.linalg.inv(view.world_from_camera)[:3] @ [*centre, 1])
        assert 0 < x / z < 640 and 0 < y / z < 480 and z == pytest.approx(0.56, abs=0.1)
