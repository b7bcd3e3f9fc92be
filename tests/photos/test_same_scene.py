"""The same photos in every layout are the same scene: each reader's conventions, seen together."""

import jax
import numpy as np
import pytest

from neural_sdf.geometry import project
from neural_sdf.photos import FORMATS, load_scene
from tests.photos.layouts import CENTRE, LAYOUTS, NUM_VIEWS, RADIUS, SIZE, K, take_photos
from tests.scenes.pixels import rays_at

PHOTOS = take_photos()


@pytest.fixture(scope="module", params=LAYOUTS)
def scene(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene")
    LAYOUTS[request.param].write(folder, PHOTOS)
    return load_scene(folder, centre=CENTRE, radius=RADIUS, holdout_every=0)


def test_every_layout_is_among_them():
    datasets = {"dataset"}  # made of the others, and compared in test_prepare.py
    assert {name.partition(",")[0] for name in LAYOUTS} == set(FORMATS) - datasets


def test_photos_and_masks_are_those_that_were_taken(scene):
    assert scene.source.indices == tuple(range(NUM_VIEWS))
    np.testing.assert_array_equal(scene.rgb.reshape(PHOTOS.rgb.shape), PHOTOS.rgb)
    np.testing.assert_array_equal(scene.mask.reshape(PHOTOS.mask.shape), PHOTOS.mask)
    assert 0.2 < PHOTOS.mask.mean() < 0.8


def test_every_pixels_ray_is_that_of_the_camera(scene):
    rays = jax.tree.map(np.float64, rays_at(scene, np.arange(len(scene.mask))))
    origins, directions = (part.reshape(NUM_VIEWS, SIZE, SIZE, 3) for part in rays)
    rows, columns = np.indices((SIZE, SIZE)) + 0.5
    local = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ np.linalg.inv(K).T
    local /= np.linalg.norm(local, axis=-1, keepdims=True)
    expected = np.einsum("vij,hwj->vhwi", PHOTOS.poses[:, :3, :3], local)
    angle = np.linalg.norm(np.cross(directions, expected), axis=-1)
    assert angle.max() < 1e-6 and (directions * expected).sum(axis=-1).min() > 0.9
    eyes = (PHOTOS.poses[:, :3, 3] - CENTRE) / RADIUS
    np.testing.assert_allclose(
        origins, np.broadcast_to(eyes[:, None, None], origins.shape), atol=1e-6
    )


def test_a_point_of_the_region_is_seen_in_the_pixel_where_the_camera_saw_it(scene):
    points = np.random.default_rng(0).uniform(-0.6, 0.6, (200, 3))
    world = RADIUS * points + CENTRE
    for view, pose in enumerate(PHOTOS.poses):
        image = (world - pose[:3, 3]) @ pose[:3, :3] @ K.T
        pixels, depth = jax.jit(project)(
            scene.intrinsics[view], scene.scene_from_camera[view], points
        )
        np.testing.assert_allclose(pixels, image[:, :2] / image[:, 2:], rtol=0, atol=1e-3)
        np.testing.assert_allclose(RADIUS * depth, image[:, 2], rtol=1e-5)
