"""Depths that photos agree on, against surfaces that are known."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.photos import load_scene
from neural_sdf.scenes import Depths, Scene, view_masks, view_photo
from neural_sdf.scenes.cabinet import cabinet, inside
from neural_sdf.stereo import agreed_depths
from neural_sdf.stereo import agreement as module
from neural_sdf.stereo.neighbours import nearest_views
from neural_sdf.stereo.sweep import Album


@functools.cache
def photographed() -> Scene:
    return load_scene("", format="synthetic_cabinet", downscale=2)


@functools.cache
def compared() -> Depths:
    depths = agreed_depths(photographed())
    assert depths is not None
    return depths


def points_at(scene: Scene, depths: np.ndarray, block: int = 1) -> np.ndarray:
    """The places that depths of blocks say, where they are not 0, scene frame."""
    places = []
    for view, known in enumerate(depths):
        rows, columns = np.nonzero(known)
        pixels = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], axis=-1)
        pixels[:, :2] *= block
        camera = known[rows, columns, None] * (pixels @ np.linalg.inv(scene.intrinsics[view]).T)
        pose = scene.scene_from_camera[view]
        places.append(camera @ pose[:3, :3].T + pose[:3, 3])
    return np.concatenate(places)


def test_depths_lie_on_the_surface_in_the_hollows_too():
    places = points_at(photographed(), compared().surface)
    distance = np.abs(np.asarray(cabinet(jnp.asarray(places))))
    assert np.median(distance) < 0.01  # a third of a pixel there
    assert np.mean(distance > 0.05) < 0.02
    hollow = inside(places)
    assert hollow.sum() > 500
    assert np.mean(distance[hollow] > 0.05) < 0.1


def test_most_of_the_object_has_a_depth_and_nothing_else_has():
    masks = np.stack(view_masks(photographed())[:40])
    known = compared().surface > 0
    assert known[masks].mean() > 0.5
    assert not known[~masks].any()


def test_what_is_clear_ends_before_the_surface():
    ends = np.asarray(cabinet(jnp.asarray(points_at(photographed(), compared().clear))))
    assert np.mean(ends < 0) < 0.03
    assert np.mean(ends < -0.03) < 0.005
    assert (compared().clear <= compared().surface).all()


def test_exposure_of_single_photos_does_not_matter():
    scene = photographed()
    darker = np.array(scene.rgb)
    for view in range(0, 40, 3):
        own = slice(scene.offsets[view], scene.offsets[view + 1])
        darker[own] = darker[own] * 0.6
    other = agreed_depths(scene._replace(rgb=darker))
    assert other is not None
    both = (other.surface > 0) & (compared().surface > 0)
    assert both.sum() > 0.85 * (compared().surface > 0).sum()
    differ = np.abs(other.surface - compared().surface)[both] > 0.05
    assert differ.mean() < 0.03


def test_photos_of_other_sizes_are_compared_as_well():
    scene = photographed()
    masks = view_masks(scene)
    cut = [
        (slice(0, 64), slice(8, 56)) if v % 2 else (slice(8, 60), slice(0, 64)) for v in range(48)
    ]
    photos = [view_photo(scene, view)[part] for view, part in enumerate(cut)]
    masks = [mask[part] for mask, part in zip(masks, cut, strict=True)]
    intrinsics = np.array(scene.intrinsics)
    intrinsics[:, :2, 2] -= [(columns.start, rows.start) for rows, columns in cut]
    sizes = np.array([mask.shape for mask in masks], np.int32)
    smaller = scene._replace(
        rgb=np.concatenate([photo.reshape(-1, 3) for photo in photos]),
        mask=np.concatenate([mask.reshape(-1) for mask in masks]),
        offsets=np.concatenate([[0], sizes.prod(axis=1).cumsum()]).astype(np.int32),
        sizes=sizes,
        intrinsics=intrinsics,
    )
    depths = agreed_depths(smaller)
    assert depths is not None
    places = points_at(smaller, depths.surface)
    assert len(places) > 0.8 * np.count_nonzero(compared().surface)
    distance = np.abs(np.asarray(cabinet(jnp.asarray(places))))
    assert np.median(distance) < 0.01
    for view, mask in enumerate(masks[:40]):
        height, width = mask.shape
        assert not depths.surface[view, height:].any() and not depths.surface[view, :, width:].any()


def test_larger_photos_are_reduced_until_the_work_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "WORK", 5e6)
    depths = agreed_depths(photographed())
    assert depths is not None
    assert depths.block == 2
    places = points_at(photographed(), depths.surface, block=2)
    assert np.median(np.abs(np.asarray(cabinet(jnp.asarray(places))))) < 0.03
    surface, tolerance, clear = depths.at(jnp.array([3, 3, 0]), jnp.array([[31.5, 40.5]] * 3))
    assert surface[0] == surface[1] == depths.surface[3, 20, 15]
    assert clear[0] == depths.clear[3, 20, 15]
    np.testing.assert_allclose(tolerance, depths.step[jnp.array([3, 3, 0])] * surface**2, rtol=1e-6)


def test_pixels_of_blocks_that_are_not_whole_are_unknown():
    maps = np.ones((1, 2, 3), np.float32)
    depths = Depths(maps, maps, np.ones(1, np.float32), np.array(4, np.int32))
    pixels = jnp.array([[11.5, 7.5], [12.5, 7.5], [11.5, 8.5]])
    assert [part.tolist() for part in depths.at(jnp.zeros(3, int), pixels)] == [[1, 0, 0]] * 3


def test_two_photos_are_too_few():
    scene = photographed()
    assert agreed_depths(scene._replace(num_train=np.array(2, np.int32))) is None


def test_an_empty_mask_knows_nothing_and_does_no_harm():
    scene = photographed()
    mask = np.array(scene.mask)
    mask[scene.offsets[5] : scene.offsets[6]] = False
    depths = agreed_depths(scene._replace(mask=mask))
    assert depths is not None
    assert not depths.surface[5].any()
    assert np.count_nonzero(depths.surface) > 0.7 * np.count_nonzero(compared().surface)


def test_nothing_is_where_two_photos_show_the_background():
    scene = photographed()
    neighbours, _ = nearest_views(np.asarray(scene.scene_from_camera)[:40])
    mask = np.array(scene.mask)
    for view in neighbours[0][:2]:
        mask[scene.offsets[view] : scene.offsets[view + 1]] = False
    depths = agreed_depths(scene._replace(mask=mask))
    assert depths is not None
    assert compared().surface[0].any()
    assert not depths.surface[0].any()


@pytest.mark.parametrize(("factor", "agree"), [(1.0, True), (1.1, False)])
def test_only_a_depth_that_the_others_have_too_is_agreed_on(factor, agree):
    """Of a ball of radius 0.5, seen by six cameras about it; their depths are exact but one's."""
    size, focal = 32, 40.0
    K = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]])
    poses, depths = [], []
    for angle in np.radians([0, 15, 30, 45, 60, 75]):
        pose = np.eye(4)
        pose[:3, :3] = [
            [np.cos(angle), 0, -np.sin(angle)],
            [0, 1, 0],
            [np.sin(angle), 0, np.cos(angle)],
        ]
        pose[:3, 3] = -3 * pose[:3, 2]
        rows, columns = np.indices((size, size))
        rays = np.stack([columns + 0.5, rows + 0.5, np.ones((size, size))], -1) @ np.linalg.inv(K).T
        b, a = rays[..., 2] * 3, (rays**2).sum(axis=-1)  # |ray z − (0, 0, 3)| = 0.5
        root = b * b - a * (9 - 0.25)
        depths.append(np.where(root > 0, (b - np.sqrt(np.maximum(root, 0))) / a, 0.0))
        poses.append(pose)
    depths = np.array(depths)
    known = depths > 0
    inverse = np.where(known, 1 / np.where(known, depths, 1.0), 0.0)
    inverse[2] *= factor
    album = Album(
        rgb=jnp.zeros((6, size, size, 3)),
        mask=jnp.asarray(known),
        sizes=jnp.full((6, 2), size),
        intrinsics=jnp.asarray(np.tile(K, (6, 1, 1)), jnp.float32),
        scene_from_camera=jnp.asarray(np.array(poses), jnp.float32),
        neighbours=jnp.zeros((6, 2), int),
        nearness=jnp.zeros((6, 2)),
        corners=jnp.zeros((6, 2), int),
    )
    step = jnp.full(6, 0.005)
    agreeing = jax.jit(module._agreeing)
    votes = agreeing(
        album, jnp.asarray(inverse, jnp.float32), jnp.asarray(known), step, jnp.int32(2)
    )
    middle = np.asarray(votes)[12:20, 12:20]
    assert (middle >= 2).all() if agree else (middle == 0).all()
