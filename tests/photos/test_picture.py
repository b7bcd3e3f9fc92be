"""The preview: what is drawn lies where geometry has it."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from neural_sdf.geometry import Similarity
from neural_sdf.photos import load_scene
from neural_sdf.photos.picture import (
    HULL,
    MARGIN,
    REGION,
    SIDE,
    TEST,
    TRAIN,
    _sphere_outline,
    scene_picture,
)
from neural_sdf.scenes.scene import Scene, Source

SHIFT = np.array([0.5, -0.3, 0.2])  # of the ball from the middle of the region, world units
RADIUS = 1.6  # of the region
AXES = ((0, 1), (0, 2), (1, 2))  # x right and y up, x and z, y and z
MIDDLE = np.array([SIDE / 2, SIDE / 2 - MARGIN])  # of a panel without its margins


def rgb_of(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def panels(scene: Scene) -> list[np.ndarray]:
    """Along each axis, and the photo."""
    picture = np.asarray(Image.open(io.BytesIO(scene_picture(scene))))
    assert picture.shape == (2 * SIDE, 2 * SIDE, 3)
    halves = slice(0, SIDE), slice(SIDE, None)
    return [picture[rows, columns] for rows in halves for columns in halves]


def drawn(panel: np.ndarray, colour: str) -> np.ndarray:
    """(x, y) of the pixels of a colour."""
    rows, columns = np.nonzero((panel == rgb_of(colour)).all(axis=-1))
    return np.stack([columns, rows], axis=-1)


def pixels_per_unit(scene) -> float:
    return (SIDE / 2 - MARGIN) / (1.15 * np.abs(scene.scene_from_camera[:, :3, 3]).max())


@pytest.fixture
def scene(ball, idr_folder) -> Scene:
    return load_scene(idr_folder, centre=tuple(ball.centre - SHIFT), radius=RADIUS)


@pytest.fixture
def picture(scene) -> list[np.ndarray]:
    return panels(scene)


def test_the_hull_is_drawn_where_the_ball_is(picture, scene):
    scale = pixels_per_unit(scene)
    for panel, (across, up) in zip(picture, AXES, strict=False):
        expected = SIDE / 2 + scale * np.array([SHIFT[across], -SHIFT[up]]) / RADIUS
        hull = drawn(panel, HULL)
        middle = (hull.min(axis=0) + hull.max(axis=0)) / 2
        half = 0.8 / RADIUS * scale
        np.testing.assert_allclose(middle, expected, atol=0.1 * half + 1.5)
        np.testing.assert_allclose(np.ptp(hull, axis=0) / 2, half, atol=0.15 * half + 1.5)
        off = np.linalg.norm(expected - SIDE / 2)
        assert off > 0.15 * half + 1.5, "a mirrored hull would be seen"


def test_the_region_is_a_circle_about_the_middle_of_each_panel(picture, scene):
    for panel in picture[:3]:
        far = np.linalg.norm(drawn(panel[MARGIN:-MARGIN], REGION) - MIDDLE, axis=1)
        np.testing.assert_allclose(far, pixels_per_unit(scene), atol=1.5)
        assert len(far) > 20


def hand_made(poses, *, num_train=1, size=(12, 20), rgb=None, mask=None) -> Scene:
    """Small photos; without masks unless they are given."""
    count, (height, width) = len(poses), size
    pixels = count * height * width
    K = np.array([[30.0, 0, width / 2], [0, 30, height / 2], [0, 0, 1]])
    return Scene(
        rgb=np.full((pixels, 3), 90, np.uint8) if rgb is None else rgb.reshape(-1, 3),
        mask=np.ones(pixels, bool) if mask is None else mask.ravel(),
        offsets=np.arange(count + 1, dtype=np.int32) * height * width,
        sizes=np.tile(np.array(size, np.int32), (count, 1)),
        intrinsics=np.tile(K, (count, 1, 1)),
        scene_from_camera=np.array(poses),
        num_train=np.array(num_train, np.int32),
        world_from_scene=Similarity(np.array(2.0), np.eye(3), np.array([1.0, 2, 3])),
        source=Source(
            tuple(f"view{i}" for i in range(count)), tuple(range(count)), mask is not None
        ),
    )


def towards_middle(eye) -> np.ndarray:
    forward = -np.array(eye) / np.linalg.norm(eye)
    right = np.cross(forward, [0.2, 0.1, 1.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(forward, right), forward, eye], axis=1)
    return pose


def test_cameras_are_drawn_where_they_are_and_open_towards_what_they_see():
    """One for training and one for testing, neither on an axis nor opposite the other."""
    eyes = np.array([[3.0, -1.2, 2.0], [-2.2, -2.6, 0.8]])
    scene = hand_made([towards_middle(eye) for eye in eyes])
    scale = pixels_per_unit(scene)
    for panel, (across, up) in zip(panels(scene), AXES, strict=False):
        for eye, colour in zip(eyes, (TRAIN, TEST), strict=True):
            lines = drawn(panel[:-MARGIN], colour)
            at = SIDE / 2 + scale * np.array([eye[across], -eye[up]])
            assert np.linalg.norm(lines - at, axis=1).min() < 1.5
            # Nothing of the camera lies farther out than its centre, and its lines are short.
            towards = np.array([-eye[across], eye[up]]) / np.hypot(eye[across], eye[up])
            along = (lines - at) @ towards
            assert along.min() > -2
            assert 10 < along.max() < 0.2 * SIDE


def test_a_camera_shows_its_photos_corners():
    """The edges of the pyramid are rays: (corner − principal point) / focal length."""
    scene = hand_made([towards_middle([3.0, -1.2, 2.0])])
    pose, scale = scene.scene_from_camera[0], pixels_per_unit(scene)
    corners = np.array([[x, y, 1.0] for x in (-10 / 30, 10 / 30) for y in (-6 / 30, 6 / 30)])
    for panel, axes in zip(panels(scene), AXES, strict=False):
        lines = drawn(panel[:-MARGIN], TRAIN)
        for corner in corners:
            for depth in (0.05, 0.1, 0.2):
                point = (pose[:3, :3] @ (depth * corner) + pose[:3, 3])[list(axes)]
                at = SIDE / 2 + scale * point * [1, -1]
                assert np.linalg.norm(lines - at, axis=1).min() < 1.5


def test_the_rim_of_the_mask_is_red_in_the_photo_and_the_rest_is_the_photo():
    rows, columns = np.indices((24, 40))
    rgb = np.stack([20 + 0 * rows, 60 + 4 * rows, 40 + 5 * columns], axis=-1).astype(np.uint8)
    mask = (np.abs(rows - 10) <= 5) & (np.abs(columns - 26) <= 8)
    scene = hand_made([towards_middle([3.0, -1.2, 2.0])], size=(24, 40), rgb=rgb, mask=mask)
    inside_camera = scene.scene_from_camera * np.array([1, 1, 1, 0.1])[:, None]
    scene = scene._replace(scene_from_camera=inside_camera)  # no outline of the region over it
    photo = panels(scene)[3]
    size = (SIDE - 2 * MARGIN) / 40
    at = (MARGIN + size * (rows + 0.5)).astype(int), (MARGIN + size * (columns + 0.5)).astype(int)
    shown = photo[at].astype(int)
    rim = mask & ((np.abs(rows - 10) == 5) | (np.abs(columns - 26) == 8))
    assert (np.abs(shown[rim] - [255, 0, 0]) < 25).all()
    near = (np.abs(rows - 10) <= 8) & (np.abs(columns - 26) <= 11)
    far = ~near & ~((np.abs(rows - 10) < 2) & (np.abs(columns - 26) < 5))
    assert np.abs(shown[far] - rgb[far].astype(int)).max() < 6
    deep = (np.abs(rows - 10) <= 2) & (np.abs(columns - 26) <= 5)
    assert np.abs(shown[deep] - rgb[deep].astype(int)).max() < 6


def test_the_region_is_outlined_in_the_photo():
    """From straight ahead it is the circle of angle asin(1 / d) about the principal point."""
    pose = np.eye(4)
    pose[2, 3] = -4.0
    size = (SIDE - 2 * MARGIN) / 40
    blue = drawn(panels(hand_made([pose], size=(40, 40)))[3], REGION)
    far = np.linalg.norm(blue + 0.5 - (MARGIN + size * 20), axis=1)
    np.testing.assert_allclose(far, size * 30 * np.tan(np.arcsin(1 / 4)), atol=1.5)
    assert len(blue) > 200


def test_a_scene_without_masks_has_a_preview_without_hull_and_rim():
    scene = hand_made([towards_middle(eye) for eye in ([3.0, -1, 2], [2, 3, 1])])
    picture = panels(scene)
    assert all(len(drawn(panel, HULL)) == 0 for panel in picture)
    assert len(drawn(picture[3], "#ff0000")) == 0
    assert len(drawn(picture[3], "#5a5a5a")) > 1000  # the photo's grey


@pytest.mark.parametrize("far", [1.05, 1.5, 4.0, 1e4])
def test_rays_through_the_outline_touch_the_unit_sphere(far):
    rng = np.random.default_rng(0)
    for turn in Rotation.random(20, rng=rng).as_matrix():
        pose = np.eye(4)
        pose[:3, :3] = turn
        aside = np.append(rng.uniform(-0.1, 0.1, 2), 0)  # the camera looks past the middle
        forward = turn[:, 2] + turn @ aside
        pose[:3, 3] = -far * forward / np.linalg.norm(forward)
        outline = _sphere_outline(pose)
        assert len(outline) > 60 and (outline[:, 2] > 0).all()
        directions = outline @ turn.T / np.linalg.norm(outline, axis=1, keepdims=True)
        along = -directions @ pose[:3, 3]
        closest = pose[:3, 3] + along[:, None] * directions
        np.testing.assert_allclose(np.linalg.norm(closest, axis=1), 1, atol=1e-9 * max(1, far))
        points = outline @ turn.T + pose[:3, 3]
        np.testing.assert_allclose(points, closest, atol=1e-9 * max(1, far))
        turns = np.sort(np.arctan2(*(points @ np.linalg.svd(pose[None, :3, 3])[2][1:].T).T))
        assert np.diff(turns).max() < 0.1, "it goes all round"


def test_the_region_has_no_outline_from_inside_or_from_behind():
    pose = np.eye(4)
    pose[:3, 3] = 0.3, 0.2, -0.9
    assert len(_sphere_outline(pose)) == 0
    pose[:3, 3] = 0, 0, 4.0
    assert len(_sphere_outline(pose)) == 0
