import numpy as np
import pytest

from neural_sdf.geometry import Similarity
from neural_sdf.scenes import (
    Scene,
    Source,
    background_colour,
    view_pixels,
)

SIZES = np.array([[4, 6], [5, 3], [7, 2]], np.int32)  # the last view is held out
OFFSETS = np.array([0, 24, 39, 53], np.int32)


@pytest.fixture(scope="module")
def scene() -> Scene:
    """Photos of different sizes; red is the view, green the row, blue the column."""
    generator = np.random.default_rng(0)
    rgb = [
        (view, row, column)
        for view, (height, width) in enumerate(SIZES)
        for row in range(height)
        for column in range(width)
    ]
    poses = np.tile(np.eye(4, dtype=np.float32), (3, 1, 1))
    poses[:, :3, :3] = np.linalg.qr(generator.normal(size=(3, 3, 3)))[0]
    poses[:, :3, :3] *= np.linalg.det(poses[:, :3, :3])[:, None, None]
    poses[:, :3, 3] = generator.normal(size=(3, 3))
    intrinsics = np.array([[[9.0 + i, 0.5, 3], [0, 8 - i, 2], [0, 0, 1]] for i in range(3)])
    return Scene(
        rgb=np.array(rgb, np.uint8),
        mask=np.arange(53) % 3 == 0,
        offsets=OFFSETS,
        sizes=SIZES,
        intrinsics=intrinsics.astype(np.float32),
        scene_from_camera=poses,
        num_train=np.array(2, np.int32),
        world_from_scene=Similarity(np.array(1.0), np.eye(3), np.zeros(3)),
        source=Source(("a", "b", "c"), (0, 1, 2)),
    )


def test_pixels_of_a_view_are_its_rows_in_order(scene):
    for view, (height, width) in enumerate(SIZES):
        label = np.asarray(scene.rgb)[view_pixels(scene, view)].reshape(height, width, 3)
        rows, columns = np.indices((height, width))
        np.testing.assert_array_equal(label, np.stack([0 * rows + view, rows, columns], axis=-1))


def test_background_is_the_median_of_training_pixels_off_the_object(scene):
    rgb, off = np.asarray(scene.rgb)[:39], ~np.asarray(scene.mask)[:39]
    ranked = np.sort(rgb[off], axis=0)
    middle = (ranked[(off.sum() - 1) // 2] / 2 + ranked[off.sum() // 2] / 2) / 255
    np.testing.assert_allclose(background_colour(scene), middle)
    spoilt = scene._replace(rgb=np.where(np.arange(53)[:, None] < 39, scene.rgb, 255))
    np.testing.assert_array_equal(background_colour(spoilt), background_colour(scene))


def test_background_is_white_where_the_object_fills_every_photo(scene):
    filled = scene._replace(mask=np.ones(53, bool))
    np.testing.assert_array_equal(background_colour(filled), np.ones(3))
