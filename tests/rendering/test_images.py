import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.light import render_samples
from neural_sdf.rendering import render_image
from tests.cases import cases
from tests.rendering.seen import surface_seen

PARAMS = {"radius": jnp.float32(0.5), "red": jnp.float32(0.2)}
K = np.array([[20.0, 0.0, 8.5], [0.0, 20.0, 6.5], [0.0, 0.0, 1.0]], np.float32)
POSE = np.eye(4, dtype=np.float32)
POSE[2, 3] = -3.0


@pytest.fixture(scope="module")
def render(sphere_field):
    return jax.jit(functools.partial(surface_seen, sphere_field, PARAMS))


@pytest.mark.parametrize("chunk", cases([64, 221, 222], [7, 220]))
def test_image_in_chunks_is_the_image_in_one(render, chunk):
    whole = render_image(render, K, POSE, (13, 17), chunk=13 * 17)
    parts = render_image(render, K, POSE, (13, 17), chunk=chunk)
    np.testing.assert_array_equal(parts.mask, whole.mask)
    for ours, theirs in zip(parts, whole, strict=True):
        assert ours.shape[:2] == (13, 17)
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_every_call_has_the_same_number_of_rays(render):
    counts = []

    def counting(rays):
        counts.append(len(rays.origins))
        return render(rays)

    for size in [(3, 5), (8, 8), (9, 8)]:
        render_image(counting, K, POSE, size, chunk=64)
    assert counts == [64] * 4


def test_pixel_shows_the_ray_through_its_centre(render):
    image = render_image(render, K, POSE, (13, 17), chunk=64)
    rows, columns = np.indices((13, 17))
    x, y = (columns + 0.5 - 8.5) / 20, (rows + 0.5 - 6.5) / 20
    # Squared distance of the ray (x, y, 1) from (0, 0, -3) to the origin.
    closest = np.sqrt(9 * (x**2 + y**2) / (x**2 + y**2 + 1))
    np.testing.assert_array_equal(image.mask, closest < 0.5)
    length = np.sqrt(x**2 + y**2 + 1)
    depth = 3 / length - np.sqrt(np.maximum(0.25 - closest**2, 0))
    np.testing.assert_allclose(image.depth, np.where(image.mask, depth, 0), atol=2e-5)


def test_camera_sees_up_as_the_low_rows_and_the_near_side(render):
    image = render_image(render, K, POSE, (13, 17), chunk=64)
    assert image.mask[6, 8]
    np.testing.assert_allclose(image.normal[6, 8], [0, 0, -1], atol=1e-5)
    assert image.normal[4, 8, 1] < 0 < image.normal[8, 8, 1]
    assert image.normal[6, 6, 0] < 0 < image.normal[6, 10, 0]


def noise(key, rays):
    return jax.random.uniform(key, rays.origins.shape)


def shot(radiance, size=(3, 5), num_samples=4, chunk=4, seed=0):
    return render_samples(
        jax.random.key(seed), radiance, K, POSE, size, num_samples=num_samples, chunk=chunk
    )


def test_samples_of_a_pixel_are_averaged():
    """Uniform numbers: mean 1/2, of 400 with a standard error of 0.0144."""
    image = shot(noise, num_samples=400)
    assert image.shape == (3, 5, 3)
    np.testing.assert_allclose(image, 0.5, atol=4 * 0.0144)
    assert image.std() > 0.005


def test_more_samples_go_on_from_fewer():
    one, two = shot(noise, num_samples=1), shot(noise, num_samples=2)
    second = 2 * two - one
    assert np.all((second > -1e-6) & (second < 1 + 1e-6)) and not np.allclose(second, one)
    np.testing.assert_array_equal(one, shot(noise, num_samples=1))


@pytest.mark.parametrize("chunk", [4, 15, 64])
def test_rays_spread_evenly_over_their_pixel(chunk):
    """Place in the image, of 256 samples: standard error 0.29 / 16 = 0.018 pixels."""

    def place(key, rays):
        return rays.directions / rays.directions[:, 2:] * 20 + jnp.array([8.5, 6.5, 0.0])

    image = shot(place, num_samples=256, chunk=chunk)
    rows, columns = np.indices((3, 5)) + 0.5
    np.testing.assert_allclose(image[..., 0], columns, atol=0.08)
    np.testing.assert_allclose(image[..., 1], rows, atol=0.08)
    squares = shot(lambda *a: place(*a) ** 2, num_samples=256, chunk=chunk)
    np.testing.assert_allclose((squares - image**2)[..., :2], 1 / 12, atol=0.04)


def test_one_program_serves_all_chunks_and_samples():
    traced = []

    def counted(key, rays):
        traced.append(len(rays.origins))
        return noise(key, rays)

    shot(counted, num_samples=3, chunk=4)
    assert traced == [4]
