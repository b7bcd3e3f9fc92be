import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.scenes import (
    CAMERAS,
    batch_shapes,
)
from neural_sdf.scenes.batch import batch_of, draw, training_cameras
from neural_sdf.scenes.depths import unknown_depths
from neural_sdf.scenes.sparse import ObjectPoints, no_points


@pytest.fixture
def scene(mixed_sizes):
    return mixed_sizes


def batch_at(scene, positions, seed=0, step=0, sparse=no_points()):  # noqa: B008
    drawn = draw(seed, step, 39, len(positions))._replace(positions=positions)
    pixels = scene.rgb[positions], scene.mask[positions]
    return batch_of(training_cameras(scene), drawn, *pixels, unknown_depths(), sparse)


def drawn_batch(scene, size, seed=0, step=0):
    return batch_at(scene, draw(seed, step, 39, size).positions, seed, step)


def labels(batch) -> np.ndarray:
    """(view, row, column) of each pixel, from its colour."""
    return np.rint(np.asarray(batch.rgb) * 255).astype(int)


def test_batches_draw_every_pixel_of_the_training_views_and_no_other(scene):
    drawn = {tuple(label) for label in labels(drawn_batch(scene, 2000))}
    assert drawn == {tuple(int(x) for x in label) for label in scene.rgb[:39]}


def test_batch_draws_pixels_evenly(scene):
    view = labels(drawn_batch(scene, 4000, seed=1))[:, 0]
    np.testing.assert_allclose(np.mean(view == 0), 24 / 39, atol=0.03)


def test_batch_is_a_function_of_seed_and_step(scene):
    first, again = drawn_batch(scene, 64, 3, 5), drawn_batch(scene, 64, 3, 5)
    jax.tree.map(np.testing.assert_array_equal, *map(_plain, (first, again)))
    for other in (drawn_batch(scene, 64, 4, 5), drawn_batch(scene, 64, 3, 6)):
        for name in ("pixels", "points", "keys"):
            assert (getattr(_plain(other), name) != getattr(_plain(first), name)).any()


def _plain(batch):
    return batch._replace(keys=jax.random.key_data(batch.keys))


def test_no_two_rays_of_a_batch_share_a_key(scene):
    keys = np.asarray(jax.random.key_data(drawn_batch(scene, 512).keys))
    assert len(np.unique(keys, axis=0)) == 512


def test_one_point_in_eight_is_a_sparse_point_with_its_weight(scene):
    known = ObjectPoints(np.full((3, 3), [[2], [3], [4]]), np.ones(3), np.array([0.5, 1, 1.5]))
    positions = draw(0, 0, 39, 8000).positions
    chance, batch = (batch_at(scene, positions, sparse=x) for x in (no_points(), known))
    sparse = np.arange(4000) % 8 == 0
    assert not chance.point_weights.any()
    np.testing.assert_array_equal(batch.points[~sparse], chance.points[~sparse])
    np.testing.assert_array_equal(batch.point_weights > 0, sparse)
    np.testing.assert_array_equal(batch.point_weights[sparse] * 2 + 1, batch.points[sparse, 0])
    shares = np.unique(batch.points[sparse, 0], return_counts=True)[1] / 500
    np.testing.assert_allclose(shares, 1 / 3, atol=0.06)


def test_points_fill_the_cube_evenly(scene):
    points = np.asarray(drawn_batch(scene, 8000).points)
    assert points.shape == (4000, 3) and np.abs(points).max() <= 1
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=0.04)
    np.testing.assert_allclose(points.var(axis=0), 1 / 3, atol=0.02)


def test_shapes_that_a_step_is_compiled_for_are_those_of_a_batch(scene):
    shape = lambda x: (x.shape, x.dtype)
    expected = jax.tree.map(shape, drawn_batch(scene, 64))
    assert jax.tree.map(shape, batch_shapes(64)) == expected


def test_ray_of_a_pixel_projects_to_its_centre(scene):
    batch = batch_at(scene, jnp.arange(39))
    rays = CAMERAS["given"]().rays({}, batch)
    for (view, row, column), origin, direction in zip(
        labels(batch), *(np.asarray(x) for x in rays), strict=True
    ):
        camera_from_scene = np.linalg.inv(scene.scene_from_camera[view].astype(np.float64))
        seen = camera_from_scene @ np.append(origin + 2 * direction, 1)
        column_row = (scene.intrinsics[view] @ (seen[:3] / seen[2]))[:2]
        assert seen[2] > 0
        np.testing.assert_allclose(column_row, [column + 0.5, row + 0.5], atol=1e-3)
        np.testing.assert_allclose(origin, scene.scene_from_camera[view][:3, 3], atol=1e-6)


def test_pixel_has_its_own_view_mask_and_unit_direction(scene):
    batch = batch_at(scene, jnp.arange(39)[::-1])
    np.testing.assert_array_equal(batch.view, labels(batch)[:, 0])
    np.testing.assert_array_equal(batch.mask, np.asarray(scene.mask)[:39][::-1])
    directions = CAMERAS["given"]().rays({}, batch).directions
    np.testing.assert_allclose(np.linalg.norm(directions, axis=-1), 1, atol=1e-6)
