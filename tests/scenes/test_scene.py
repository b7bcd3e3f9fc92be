import numpy as np
import pytest

from neural_sdf.scenes import (
    background_colour,
    view_pixels,
)
from tests.scenes.pixels import SIZES


@pytest.fixture
def scene(mixed_sizes):
    return mixed_sizes


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
