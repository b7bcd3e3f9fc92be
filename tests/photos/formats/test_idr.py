import pickle
from pathlib import Path

import numpy as np
import pytest

from neural_sdf.photos.formats.idr import is_idr, read_idr
from neural_sdf.photos.formats.projection import decompose_projection


def test_decomposition_recovers_skewed_camera_from_scaled_projection(ball):
    K = np.array([[60.0, 3.0, 25.0], [0.0, 66.0, 17.0], [0.0, 0.0, 1.0]])
    for pose in ball.world_from_camera:
        projection = 7.5 * K @ np.linalg.inv(pose)[:3]
        intrinsics, world_from_camera = decompose_projection(projection, "P")
        np.testing.assert_allclose(intrinsics, K, atol=1e-11)
        np.testing.assert_allclose(world_from_camera, pose, atol=1e-12)


def test_a_projection_and_its_negative_are_one_camera(ball):
    projection = ball.intrinsics @ np.linalg.inv(ball.world_from_camera[0])[:3]
    for one, other in zip(
        decompose_projection(projection, "P"),
        decompose_projection(-3 * projection, "P"),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, atol=1e-11)


def test_intrinsics_may_lie_beside_poses_in_units_of_half_the_photo(ball, idr_folder, edit_npz):
    """As DVR and UNISURF have them."""
    to_unit = np.array([[2 / 48, 0, -1], [0, 2 / 36, -1], [0, 0, 1]])

    def split(arrays):
        for i, pose in enumerate(ball.world_from_camera):
            arrays[f"world_mat_{i}"] = np.linalg.inv(pose)
            arrays[f"camera_mat_{i}"] = np.eye(4)
            arrays[f"camera_mat_{i}"][:3, :3] = to_unit @ ball.intrinsics

    edit_npz(idr_folder / "cameras.npz", split)
    for view, pose in zip(read_idr(idr_folder, "").views, ball.world_from_camera, strict=True):
        np.testing.assert_allclose(view.intrinsics, ball.intrinsics, atol=1e-10)
        np.testing.assert_allclose(view.world_from_camera, pose, atol=1e-10)
    edit_npz(idr_folder / "cameras.npz", lambda a: [a.pop(k) for k in list(a) if "camera" in k])
    with pytest.raises(ValueError, match=r"world_mat_0 .* pose without intrinsics; expected K"):
        read_idr(idr_folder, "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (np.diag([1.0, 1, 0]), "determinant 0"),
        (np.diag([1.0, 1, np.nan]), "NaN"),
    ],
)
def test_a_projection_of_no_camera_is_refused(ball, change, message):
    projection = change @ ball.intrinsics @ np.linalg.inv(ball.world_from_camera[0])[:3]
    with pytest.raises(ValueError, match=rf"world_mat_7 .*{message}.*expected"):
        decompose_projection(projection, "world_mat_7 of cameras.npz")


def test_the_last_row_of_the_matrices_may_be_left_out(idr_folder, edit_npz):
    whole = read_idr(idr_folder, "")
    edit_npz(idr_folder / "cameras.npz", lambda a: a.update({k: m[:3] for k, m in a.items()}))
    cut = read_idr(idr_folder, "")
    for view, other in zip(cut.views, whole.views, strict=True):
        np.testing.assert_array_equal(view.intrinsics, other.intrinsics)
        np.testing.assert_array_equal(view.world_from_camera, other.world_from_camera)
    np.testing.assert_array_equal(cut.world_from_scene.translation, [1.0, -2.0, 0.5])


def test_the_cameras_that_were_written_are_read(ball, idr_folder):
    capture = read_idr(idr_folder, "cameras.npz")
    for view, pose in zip(capture.views, ball.world_from_camera, strict=True):
        np.testing.assert_allclose(view.intrinsics, ball.intrinsics, atol=1e-10)
        np.testing.assert_allclose(view.world_from_camera, pose, atol=1e-10)
    assert capture.world_from_scene.scale == pytest.approx(1.0)
    np.testing.assert_allclose(capture.world_from_scene.translation, ball.centre)


def test_photos_and_masks_are_paired_in_sorted_order(idr_folder):
    views = read_idr(idr_folder, "cameras.npz").views
    assert [view.image.name for view in views[:2]] == ["000000.png", "000001.png"]
    assert [view.mask.name for view in views[:2]] == ["000.png", "001.png"]


@pytest.mark.parametrize(("habit", "first"), [("{}.png", 0), ("{}.png", 1), ("m_{:04d}.png", 0)])
def test_masks_are_those_of_the_photos_numbers_and_do_not_go_1_10_2(idr_folder, habit, first):
    before = [view.mask.read_bytes() for view in read_idr(idr_folder, "").views]
    for i, path in enumerate(sorted((idr_folder / "mask").iterdir())):
        path.rename(idr_folder / "mask" / habit.format(i + first))
    assert [view.mask.read_bytes() for view in read_idr(idr_folder, "").views] == before


def test_the_layout_is_told_by_photos_and_npz(idr_folder, transforms_folder):
    assert is_idr(idr_folder)
    assert not is_idr(transforms_folder)


