import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.geometry import pixel_rays
from neural_sdf.light import path_trace, relight
from neural_sdf.scenes.colour import linear_from_srgb, srgb_from_linear
from tests.cases import cases
from tests.rendering.seen import surface_seen

PARAMS = {"radius": jnp.float32(0.5), "red": jnp.float32(0.2)}
POSE = np.array([[1.0, 0, 0, 0.2], [0, 1, 0, -0.1], [0, 0, 1, -3], [0, 0, 0, 1]], np.float32)
BACKGROUND = np.array([0.9, 0.8, 1.0])


@pytest.fixture(scope="module")
def rays():
    columns, rows = np.meshgrid(np.arange(24) + 0.5, np.arange(24) + 0.5)
    K = np.array([[40.0, 0, 12], [0, 40, 12], [0, 0, 1]], np.float32)
    return pixel_rays(K, POSE, np.stack([columns.ravel(), rows.ravel()], axis=-1))


def rendered(field, setting, rays, num_bounces, **changes):
    setting = setting._replace(**changes)
    seen = lambda rays: path_trace(
        jax.random.key(0), field.sdf, setting.material, PARAMS, rays, light=setting.light,
        environment=setting.environment, radius=1.0, num_bounces=num_bounces,
    )  # fmt: skip
    return jax.jit(seen)(rays)


@pytest.mark.parametrize("num_bounces", cases([2], [0]))
def test_emission_gives_the_ordinary_render(sphere_field, rays, num_bounces):
    setting = relight.SETTINGS["emission"](sphere_field, POSE, BACKGROUND)
    ours = srgb_from_linear(rendered(sphere_field, setting, rays, num_bounces))
    theirs = jax.jit(lambda rays: surface_seen(sphere_field, PARAMS, rays))(rays)
    assert 50 < theirs.mask.sum() < 500
    expected = jnp.where(theirs.mask[:, None], theirs.rgb, BACKGROUND)
    np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_albedo_under_a_constant_sky_is_the_colour_along_the_normal(sphere_field, rays):
    setting = relight.SETTINGS["albedo"](sphere_field, POSE, BACKGROUND)
    ours = rendered(sphere_field, setting, rays, 3, light=None, environment=0.5)
    seen = jax.jit(lambda rays: surface_seen(sphere_field, PARAMS, rays))
    surface = seen(rays)  # its colour knows no direction
    expected = jnp.where(surface.mask[:, None], 0.5 * linear_from_srgb(surface.rgb), 0.5)
    np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_studio_light_is_above_left_behind_the_camera_and_faces_the_object():
    light = relight.studio_light(POSE)
    right, down, forward = POSE[:3, :3].T
    assert light.centre @ right < 0 and light.centre @ down < 0 and light.centre @ forward < 0
    face = np.cross(light.half_u, light.half_v)
    np.testing.assert_allclose(
        face / np.linalg.norm(face), -light.centre / np.linalg.norm(light.centre), atol=1e-6
    )
    assert abs(np.dot(light.half_u, light.half_v)) < 1e-6
    nearest = np.linalg.norm(light.centre) - np.linalg.norm(light.half_u)
    assert nearest > 1  # the whole of it is outside of the sphere


def test_side_towards_the_studio_light_is_the_brighter_one(sphere_field, rays):
    setting = relight.SETTINGS["albedo"](sphere_field, POSE, BACKGROUND)
    lit = rendered(sphere_field, setting, rays, 1)
    dim = rendered(sphere_field, setting, rays, 1, light=None)
    gain = np.asarray((lit - dim).sum(axis=-1)).reshape(24, 24)
    assert gain[:12, :12].sum() > 3 * gain[12:, 12:].sum() and gain.min() >= 0 and gain.sum() > 1
