"""The frame of a scene that is made of plain photos."""

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from neural_sdf.geometry import SparsePoints
from neural_sdf.mistake import Mistake
from neural_sdf.motion import from_photos as module
from neural_sdf.motion.from_photos import upright
from neural_sdf.scenes.frame import in_scene_frame, world_from_camera
from neural_sdf.scenes.paint import smooth
from neural_sdf.scenes.synthetic import Shoot, synthetic_scene


@pytest.fixture(scope="module")
def cup():
    """Photographed from a ring all round, with z upwards in every photo."""
    return synthetic_scene(Shoot(12, 0, (2, 2), smooth))


def turned(scene, rotation):
    poses = scene.scene_from_camera.copy()
    poses[:, :3] = rotation @ poses[:, :3]
    return scene._replace(scene_from_camera=poses)


@pytest.mark.parametrize("seed", range(5))
def test_up_and_forward_are_the_same_however_the_world_was_turned(cup, seed):
    rotation = Rotation.random(rng=np.random.default_rng(seed)).as_matrix()
    poses = upright(turned(cup, rotation)).scene_from_camera
    np.testing.assert_allclose(poses, upright(cup).scene_from_camera, atol=1e-9)
    assert np.degrees(np.arccos(-poses[:, :3, 1].mean(axis=0) @ [0, 0, 1] /
                                np.linalg.norm(poses[:, :3, 1].mean(axis=0)))) < 1e-5  # fmt: skip
    assert abs(poses[0, 0, 2]) < 1e-9 and poses[0, 1, 2] > 0
    assert np.linalg.det(poses[:, :3, :3]) == pytest.approx(1)


def test_the_true_direction_upwards_is_found(cup):
    poses, true = upright(cup).scene_from_camera, cup.scene_from_camera
    rotation = poses[0, :3, :3] @ true[0, :3, :3].T
    assert np.degrees(np.arccos(rotation[2, 2])) < 3


def test_photos_that_are_all_turned_differently_have_the_axis_of_their_ring_upwards(cup):
    """As if the camera had been rolled at random: what is up in the photos averages out."""
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    poses = np.tile(np.eye(4), (12, 1, 1))
    for i, angle in enumerate(angles):
        forward = -np.array([np.cos(angle), np.sin(angle), 0.0])
        level = np.stack([np.cross(forward, [0, 0, 1.0]), [0, 0, -1.0], forward], axis=1)
        roll = Rotation.from_euler("z", [0, 90, 180, 270][i % 4], degrees=True).as_matrix()
        poses[i, :3, :3] = level @ roll
        poses[i, :3, 3] = -3 * forward
    tipped = Rotation.from_euler("xyz", [40, 20, 70], degrees=True).as_matrix()
    made = upright(turned(cup._replace(scene_from_camera=poses), tipped)).scene_from_camera
    np.testing.assert_allclose(made[:, 2, 3], 0, atol=1e-9)


def test_a_first_camera_that_looks_straight_down_is_no_obstacle(cup):
    down = np.eye(4)
    down[:3, :3] = np.diag([1.0, -1.0, -1.0])
    poses = np.stack([down, *cup.scene_from_camera])
    poses[0, :3, :3] = poses[0, :3, :3] @ np.eye(3)
    made = upright(cup._replace(scene_from_camera=poses)).scene_from_camera
    assert np.isfinite(made).all()
    rotations = made[:, :3, :3]
    product = rotations @ rotations.transpose(0, 2, 1)
    np.testing.assert_allclose(product, np.tile(np.eye(3), (13, 1, 1)), atol=1e-9)


def test_points_stay_with_the_cameras_in_every_frame(cup):
    """Seen from the first camera they are where they were, but for the scale."""
    points = np.random.default_rng(0).normal(size=(20, 3))
    source = dataclasses.replace(cup.source, points=SparsePoints(points, np.zeros(20)))
    scene = cup._replace(source=source)
    scale, world = float(cup.world_from_scene.scale), world_from_camera(cup)[0]
    seen = (points - world[:3, 3]) @ world[:3, :3]
    for moved in (in_scene_frame(scene), upright(in_scene_frame(scene))):
        pose = world_from_camera(moved)[0]
        there = (moved.source.points.places - pose[:3, 3]) @ pose[:3, :3]
        np.testing.assert_allclose(scale * there, seen, atol=1e-9)


@pytest.mark.parametrize("masks", ["auto", "background", "hull"])
def test_refused_masks_leave_the_scene_without_and_the_reason(cup, monkeypatch, masks):
    def refuse(scene):
        raise Mistake("the masks cannot be trusted")

    ways = dict.fromkeys(module.MASKING, refuse)
    monkeypatch.setattr(module, "MASKING", ways)
    bare = cup._replace(source=dataclasses.replace(cup.source, has_masks=False))
    scene, made_by, refused = module._masked(bare, masks)
    assert scene is bare and made_by == "none" and "cannot be trusted" in str(refused)
    monkeypatch.setitem(ways, "hull", lambda scene: cup)
    if masks != "background":
        assert module._masked(bare, masks) == (cup, "hull", None)
