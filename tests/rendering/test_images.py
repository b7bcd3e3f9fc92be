import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.rendering import render_image, render_surface

PARAMS = {"radius": jnp.float32(0.5), "red": jnp.float32(0.2)}
K = np.array([[20.0, 0.0, 8.5], [0.0, 20.0, 6.5], [0.0, 0.0, 1.0]], np.float32)
POSE = np.eye(4, dtype=np.float32)
POSE[2, 3] = -3.0


@pytest.fixture(scope="module")
def render(sphere_field):
    return jax.jit(functools.partial(render_surface, sphere_field, PARAMS))


@pytest.mark.parametrize("chunk", [7, 64, 220, 221, 222])
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
