import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from neural_sdf.geometry import clip_to_sphere, shapes
from neural_sdf.tracing import closest_approach
from tests.cases import cases
from tests.tracing.scenes import LUMPY, ball, bumpy_ball, looking_at, lumpy, random_params


def approach(sdf, params, origins, directions, **settings):
    near, far, _ = clip_to_sphere(origins, directions, 1.0)
    return closest_approach(sdf, params, origins, directions, near=near, far=far, **settings)


@pytest.mark.usefixtures("x64")
def test_circle_has_the_golden_closest_approach_with_its_derivatives():
    """Circle about (3, 1) of radius 2, ray from the origin at 90 degrees: a miss."""

    @jax.jit
    def least(angle, radius):
        direction = jnp.stack([jnp.cos(angle), jnp.sin(angle), jnp.zeros_like(angle)])[None]
        params = {"centre": jnp.array([3.0, 1.0, 0.0]), "radius": radius}
        found = closest_approach(ball, params, jnp.zeros((1, 3)), direction, near=0.0, far=10.0)
        return found.distance[0], found.t[0]

    angle, radius = jnp.float64(np.pi / 2), jnp.float64(2.0)
    np.testing.assert_allclose(least(angle, radius), (1.0, 1.0), rtol=1e-12)
    for derive in (jax.jacfwd, jax.jacrev):
        (by_angle, by_radius), (t_by_angle, t_by_radius) = derive(least, (0, 1))(angle, radius)
        np.testing.assert_allclose((by_angle, by_radius), (1.0, -1.0), rtol=1e-12)
        np.testing.assert_allclose((t_by_angle, t_by_radius), (-3.0, 0.0), atol=1e-11)
        for outer in (jax.jacfwd, jax.jacrev):
            second = outer(derive(lambda a: least(a, radius)[0]))(angle)
            np.testing.assert_allclose(second, -3.0, rtol=1e-11)  # 0 with t held constant


@jax.jit
def closest(params, origins, directions, near, far):
    return closest_approach(bumpy_ball, params, origins, directions, near=near, far=far)


@jax.jit
def bend(params, origins, directions, t):
    """Second derivative of the field along each ray."""
    value = lambda o, d, t: bumpy_ball(params, (o + t * d)[None])[0]
    return jax.vmap(jax.hessian(value, 2))(origins, directions, t)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("seed", cases([0], [1, 2]))
def test_derivatives_are_those_of_finite_differences_to_second_order(seed):
    params = random_params(seed)
    origins, directions = looking_at(jax.random.key(seed), 16)
    near, far, _ = clip_to_sphere(origins, directions, 1.0)
    found = closest(params, origins, directions, near, far)
    # Rays with two dips nearly alike change their choice within a difference.
    curvature = bend(params, origins, directions, found.t)
    kept = np.flatnonzero(found.interior & (curvature > 0.3))[:5]
    assert len(kept) == 5
    near, far = near[kept], far[kept]
    arguments = (params, origins[kept], directions[kept])

    def both(*arguments):
        found = closest(*arguments, near, far)
        return found.distance, found.t

    check_grads(both, arguments, order=1, atol=1e-6, rtol=1e-6, eps=1e-5)
    check_grads(both, arguments, order=2, atol=1e-4, rtol=1e-4, eps=3e-5)


@pytest.mark.usefixtures("x64")
def test_holding_the_place_constant_is_told_apart_at_second_order():
    params = random_params(1)
    origins, directions = looking_at(jax.random.key(1), 8)

    def mutant(origins):
        t = jax.lax.stop_gradient(approach(bumpy_ball, params, origins, directions).t)
        return bumpy_ball(params, origins + t[:, None] * directions)

    ours = lambda origins: approach(bumpy_ball, params, origins, directions).distance
    tangent = jnp.sin(jnp.arange(24.0)).reshape(8, 3)
    first, second = [], []
    for rule in (ours, mutant):
        gradient = jax.grad(lambda o, rule=rule: jnp.sum(rule(o)))
        value, product = jax.jit(lambda o, g=gradient: jax.jvp(g, (o,), (tangent,)))(origins)
        first.append(value)
        second.append(product)
    np.testing.assert_allclose(first[0], first[1], atol=1e-9)
    assert jnp.linalg.norm(second[0] - second[1]) > 0.1 * jnp.linalg.norm(second[0])


