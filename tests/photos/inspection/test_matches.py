"""Epipolar matches, on photos of a textured corner of three walls taken by NumPy alone."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from neural_sdf.photos.inspection.matches import (
    diagnose_by_matches,
    find_matches,
    fundamental,
    line_distance,
)
from neural_sdf.photos.inspection.readings import Views, zoomed

HEIGHT, WIDTH, VIEWS = 240, 320, 10
SIZES = np.tile([HEIGHT, WIDTH], (VIEWS, 1))
K = np.array([[390.0, 0, 165.0], [0, 300.0, 115.0], [0, 0, 1]])


def texture() -> np.ndarray:
    noise = np.random.default_rng(1).normal(size=(3, 400, 400))
    smooth = ndimage.gaussian_filter(noise, (0, 2.5, 2.5), mode="wrap")
    return np.clip(128 + 60 * smooth / smooth.std(), 0, 255)


def photograph(pose: np.ndarray, walls: np.ndarray) -> np.ndarray:
    """The walls x = 0, y = 0 and z = 0, seen from where all coordinates are positive."""
    columns, rows = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    pixels = np.stack([columns, rows, np.ones_like(rows)], axis=-1)
    directions = pixels @ np.linalg.inv(K).T @ pose[:3, :3].T
    with np.errstate(divide="ignore"):
        depths = np.where(directions < 0, -pose[:3, 3] / directions, np.inf)
    wall = depths.argmin(axis=-1)
    points = pose[:3, 3] + depths.min(axis=-1)[..., None] * directions
    others = np.array([[1, 2], [0, 2], [0, 1]])[wall.ravel()]  # the coordinates along the wall
    across = np.take_along_axis(points.reshape(-1, 3), others, axis=1)
    i, j = (90 * across).T % 400
    values = np.empty(len(across))
    for w in range(3):
        here = wall.ravel() == w
        values[here] = ndimage.map_coordinates(walls[w], [i[here], j[here]], order=1, mode="wrap")
    grey = np.rint(values).astype(np.uint8).reshape(HEIGHT, WIDTH)
    return np.repeat(grey[..., None], 3, axis=-1)


def look(turn: float) -> np.ndarray:
    eye = np.array([4 * np.cos(turn), 4 * np.sin(turn), 2.5 + turn])
    forward = (np.array([0.5, 0.5, 0.7]) - eye) / np.linalg.norm([0.5, 0.5, 0.7] - eye)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(forward, right), forward, eye], axis=1)
    return pose


@pytest.fixture(scope="module")
def corner() -> tuple[list[np.ndarray], Views]:
    walls = texture()
    poses = np.stack([look(turn) for turn in np.linspace(0.3, 1.25, VIEWS)])
    photos = [photograph(pose, walls) for pose in poses]
    names = tuple(f"{i:03d}" for i in range(VIEWS))
    return photos, Views(names, np.arange(VIEWS), (), np.tile(K, (VIEWS, 1, 1)), poses, SIZES)


def test_the_fundamental_matrix_joins_the_images_of_a_point(corner):
    poses, points = corner[1].world_from_camera, np.random.default_rng(0).uniform(0, 1, (20, 3))

    def image(pose):
        local = (points - pose[:3, 3]) @ pose[:3, :3] @ K.T
        return local / local[:, 2:]

    F = fundamental(K, poses[1], K, poses[7])
    residual = np.sum(image(poses[7]) @ F * image(poses[1]), axis=1) / np.linalg.norm(F)
    np.testing.assert_allclose(residual, 0, atol=1e-9)


def test_matches_lie_on_their_lines_where_cameras_are_right(corner):
    pairs = find_matches(*corner)
    assert len(pairs) >= 5
    assert line_distance(pairs, corner[1]) < 0.5
    assert list(diagnose_by_matches(*corner)) == []


def noisy(v):
    turns = np.random.default_rng(0).normal(size=(VIEWS, 3)) * np.radians(2.0) / 3**0.5
    poses = v.world_from_camera.copy()
    poses[:, :3, :3] = poses[:, :3, :3] @ Rotation.from_rotvec(turns).as_matrix()
    return v._replace(world_from_camera=poses)


def stretched(v):
    wrong = v.intrinsics.copy()
    wrong[:, 0, 0], wrong[:, 1, 1] = 300.0, 390.0
    return v._replace(intrinsics=wrong)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (
            lambda v: v._replace(world_from_camera=v.world_from_camera * [1.0, -1, -1, 1]),
            "wrong-axes",
        ),
        (
            lambda v: v._replace(world_from_camera=np.linalg.inv(v.world_from_camera)),
            "inverted-poses",
        ),
        (lambda v: v._replace(world_from_camera=v.world_from_camera[::-1]), "wrong-order"),
        (stretched, "swapped-focal-lengths"),
        (lambda v: zoomed(v, 0.2), "wrong-focal-length"),
        (
            lambda v: v._replace(intrinsics=np.tile(np.eye(3), (VIEWS, 1, 1))),
            "wrong-focal-length",
        ),
        (noisy, "pose-noise"),
    ],
)
def test_a_fault_of_the_cameras_is_told_by_name(corner, change, code):
    photos, views = corner
    (finding,) = diagnose_by_matches(photos, change(views))
    assert finding.code == code, finding


def test_photos_with_nothing_in_common_are_only_noted(corner):
    photos, views = corner
    (finding,) = diagnose_by_matches([np.full_like(photo, 99) for photo in photos], views)
    assert (finding.code, finding.level) == ("few-matches", "note")
