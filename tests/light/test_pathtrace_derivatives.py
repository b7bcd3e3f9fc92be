"""Derivatives of radiance through bounces, and of rays that are lost on the way."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from neural_sdf.geometry import Rays, shapes
from neural_sdf.light import Material, path_trace
from neural_sdf.light.pathtrace import DIFFUSE, GLOSSY, MIRROR
from tests.cases import cases
from tests.light.scenes import ball, directions_all_round, lamp, paint, rays_at, traced


def smooth_room(count=12):
    """A bumpy closed room of all three materials that shines here and there, with a light.

    Its params, rays into it, and (params, rays) -> radiance: float64, no edges but the light's.
    """
    params = {
        "radius": jnp.array(1.0),
        "centre": jnp.array([0.1, -0.05, 0.02]),
        "bumps": jnp.array(0.02),
        "emission": jnp.array(0.5),
        "albedo": jnp.array(0.4),
        "roughness": jnp.array(0.3),
        "light": jnp.array([0.1, 0.5, 0.0]),
    }

    def sdf(params, points):
        waves = jnp.sum(jnp.sin(5 * points), axis=-1)
        return (
            params["radius"] - shapes.safe_norm(points - params["centre"]) + params["bumps"] * waves
        )

    def material(params, points, normals, directions):
        kind = jnp.where(points[:, 1] > 0.3, MIRROR, jnp.where(points[:, 0] > 0, GLOSSY, DIFFUSE))
        albedo = params["albedo"] * (1 + 0.5 * jnp.sin(2 * points))
        emission = params["emission"] * (1 + jnp.sin(3 * points + 0.5))
        return Material(albedo, emission, kind, jnp.full(len(points), params["roughness"]))

    def radiance(params, rays):
        light = lamp(0.0)._replace(centre=params["light"])
        return path_trace(
            jax.random.key(8), sdf, material, params, rays,
            light=light, environment=0.3, radius=3.0, num_bounces=2,
        )  # fmt: skip

    ways = directions_all_round(7, count) * jnp.array([1.0, 0.5, 1.0]) + jnp.array([0.0, 0.7, 0.0])
    directions = ways / jnp.linalg.norm(ways, axis=-1, keepdims=True)
    return params, Rays(jnp.full((count, 3), 0.05), directions), radiance


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
def test_compiled_is_what_eager_is():
    params, rays, radiance = smooth_room()
    eager = radiance(params, rays)
    np.testing.assert_allclose(jax.jit(radiance)(params, rays), eager, atol=1e-11)


def numeric_gradient(function, tree, step=1e-6):
    """Central differences by every number of a tree."""
    leaves, structure = jax.tree.flatten(tree)

    def slope(number, index):
        moved = [list(leaves), list(leaves)]
        for side, sign in zip(moved, (1, -1), strict=True):
            side[number] = leaves[number].at[index].add(sign * step)
        ends = [function(jax.tree.unflatten(structure, side)) for side in moved]
        return (ends[0] - ends[1]) / (2 * step)

    gradient = [
        np.reshape([slope(number, index) for index in np.ndindex(leaf.shape)], leaf.shape)
        for number, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, gradient)


@pytest.mark.usefixtures("x64")
def test_gradient_through_two_bounces_is_that_of_finite_differences():
    params, rays, radiance = smooth_room()
    weights = jnp.cos(jnp.arange(float(rays.origins.size))).reshape(rays.origins.shape)

    @jax.jit
    def loss(moved):
        params, shift = moved
        return jnp.sum(weights * radiance(params, rays._replace(origins=rays.origins + shift)))

    moved = (params, jnp.zeros(3))
    numeric = numeric_gradient(loss, moved)
    reverse = jax.jit(jax.grad(loss))(moved)
    for theirs, ours in zip(*map(jax.tree.leaves, (numeric, reverse)), strict=True):
        assert np.linalg.norm(theirs) > 1e-3
        error = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
        assert error < 1e-6, (ours, theirs)  # 1e-4 is asked for
    along = jax.tree.map(lambda x: jnp.cos(jnp.arange(float(x.size))).reshape(x.shape), moved)
    forward = jax.jit(lambda moved: jax.jvp(loss, (moved,), (along,))[1])(moved)
    products = jax.tree.map(lambda slope, way: np.sum(slope * way), numeric, along)
    np.testing.assert_allclose(forward, sum(jax.tree.leaves(products)), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
def test_two_hits_chained_through_a_mirror_are_right_to_second_order():
    params, rays, _ = smooth_room(count=4)

    def sdf(params, points):
        return params["radius"] - shapes.safe_norm(points - params["centre"])

    def shining_mirror(params, points, normals, directions):
        kind = jnp.full(len(points), MIRROR)
        return Material(
            0.5 * jnp.ones_like(points), jnp.sin(2 * points), kind, jnp.ones(len(points))
        )

    moved = (params["radius"], params["centre"], rays.origins)
    along = jax.tree.map(lambda x: jnp.cos(jnp.arange(float(x.size))).reshape(x.shape), moved)

    def loss(moved):
        radius, centre, origins = moved
        numbers = {**params, "radius": radius, "centre": centre}
        seen = traced(sdf, shining_mirror, numbers, Rays(origins, rays.directions), radius=3.0)
        return jnp.sum(jnp.cos(jnp.arange(12.0)).reshape(4, 3) * seen)

    check_grads(jax.jit(loss), (moved,), 1, ["fwd", "rev"], 1e-5, 1e-5, eps=1e-5)
    slope = jax.jit(lambda moved: jax.jvp(loss, (moved,), (along,))[1])
    check_grads(slope, (moved,), 1, ["fwd", "rev"], 1e-5, 1e-5, eps=1e-5)
    # Reverse over reverse: right, or where JAX loses the rule in the loop refused; never zero.
    by_radius = lambda moved: jax.grad(loss)(moved)[0]
    twice_forward = lambda moved: jax.jvp(by_radius_forward(loss), (moved,), (along,))[1]
    expected = jax.jit(twice_forward)(moved)
    try:
        second = jax.jit(jax.grad(by_radius))(moved)
    except TypeError as error:
        assert "forward mode" in str(error)
    else:
        found = sum(map(jnp.vdot, jax.tree.leaves(second), jax.tree.leaves(along)))
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def by_radius_forward(loss):
    """The derivative of a loss of (radius, ...) by the radius, in forward mode."""

    def slope(moved):
        tangent = (jnp.ones_like(moved[0]), *jax.tree.map(jnp.zeros_like, moved[1:]))
        return jax.jvp(loss, (moved,), (tangent,))[1]

    return slope


@pytest.mark.parametrize("max_steps", cases([256], [3]))
def test_misses_and_lost_rays_give_finite_values_and_gradients(max_steps):
    """Hit, miss, tangent, away from the bounds, outside of them, a start inside, no direction."""
    origins = [
        (-3, 0, 0),
        (-3, 0.8, 0),
        (-3, 0.5, 0),
        (-3, 0, 0),
        (-3, 3, 0),
        (0, 0, 0),
        (-3, 0, 0),
    ]
    directions = [(1, 0, 0), (1, 0, 0), (1, 0, 0), (-1, 0, 0), (1, 0, 0), (1, 0, 0), (0, 0, 0)]
    rays = Rays(jnp.array(origins, float), jnp.array(directions, float))

    def all_kinds(params, points, normals, directions):
        kinds = (1e4 * points[:, 1]).astype(int) % 3  # the offset rays below meet each of them
        return paint(0.5, 0.1, kinds, 0.5)(params, points, normals, directions)

    def total(radius, rays, light):
        settings = {"light": light, "environment": jnp.ones(3), "num_bounces": 3, "radius": 1.0}
        return jnp.sum(traced(ball, all_kinds, radius, rays, max_steps=max_steps, **settings))

    shifts = jnp.array([[0.0, 1e-4 * row, 0.0] for row in range(3)])
    rays = Rays(
        jnp.concatenate([rays.origins + shift for shift in shifts]),
        jnp.tile(rays.directions, (3, 1)),
    )
    values = jax.jit(jax.value_and_grad(total, (0, 1, 2)))(0.5, rays, lamp(2.0))
    for leaf in jax.tree.leaves(values):
        assert jnp.isfinite(leaf).all()


def test_path_with_too_few_steps_is_absorbed():
    rays = rays_at([0.0, 0.0, 0.0], [2.0, 0.0, 0.0], 4)
    assert not traced(ball, paint(emission=1.0), 0.5, rays, environment=1.0, max_steps=1).any()