@pytest.mark.parametrize("seed", cases([0], [1]))
def test_distance_is_the_least_of_dense_samples_of_the_whole_chord(seed):
    origins, directions = looking_at(jax.random.key(seed), 1024)
    found = jax.jit(lambda o, d: approach(lumpy, LUMPY, o, d))(origins, directions)
    near, far, _ = clip_to_sphere(origins, directions, 1.0)
    shares = jnp.linspace(0, 1, 4001)[:, None]
    t = near + shares * (far - near)
    dense = jax.lax.map(lambda t: lumpy(LUMPY, origins + t[:, None] * directions), t, batch_size=64)
    error = np.asarray(found.distance) - np.asarray(dense.min(axis=0))
    assert error.max() < 2 / 64 / 2  # half a piece of the longest chord
    assert error.min() > -1e-3  # how much dense samples miss
    outside = np.asarray(found.distance) > 0  # inside, most least values lie on kinks of the field
    assert outside.sum() > 300 and np.quantile(error[outside], 0.99) < 2e-6
    np.testing.assert_allclose(
        lumpy(LUMPY, origins + found.t[:, None] * directions), found.distance, atol=1e-6
    )


def test_the_dip_behind_a_surface_counts():
    """A ray through a small ball, and a larger one behind it: deepest in the larger."""
    two = lambda p, x: shapes.union(
        shapes.sphere(x - jnp.array([0.0, 0.0, -0.5]), 0.1),
        shapes.sphere(x - jnp.array([0.0, 0.0, 0.4]), 0.3),
    )
    ray = jnp.array([[0.01, 0.0, -3.0]]), jnp.array([[0.0, 0.0, 1.0]])
    found = jax.jit(lambda *ray: approach(two, None, *ray))(*ray)
    np.testing.assert_allclose(found.t, 3.4, atol=0.02)
    np.testing.assert_allclose(found.distance, -0.29, atol=1e-3)


@pytest.mark.usefixtures("x64")
def test_at_an_end_it_moves_with_the_end():
    """Leaving a ball, the nearest point of the chord is its start."""
    params = {"centre": jnp.zeros(3), "radius": jnp.float64(0.5)}
    ray = jnp.array([[0.0, 0.0, 0.6]]), jnp.array([[0.0, 0.0, 1.0]])

    def least(near, radius):
        found = closest_approach(
            ball, params | {"radius": radius}, *ray, near=near, far=jnp.float64(3.0)
        )
        return found.distance[0], found.interior

    slopes = jax.jit(jax.grad(least, (0, 1), has_aux=True))
    (by_near, by_radius), interior = slopes(jnp.float64(0.1), jnp.float64(0.5))
    assert not interior.any()
    np.testing.assert_allclose((by_near, by_radius), (1.0, -1.0), rtol=1e-12)


def test_kinks_flat_faces_and_empty_chords_give_finite_values_and_gradients():
    cases = {
        "through the centre of a ball, a kink": ((0.0, 0.0, -3.0), (0.0, 0.0, 1.0)),
        "a chord of no length": ((3.0, 0.0, -3.0), (0.0, 0.0, 1.0)),
        "away": ((0.0, 0.0, -3.0), (0.0, 0.0, -1.0)),
        "from inside": ((0.1, 0.0, 0.0), (0.0, 0.0, 1.0)),
    }
    origins, directions = (jnp.array([case[i] for case in cases.values()]) for i in (0, 1))
    flat = lambda height, x: x[:, 1] - height
    for sdf, params in ((ball, {"centre": jnp.zeros(3), "radius": 0.5}), (flat, 0.3)):

        def loss(params, origins, directions, sdf=sdf):
            found = approach(sdf, params, origins, directions)
            return jnp.sum(found.distance) + jnp.sum(found.t), found

        value = jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))(
            params, origins, directions
        )
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(value))
