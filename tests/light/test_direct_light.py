"""Light that comes from a lamp without another surface between."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.geometry import shapes
from neural_sdf.light import pathtrace
from tests.cases import cases
from tests.light.scenes import assert_mean, ball, floor, lamp, lit_point, paint, rays_at, traced

FORM_FACTORS = [(1.0, 0.2394564705, -0.361330449), (3.9, 0.0204793384, -0.0102774707)]


@pytest.mark.parametrize(("height", "factor", "slope"), cases(FORM_FACTORS[:1], FORM_FACTORS[1:]))
def test_area_light_gives_its_form_factor_and_the_derivative(height, factor, slope):
    radiance, change = jax.jit(
        lambda height: jax.jvp(lambda h: lit_point(lamp(h, radiance=2.0)), (height,), (1.0,))
    )(height)
    assert_mean(radiance, 0.6 * 2 * factor, 0.01)  # standard errors: 0.2 % and 0.04 %
    assert_mean(change, 0.6 * 2 * slope, 0.01)


@pytest.mark.parametrize(("height", "factor", "slope"), cases(FORM_FACTORS[:1], FORM_FACTORS[1:]))
def test_raised_floor_nears_the_light(height, factor, slope):
    rays = rays_at([0.0, 0.0, 0.0], [0.0, 0.4, 0.0], 2**15)  # straight down: the point rises too
    shade = lambda y: traced(floor, paint(0.6), y, rays, light=lamp(height))[:, 0]
    change = jax.jit(lambda y: jax.jvp(shade, (y,), (1.0,))[1])(0.0)
    assert_mean(change, -0.6 * slope, 0.01)


def without_pi(albedo):
    return albedo


def without_light_cosine(key, light, points, normals):
    targets, share = real_light_sample(key, light, points, normals)
    ways = targets - points
    return targets, share * jnp.linalg.norm(ways, axis=-1) / ways[:, 1]


def without_distance(key, light, points, normals):
    targets, share = real_light_sample(key, light, points, normals)
    return targets, share * jnp.sum((targets - points) ** 2, axis=-1)


real_light_sample = pathtrace._light_sample
MUTANTS = {
    "without pi": ("_lambertian", without_pi),
    "without the light's cosine": ("_light_sample", without_light_cosine),
    "without the distance": ("_light_sample", without_distance),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_form_factor_tells_a_wrong_weight(name, monkeypatch):
    monkeypatch.setattr(pathtrace, *MUTANTS[name])
    height, factor, _ = FORM_FACTORS[0]
    with pytest.raises(AssertionError):
        assert_mean(lit_point(lamp(height)), 0.6 * factor, 0.01)


@pytest.mark.slow
def test_sampled_light_is_what_scattered_rays_meet():
    """The same light as an environment: scattered rays find it by themselves."""
    height, factor, _ = FORM_FACTORS[0]

    def bright_square(directions):
        upwards = directions[:, 1:2]
        across = jnp.abs(directions[:, ::2]) / jnp.where(upwards > 0, upwards, 1.0)
        return jnp.where((upwards > 0) & (across.max(axis=-1, keepdims=True) < 0.5), 1.0, 0.0)

    found = lit_point(None, 2**18, environment=bright_square)
    assert_mean(found, 0.6 * factor, 0.02)  # standard error 0.35 %
    assert_mean(lit_point(lamp(height)), 0.6 * factor, 0.01)


def test_light_is_counted_once_however_many_bounces_follow():
    """Scattered rays meet the light too, and must not add it again."""
    once, often = (lit_point(lamp(1.0), 2**10, num_bounces=n) for n in (1, 4))
    np.testing.assert_array_equal(often, once)


def test_light_needs_a_bounce_unless_the_camera_sees_it():
    assert not lit_point(lamp(1.0), num_bounces=0).any()
    seen = traced(floor, paint(), 0.0, rays_at([0.0, 1.0, 0.0], [0.1, 0.2, 0.0], 4),
                  light=lamp(1.0, radiance=3.0), num_bounces=0)  # fmt: skip
    np.testing.assert_array_equal(seen, 3.0)


def test_light_is_not_there_from_behind_nor_behind_a_surface():
    from_behind = rays_at([0.0, 0.0, 0.0], [0.0, 2.0, 0.0], 4)
    settings = {"light": lamp(1.0), "num_bounces": 0}
    glowing = paint(emission=0.25)
    np.testing.assert_array_equal(traced(floor, glowing, 0.0, from_behind, **settings), 0.25)
    hidden = rays_at([0.0, 1.0, 0.0], [0.0, -3.0, 0.0], 4)
    np.testing.assert_array_equal(traced(ball, glowing, 0.5, hidden, **settings), 0.25)


def test_only_what_is_between_a_point_and_the_light_casts_a_shadow():
    """A wide board below the light hides it all, one above it nothing."""

    def boarded(params, points):
        board = shapes.box(points - jnp.array([0.0, params, 0.0]), jnp.array([2.0, 0.05, 2.0]))
        return jnp.minimum(points[:, 1], board)

    rays = rays_at([0.0, 0.0, 0.0], [1.0, 0.4, 0.0], 64)
    bare = traced(floor, paint(), 0.0, rays, light=lamp(1.0))
    shaded = jax.jit(lambda height: traced(boarded, paint(), height, rays, light=lamp(1.0)))
    assert not shaded(0.5).any()
    np.testing.assert_allclose(shaded(1.7), bare, rtol=1e-5)
