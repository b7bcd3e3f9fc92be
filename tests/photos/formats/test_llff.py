import io

import numpy as np
import pytest

from neural_sdf.photos.formats import FORMATS
from neural_sdf.photos.formats.llff import is_llff, read_llff
from neural_sdf.photos.layouts import recognise


def rows_of(ball) -> np.ndarray:
    """Down is OpenCV's y, right its x, backwards its -z; photos of 48 by 36, focal length 60."""
    rows = []
    for pose in ball.world_from_camera:
        right, down, forward, position = (pose[:3, i] for i in range(4))
        matrix = np.stack([down, right, -forward, position, [36, 48, 60]], axis=1)
        rows.append([*matrix.ravel(), 2.0, 6.0])
    return np.array(rows)


@pytest.fixture
def scene(ball, tmp_path):
    (tmp_path / "images").mkdir()
    for i in range(12):
        (tmp_path / f"images/IMG_{i:03d}.JPG").touch()
    np.save(tmp_path / "poses_bounds.npy", rows_of(ball))
    return tmp_path


def test_the_cameras_that_were_written_are_read(ball, scene):
    capture = read_llff(scene, "")
    for view, pose in zip(capture.views, ball.world_from_camera, strict=True):
        np.testing.assert_array_equal(view.intrinsics, [[60, 0, 24], [0, 60, 18], [0, 0, 1]])
        np.testing.assert_allclose(view.world_from_camera, pose, atol=1e-9)
        assert view.size == (36, 48)
    assert capture.world_from_scene is None and capture.points is None


def test_rows_are_of_photos_in_sorted_order(scene):
    views = read_llff(scene, "").views
    assert [view.image.name for view in views] == [f"IMG_{i:03d}.JPG" for i in range(12)]
    assert views[3].origin == "row 3 of poses_bounds.npy"
    assert views[3].name == "images_IMG_003"


@pytest.mark.parametrize("convert", [np.float32, np.asfortranarray])
def test_single_precision_and_column_order_are_read(ball, scene, convert):
    np.save(scene / "poses_bounds.npy", convert(rows_of(ball)))
    view = read_llff(scene, "").views[3]
    np.testing.assert_allclose(view.world_from_camera, ball.world_from_camera[3], atol=1e-6)


def test_the_layout_is_told_by_its_array(scene, transforms_folder):
    assert [name for name, form in FORMATS.items() if form.recognises(scene)] == ["llff"]
    assert not is_llff(transforms_folder)


def test_the_model_that_a_set_was_made_from_comes_before_it(scene):
    (scene / "sparse/0").mkdir(parents=True)
    for name in ("cameras.bin", "images.bin"):
        (scene / "sparse/0" / name).touch()
    assert list(recognise(scene, "auto")) == ["colmap", "llff"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:11], "12 images for 11 poses .*; expected one .*; add the missing"),
        (lambda rows: rows[:, :15], r"shape \(12, 15\)\); expected an npy"),
        (lambda rows: rows[0], r"shape \(17,\)"),
        (lambda rows: rows[:0], r"shape \(0, 17\)"),
        (lambda rows: rows.astype(complex), "it is complex128"),
        (lambda rows: rows.astype("U9"), "it is <U9"),
        (lambda rows: np.where(np.arange(17) == 3, np.nan, rows), "row 0 .* holds nan; expected"),
        (lambda rows: np.where(np.arange(17) == 3, 1e200, rows), "row 0 .* holds 1e.200; expected"),
        (lambda rows: np.where(np.arange(17) == 4, 0.5, rows), "row 0 .* height 0.5 and width 48"),
    ],
)
def test_arrays_that_are_not_as_expected_are_refused(ball, scene, change, message):
    np.save(scene / "poses_bounds.npy", change(rows_of(ball)))
    with pytest.raises(ValueError, match=message):
        read_llff(scene, "")


class Bomb:
    """Says so if it is ever unpickled."""

    def __reduce__(self):
        return pytest.fail, ("unpickled",)


def pickled() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([Bomb()], dtype=object))
    return file.getvalue()


def headed(shape: str, descr: str = "'<f8'") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(136)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not an array",
        b"\x93NUMPY\x09\x00",
        pickled(),
        headed("(1152921504606846976, 17)"),
        headed("(-1, 17)"),
        headed("(1e400, 17)"),
        headed("(" * 60),
        headed("[" * 9000),
        headed("(1, 17)", "[('x', '<f8')]"),
        headed("(1, 17)", "'|O'"),
        headed("(1, 17)")[:-1],
    ],
)
def test_a_file_that_is_no_plain_array_is_refused(scene, content):
    (scene / "poses_bounds.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"poses_bounds.npy cannot be read .*; expected an npy"):
        read_llff(scene, "")


def test_a_missing_array_or_missing_photos_are_refused(scene, tmp_path):
    for photo in (scene / "images").iterdir():
        photo.unlink()
    with pytest.raises(ValueError, match=r"images holds no image; expected 12 files"):
        read_llff(scene, "")
    (scene / "poses_bounds.npy").unlink()
    with pytest.raises(ValueError, match=r"'poses_bounds.npy' is not in .*; expected"):
        read_llff(scene, "")
