import numpy as np
import pytest

from neural_sdf.photos.files.capture import intrinsics_fault, pose_fault

TURN = np.array([[0.0, -1, 0, 5], [0.6, 0, -0.8, 6], [0.8, 0, 0.6, 7], [0, 0, 0, 1]])
CAMERA = np.array([[60.0, 0, 24], [0, 66, 18], [0, 0, 1]])


def changed(matrix, index, value):
    matrix = matrix.copy()
    matrix[index] = value
    return matrix


def test_a_rotation_with_a_translation_is_rigid():
    assert pose_fault(TURN) is None


@pytest.mark.parametrize(
    ("pose", "message"),
    [
        (changed(TURN, (1, 2), np.nan), "holds nan"),
        (TURN.T, "transposed"),
        (TURN @ np.diag([2.0, 2, 2, 1]), "length 2"),
        (TURN @ np.diag([1.0, 1, -1, 1]), "determinant -1"),
        (changed(TURN, (slice(3), 0), (TURN[:3, 0] + TURN[:3, 1]) / 2**0.5), "cosine of 0.7071"),
    ],
)
def test_a_pose_that_is_not_rigid_is_told_with_its_number(pose, message):
    assert message in str(pose_fault(pose))


@pytest.mark.parametrize(
    ("intrinsics", "message"),
    [
        (changed(CAMERA, (0, 0), np.nan), "hold nan"),
        (changed(CAMERA, (0, 0), -60.0), "fx -60"),
        (changed(CAMERA, (1, 1), 0.0), "fy 0"),
        (changed(CAMERA, (0, 2), 4850.0), "(4850, 18) is 101 sides from the middle"),
    ],
)
def test_intrinsics_that_cannot_be_are_told_with_their_number(intrinsics, message):
    assert intrinsics_fault(CAMERA, 36, 48) is None
    assert message in str(intrinsics_fault(intrinsics, 36, 48))
