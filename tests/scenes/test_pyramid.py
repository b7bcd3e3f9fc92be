"""Colours between the pixels of photos that lie at several sizes in one buffer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.scenes import Pyramid


@pytest.fixture
def pyramid() -> Pyramid:
    """Two photos at two levels: 4x6 and 6x4, then 2x3 and 3x2; red tells the place."""
    count = 24 + 24 + 6 + 6
    rgba = np.zeros((count, 4), np.uint8)
    rgba[:, 0] = np.arange(count)
    rgba[:, 3] = np.where(np.arange(count) == 25, 0, 255)
    return Pyramid(
        rgba=jnp.asarray(rgba),
        offsets=jnp.array([[0, 24], [48, 54]]),
        sizes=jnp.array([[[4, 6], [6, 4]], [[2, 3], [3, 2]]]),
        blocks=jnp.array([1, 2]),
        intrinsics=jnp.stack([jnp.eye(3)] * 2),
        scene_from_camera=jnp.stack([jnp.eye(4)] * 2),
        neighbours=jnp.array([[1], [0]]),
    )


@pytest.mark.parametrize(
    ("level", "view", "pixel", "expected"),
    [
        (0, 0, (2.5, 1.5), 8),  # the centre of a pixel
        (0, 1, (2.5, 1.5), 24 + 6),
        (0, 0, (3.0, 1.5), 8.5),  # half-way to the next
        (0, 0, (2.5, 2.0), 11),  # half-way to the one below
        (1, 0, (3.0, 1.0), 48 + 1),  # the same places of a photo, at half its size
        (1, 1, (1.0, 3.0), 54 + 2),
        (1, 1, (2.0, 2.0), 54 + 1.5),
    ],
)
def test_colours_are_bilinear_at_every_level(pyramid, level, view, pixel, expected):
    colour, _ = pyramid.sample(jnp.int32(level), jnp.array([view]), jnp.array([pixel]))
    np.testing.assert_allclose(255 * colour[0], [expected, 0, 0], atol=1e-4)


def test_only_what_four_pixels_of_the_photo_show_is_of_the_object(pyramid):
    corners = jnp.array([(0.6, 0.6), (5.4, 3.4), (0.4, 1), (1, 0.4), (5.6, 1), (1, 3.6)])
    _, shown = pyramid.sample(jnp.int32(0), jnp.zeros(6, int), corners)
    np.testing.assert_array_equal(shown, [True, True, False, False, False, False])
    # Pixel 25, the second of the second photo, is the background: nothing it has a part in counts.
    beside = jnp.array([(1.9, 0.9), (2.4, 0.9), (2.6, 0.9), (1.5, 1.6)])
    _, shown = pyramid.sample(jnp.int32(0), jnp.ones(4, int), beside)
    np.testing.assert_array_equal(shown, [False, False, True, True])


def test_colours_are_differentiated_by_the_place(pyramid):
    def red(place):
        return pyramid.sample(jnp.int32(0), jnp.array([0]), place[None])[0][0, 0]

    np.testing.assert_allclose(255 * jax.grad(red)(jnp.array([2.2, 1.7])), [1, 6], rtol=1e-5)
    outside = jax.grad(red)(jnp.array([-1.0, 99.0]))
    assert jnp.isfinite(outside).all()
