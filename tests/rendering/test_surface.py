import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.fields import mlp
from neural_sdf.geometry import Rays
from tests.cases import cases
from tests.rendering.seen import surface_seen

PARAMS = {"radius": jnp.float32(0.5), "red": jnp.float32(0.2)}


@pytest.fixture(scope="module")
def rays() -> Rays:
    """From all round, aimed at points within 0.9 of the centre: half of them hit the sphere."""
    generator = np.random.default_rng(0)
    origins = generator.normal(size=(256, 3))
    origins *= 3 / np.linalg.norm(origins, axis=-1, keepdims=True)
    directions = generator.uniform(-0.5, 0.5, (256, 3)) - origins
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    return Rays(jnp.asarray(origins, jnp.float32), jnp.asarray(directions, jnp.float32))


def closed_form(rays: Rays, radius: float):
    """Distance of the hit, whether there is one, and the least distance to the centre."""
    origins, directions = (np.asarray(x, np.float64) for x in rays)
    middle = -np.sum(origins * directions, axis=-1)
    closest = np.linalg.norm(origins + middle[:, None] * directions, axis=-1)
    half = np.sqrt(np.maximum(radius**2 - closest**2, 0))
    return middle - half, closest < radius, closest


@pytest.fixture(scope="module")
def rendering(sphere_field, rays):
    return jax.jit(lambda rays: surface_seen(sphere_field, PARAMS, rays))(rays)


def test_mask_is_where_rays_pass_within_the_radius(rendering, rays):
    hit = closed_form(rays, 0.5)[1]
    assert 50 < hit.sum() < 206
    np.testing.assert_array_equal(rendering.mask, hit)


def test_depth_and_normal_are_those_of_the_sphere(rendering, rays):
    t, hit, _ = closed_form(rays, 0.5)
    np.testing.assert_allclose(rendering.depth[hit], t[hit], atol=2e-5)
    points = np.asarray(rays.origins) + t[:, None] * np.asarray(rays.directions)
    np.testing.assert_allclose(rendering.normal[hit], points[hit] / 0.5, atol=1e-4)


def test_colour_is_the_radiance_of_the_normal(rendering, rays):
    hit = closed_form(rays, 0.5)[1]
    np.testing.assert_allclose(rendering.rgb[hit, 0], 0.2)
    expected = (np.asarray(rendering.normal)[hit, 1:] + 1) / 2
    np.testing.assert_allclose(rendering.rgb[hit, 1:], expected, atol=1e-6)


def test_miss_shows_nothing_and_hides_nothing(rendering, rays):
    miss = ~closed_form(rays, 0.5)[1]
    np.testing.assert_array_equal(rendering.rgb[miss], 0)
    np.testing.assert_array_equal(rendering.opacity, np.where(miss, 0, 1))
    np.testing.assert_array_equal(rendering.depth[miss], 0)
    np.testing.assert_array_equal(rendering.normal[miss], 0)


def test_closest_approach_of_a_miss_is_its_distance_to_the_sphere(rendering, rays):
    _, hit, closest = closed_form(rays, 0.5)
    # The march passes the closest point by up to a step of dmin or the distance there.
    inside = ~hit & (closest < 0.9)
    assert np.all(rendering.distance_min[inside] >= closest[inside] - 0.5 - 1e-5)
    np.testing.assert_allclose(
        rendering.distance_min[inside], closest[inside] - 0.5, atol=0.02, rtol=0.1
    )
    np.testing.assert_allclose(rendering.distance_min[hit], 0, atol=1e-5)


def test_gradient_at_the_hit_or_the_closest_approach_has_unit_length(rendering):
    np.testing.assert_allclose(jnp.linalg.norm(rendering.gradients, axis=-1), 1, atol=1e-5)


def test_colour_of_a_miss_moves_with_nothing(sphere_field, rays):
    miss = jnp.asarray(~closed_form(rays, 0.5)[1])

    def total(params, rays):
        return jnp.sum(jnp.where(miss[:, None], surface_seen(sphere_field, params, rays).rgb, 0))

    slopes = jax.jit(jax.grad(total, argnums=(0, 1)))(PARAMS, rays)
    for slope in jax.tree.leaves(slopes):
        np.testing.assert_array_equal(slope, 0)


def test_derivative_of_depth_by_radius_is_that_of_the_closed_form(sphere_field, rays):
    hit, closest = closed_form(rays, 0.5)[1:]
    steep = hit & (closest < 0.4)

    def depth(radius):
        return surface_seen(sphere_field, {**PARAMS, "radius": radius}, rays).depth

    slope = jax.jit(jax.jacfwd(depth))(PARAMS["radius"])
    np.testing.assert_allclose(
        slope[steep], -0.5 / np.sqrt(0.25 - closest[steep] ** 2), rtol=1e-3
    )  # t = middle − sqrt(radius² − closest²)


@pytest.mark.parametrize("true_radius", cases([0.6], [0.4]))
def test_colour_loss_moves_the_radius_towards_the_truth(sphere_field, rays, true_radius):
    @jax.jit
    def colours(radius):
        seen = surface_seen(sphere_field, {**PARAMS, "radius": radius}, rays)
        return seen.rgb, seen.mask

    photo, on_object = colours(jnp.float32(true_radius))

    def loss(radius):
        rgb, mask = colours(radius)
        error = jnp.sum((rgb - photo) ** 2, axis=-1)
        return jnp.mean(jnp.where(mask & on_object, error, 0.0))

    slope = jax.jit(jax.grad(loss))(PARAMS["radius"])
    assert slope * (true_radius - 0.5) < 0


def test_shape_is_computed_in_full_precision_and_colour_as_the_platform_likes():
    """TF32 and bfloat16 may serve the colour; on the shape their noise exceeds a hit's error."""
    field = mlp(width=32, depth=2, skip=0, num_octaves=2, num_features=8, radiance_width=24)
    params = jax.eval_shape(field.init, jax.random.key(0))
    ray = jax.ShapeDtypeStruct((16, 3), jnp.float32)

    def seen(params, rays):
        rendering = surface_seen(field, params, rays)
        return rendering.rgb, rendering.distance_min

    def loss(params, rays):
        return sum(jnp.sum(x) for x in seen(params, rays))

    program = jax.jit(jax.grad(loss)).lower(params, Rays(ray, ray)).as_text()
    products = [line for line in program.splitlines() if "dot_general" in line]
    colour = [line for line in products if "x24x" in line]  # the colour network's width
    shape = [line for line in products if line not in colour]
    assert len(colour) > 4 and len(shape) > 10
    assert all("HIGHEST" in line for line in shape)
    assert not any("HIGHEST" in line for line in colour)
