"""Pixels compared: samples, windows, and the plane that is best."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import map_coordinates, uniform_filter

from neural_sdf.stereo.sweep import _Best, _best_two, box, sample


def test_samples_are_those_of_a_bilinear_spline():
    rng = np.random.default_rng(0)
    image = rng.random((9, 12, 3), np.float32)
    places = rng.uniform([0.5, 0.5], [11.5, 8.5], (200, 2))
    colours, inside = sample(jnp.asarray(image), jnp.array([9, 12]), jnp.asarray(places))
    at = (places - 0.5)[:, ::-1].T
    expected = np.stack([map_coordinates(image[..., c], at, order=1) for c in range(3)], -1)
    assert inside.all()
    np.testing.assert_allclose(colours, expected, atol=1e-5)


def test_samples_beyond_the_photo_or_in_its_padding_are_told():
    image = jnp.ones((9, 12, 3))
    places = jnp.array([[0.4, 4.0], [11.6, 4.0], [4.0, 0.4], [4.0, 8.6], [8.0, 4.0], [7.4, 4.0]])
    _, inside = sample(image, jnp.array([9, 8]), places)
    assert inside.tolist() == [False] * 5 + [True]


def test_box_is_the_mean_of_a_window():
    image = np.random.default_rng(0).random((7, 9, 2)).astype(np.float32)
    expected = uniform_filter(image, (3, 3, 1), mode="constant")
    np.testing.assert_allclose(box(jnp.asarray(image)), expected, atol=1e-6)


@pytest.mark.parametrize("count", [2, 5])
def test_two_most_alike_count(count):
    scores = np.random.default_rng(1).random((count, 4, 6)).astype(np.float32)
    expected = np.sort(scores, axis=0)[-2:].mean(axis=0)
    np.testing.assert_allclose(_best_two(jnp.asarray(scores)), expected, rtol=1e-6)


@pytest.mark.parametrize("peak", [2.3, 4.0, 3.71])
def test_peak_between_planes_is_that_of_the_parabola(peak):
    best = _Best.fresh((1, 1))
    for plane in range(8):
        score = jnp.full((1, 1), 0.9 - 0.05 * (plane - peak) ** 2)
        best = best.seen(score, jnp.float32(plane))
    assert best.place == round(peak)
    np.testing.assert_allclose(best.place + best.offset(), peak, atol=1e-3)


@pytest.mark.parametrize("peak", [-2.0, 11.0])
def test_peak_at_the_first_or_the_last_plane_stays_there(peak):
    best = _Best.fresh((1, 1))
    for plane in range(8):
        best = best.seen(jnp.full((1, 1), -0.001 * (plane - peak) ** 2), jnp.float32(plane))
    assert best.place == np.clip(peak, 0, 7)
    assert best.offset() == 0
