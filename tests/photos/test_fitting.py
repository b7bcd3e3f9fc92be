"""Cameras become those of their photos where size, turn and scale can be told, and say so."""

from pathlib import Path

import numpy as np
import pytest

from neural_sdf.photos.files.capture import Header, View, same_shape
from neural_sdf.photos.fitting import fit

K = np.array([[600.0, 2.0, 250.0], [0.0, 660.0, 170.0], [0.0, 0.0, 1.0]])


def view(**changes) -> View:
    return View("a", "frame 0", Path("a.jpg"), None, K, np.eye(4))._replace(**changes)


def fitted(one: View, header: Header):
    found = fit([one], {"a": header})
    return found.views[0], found


@pytest.mark.parametrize("size", [(200, 300), (201, 300), (200, 299), (800, 1200)])
def test_k_grows_with_a_photo_of_the_declared_shape(size):
    now, found = fitted(view(size=(400, 600)), Header(*size, False))
    ratio = np.array([size[1] / 600, size[0] / 400, 1.0])
    np.testing.assert_allclose(now.intrinsics, ratio[:, None] * K)
    assert now.size == size
    assert [told.code for told in found.findings] == ["scaled-cameras"]


@pytest.mark.parametrize("size", [(200, 200), (400, 500), (600, 400), (203, 300)])
def test_a_photo_of_another_shape_is_left_to_the_checks(size):
    now, found = fitted(view(size=(400, 600)), Header(*size, False))
    assert now.size == (400, 600) and not found.findings
    np.testing.assert_array_equal(now.intrinsics, K)


def test_sizes_have_one_shape_if_one_factor_makes_them_equal_to_a_pixel():
    assert same_shape((90, 120), (91, 120)) and same_shape((90, 120), (45, 60))
    assert same_shape((1080, 1920), (135, 240)) and not same_shape((1080, 1920), (1920, 1080))
    assert not same_shape((90, 120), (93, 120))


@pytest.mark.parametrize("declared", [(90, 120), (45, 60)])
def test_the_declared_size_tells_whether_a_photo_is_meant_as_stored_or_as_shown(declared):
    lying = Header(90, 120, False, orientation=6)
    stored, found = fitted(view(size=declared), lying)
    assert stored.is_turned is False and found.headers["a"][:2] == (90, 120)
    shown, found = fitted(view(size=declared[::-1]), lying)
    assert shown.is_turned is True and found.headers["a"][:2] == (120, 90)
    assert not found.errors


@pytest.mark.parametrize(
    ("size", "orientation"), [(None, 6), ((90, 120), 3), ((90, 120), 2), ((50, 50), 6)]
)
def test_a_turn_that_no_size_tells_is_an_error(size, orientation):
    height, width = size or (90, 120)
    _, found = fitted(view(size=size), Header(height, width, False, orientation))
    ((_, error),) = found.errors
    assert error.code == "exif-rotation" and f"orientation {orientation}" in str(error)


@pytest.mark.parametrize(("orientation", "turn"), [(2, "mirrored"), (3, "turned by half")])
def test_a_turn_that_keeps_the_size_is_not_said_to_be_told_by_one(orientation, turn):
    _, found = fitted(view(size=(90, 120)), Header(90, 120, False, orientation))
    ((_, error),) = found.errors
    assert f"orientation {orientation} ({turn})" in str(error) and "declares" not in str(error)
    assert "delete the tag" in str(error) and "write the file anew as it is shown" in str(error)


def test_a_rotation_with_a_scale_is_divided_by_it_and_the_place_is_kept():
    pose = np.diag([0.25, 0.25, 0.25, 1.0])
    pose[:3, 3] = 1.0, 2.0, 3.0
    now, found = fitted(view(world_from_camera=pose), Header(400, 600, False))
    np.testing.assert_allclose(now.world_from_camera[:3, :3], np.eye(3))
    np.testing.assert_array_equal(now.world_from_camera[:3, 3], [1, 2, 3])
    assert [told.code for told in found.findings] == ["scaled-rotations"]


@pytest.mark.parametrize("lengths", [(1.0, 1.0, 1.0), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0)])
def test_other_poses_are_left_as_they_are(lengths):
    pose = np.diag([*lengths, 1.0])
    now, found = fitted(view(world_from_camera=pose), Header(400, 600, False))
    np.testing.assert_array_equal(now.world_from_camera, pose)
    assert not found.findings
