import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.geometry import pixel_rays
from neural_sdf.light import cornell, path_trace, render_samples
from neural_sdf.tracing import trace

PARAMS = cornell.default_params()
TRACED = jax.jit(functools.partial(trace, cornell.sdf, near=0.0, far=20.0))


def seen_at(column, row):
    """The ray through a place of the picture, both from 0 to 1."""
    pixel = jnp.array([[column, row]])
    return pixel_rays(cornell.intrinsics(1), cornell.SCENE_FROM_CAMERA, pixel)


def radiance(key, rays, params=PARAMS):
    return path_trace(
        key, cornell.sdf, cornell.material, params, rays, light=cornell.light(params),
        environment=cornell.SKY, radius=cornell.RADIUS, num_bounces=3, dmin=cornell.LEAST_STEP,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("column", "row", "name", "axis", "value"),
    [
        (0.5, 0.97, "floor", 1, 0.0),
        (0.5, 0.05, "ceiling", 1, 4.0),
        (0.6, 0.4, "back", 2, 4.0),
        (0.95, 0.5, "red", 0, -2.0),
        (0.05, 0.5, "green", 0, 2.0),
        (0.4, 0.5, "tall", None, None),
        (0.65, 0.8, "short", None, None),
    ],
)
def test_camera_sees_every_object_in_its_place(column, row, name, axis, value):
    rays = seen_at(column, row)
    hits = TRACED(PARAMS, *rays)
    point = rays.origins + hits.t * rays.directions
    assert hits.hit[0]
    assert cornell.OBJECTS[int(jnp.argmin(cornell.distances(PARAMS, point)))] == name
    if axis is not None:
        np.testing.assert_allclose(point[0, axis], value, atol=1e-4)


@pytest.mark.parametrize(
    ("point", "distance"),
    [
        ([1.5, 0.3, 1.0], 0.3),  # in the open, above the floor
        ([0.0, -0.1, 2.0], -0.1),  # within the floor
        ([2.1, 2.0, 2.0], -0.1),  # within a wall
        ([0.75, 1.2, 2.6], -0.6),  # the middle of the tall block
        ([-0.7, 0.6, 1.25], -0.6),  # and of the short one
        ([0.0, 2.0, -3.5], 3.5),  # at the camera: a bound, from the plane of the open side
    ],
)
def test_distance_is_signed(point, distance):
    got = cornell.sdf(PARAMS, jnp.array([point]))[0]
    np.testing.assert_allclose(got, distance, atol=1e-6)


def test_distance_never_exceeds_the_true_one():
    generator = np.random.default_rng(0)
    points = jnp.asarray(generator.uniform([-3, -1, -4], [3, 5, 5], (4096, 3)), jnp.float32)
    steps = jnp.asarray(generator.normal(size=(4096, 3)) * 0.1, jnp.float32)
    change = cornell.sdf(PARAMS, points + steps) - cornell.sdf(PARAMS, points)
    assert np.all(np.abs(change) <= np.linalg.norm(steps, axis=-1) + 1e-5)


def test_light_under_the_ceiling_shines_down():
    light = cornell.light(PARAMS)
    np.testing.assert_allclose(jnp.cross(light.half_u, light.half_v), [0, -0.25, 0], atol=1e-7)
    seen = lambda rays: path_trace(
        jax.random.key(0), cornell.sdf, cornell.material, PARAMS, rays,
        light=light, environment=0.0, radius=cornell.RADIUS, num_bounces=0,
    )  # fmt: skip
    np.testing.assert_array_equal(jax.jit(seen)(seen_at(0.5, 0.2))[0], light.radiance)


@pytest.mark.slow
def test_picture_is_red_on_the_right_green_on_the_left_and_bright_at_the_light():
    image = render_samples(
        jax.random.key(0), radiance, cornell.intrinsics(16), cornell.SCENE_FROM_CAMERA, (16, 16),
        num_samples=16, chunk=256,
    )  # fmt: skip
    assert np.isfinite(image).all() and image.min() >= 0
    red, green = image[5:11, -1].mean(axis=0), image[5:11, 0].mean(axis=0)
    assert red[0] > 2 * red[1:].max()
    assert green[1] > 2 * max(green[0], green[2])
    assert np.unravel_index(image[..., 1].argmax(), (16, 16)) in [(2, 7), (2, 8), (3, 7), (3, 8)]


@pytest.mark.slow
def test_every_parameter_of_the_box_has_a_finite_gradient():
    columns, rows = np.meshgrid(np.arange(8) + 0.5, np.arange(8) + 0.5)
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=-1)
    rays = pixel_rays(cornell.intrinsics(8), cornell.SCENE_FROM_CAMERA, pixels)
    loss = lambda params: jnp.mean(radiance(jax.random.key(1), rays, params))
    for name, slope in jax.jit(jax.grad(loss))(PARAMS).items():
        assert jnp.isfinite(slope).all(), name
        assert jnp.any(slope != 0), name