def test_without_scale_matrices_the_region_is_left_open(idr_folder, edit_npz):
    edit_npz(idr_folder / "cameras.npz", lambda a: [a.pop(k) for k in list(a) if "scale" in k])
    assert read_idr(idr_folder, "cameras.npz").world_from_scene is None


def test_a_wrong_name_of_the_npz_lists_those_there(idr_folder):
    with pytest.raises(ValueError, match=r"'other.npz'.*\['cameras.npz'\].*set cameras"):
        read_idr(idr_folder, "other.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("world_mat_3"), "holds no world_mat_3; expected one"),
        (lambda a: a.pop("scale_mat_11"), "holds no scale_mat_11; expected one"),
        (lambda a: [a.pop(k) for k in list(a) if "world" in k], "holds no world_mat_0"),
        (lambda a: a.update(world_mat_3=np.eye(3)), r"world_mat_3 .*\(3, 3\).*expected"),
        (lambda a: a.update(scale_mat_3=3 * np.eye(4)), "differ between views .* by [2-3]"),
        (lambda a: a["scale_mat_0"].__imul__(np.diag([1.0, 2, 1, 1])), "scale_mat .* differ"),
        (lambda a: a["scale_mat_0"].__imul__(-1), "scale_mat_0 .* has scale -1"),
        (lambda a: a["world_mat_3"].__imul__(np.nan), "world_mat_3 of cameras.npz holds NaN"),
    ],
)
def test_matrices_that_are_not_as_expected_are_refused(idr_folder, edit_npz, change, message):
    edit_npz(idr_folder / "cameras.npz", change)
    with pytest.raises(ValueError, match=message):
        read_idr(idr_folder, "cameras.npz")


def test_missing_files_are_paired_by_number_and_expected_where_they_should_be(idr_folder):
    (idr_folder / "mask/005.png").unlink()
    (idr_folder / "image/000007.png").unlink()
    views = read_idr(idr_folder, "").views
    assert [view.image.stem for view in views] == [f"{i:06d}" for i in range(12)]
    absent = [str(p) for v in views for p in (v.image, v.mask) if not p.is_file()]
    assert absent == [str(idr_folder / "mask/005.png"), str(idr_folder / "image/000007.png")]


def test_missing_files_without_numbers_are_refused(idr_folder):
    for path in (idr_folder / "image").iterdir():
        path.rename(path.with_name(f"photo_{path.name}"))
    (idr_folder / "image/photo_000007.png").unlink()
    with pytest.raises(ValueError, match=r"11 images for 12 cameras of cameras.npz; expected one"):
        read_idr(idr_folder, "")


def test_the_usual_camera_files_need_no_name(idr_folder):
    (idr_folder / "cameras.npz").rename(idr_folder / "cameras_sphere.npz")
    assert read_idr(idr_folder, "").views[3].origin == "world_mat_3 of cameras_sphere.npz"


def test_a_camera_file_outside_the_folder_is_not_read(idr_folder):
    with pytest.raises(ValueError, match=r"'../cameras.npz', which is outside"):
        read_idr(idr_folder, "../cameras.npz")


def test_a_folder_without_photos_is_refused(idr_folder):
    for path in (idr_folder / "image").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=r"image holds no image; expected 12 files, .png"):
        read_idr(idr_folder, "cameras.npz")


class Bomb:
    """Says so if it is ever unpickled."""

    def __reduce__(self):
        return pytest.fail, ("unpickled",)


def pickled_object(path: Path) -> None:
    np.savez(path, world_mat_0=np.array([Bomb()], dtype=object))


def one_array(path):
    with path.open("wb") as file:
        np.save(file, np.eye(4))


@pytest.mark.parametrize(
    "spoil",
    [
        pickled_object,
        lambda path: path.write_bytes(path.read_bytes()[:700]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not an archive"),
        lambda path: path.write_bytes(pickle.dumps(Bomb())),
        one_array,
    ],
)
def test_an_npz_of_anything_but_arrays_is_refused_and_never_unpickled(idr_folder, spoil):
    spoil(idr_folder / "cameras.npz")
    with pytest.raises(ValueError, match=r"cameras.npz cannot be read \(.*\); expected an npz"):
        read_idr(idr_folder, "cameras.npz")


@pytest.mark.parametrize(
    ("cameras", "radius", "centre"),
    [
        ("cameras.npz", 246.41, (-37.54, -42.64, 653.21)),
        ("cameras_sphere.npz", 164.60, (-28.09, -27.98, 640.43)),
        ("cameras_linear_init.npz", 240.87, (-57.70, -46.61, 664.31)),
    ],
)
def test_dtu_cameras_have_their_known_numbers(photo_set, cameras, radius, centre):
    capture = read_idr(photo_set("dtu_scan65"), cameras)
    assert len(capture.views) == 49
    assert float(capture.world_from_scene.scale) == pytest.approx(radius, abs=0.01)
    np.testing.assert_allclose(capture.world_from_scene.translation, centre, atol=0.01)
    if cameras != "cameras_linear_init.npz":
        K = np.array([[2892.33, 0, 823.21 + 0.5], [0, 2883.18, 619.07 + 0.5], [0, 0, 1]])
        for view in capture.views:
            np.testing.assert_allclose(view.intrinsics, K, atol=0.01)
