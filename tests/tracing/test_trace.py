import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from neural_sdf.geometry import clip_to_sphere, shapes
from neural_sdf.tracing import HIT, INSIDE, MAX_STEPS, MISS, trace
from tests.cases import cases
from tests.tracing.scenes import (
    LUMPY,
    ball,
    bumpy_ball,
    in_sphere,
    least_along,
    looking_at,
    lumpy,
    random_params,
)
from tests.tracing.witness import detached_rule, newton_reattached

CENTRE, RADIUS = (3.0, 1.0, 0.0), 2.0


@jax.jit
def circle(angle, radius=RADIUS):
    """Depth at which a ray from the origin, at an angle, meets a circle about (3, 1)."""
    direction = jnp.stack([jnp.cos(angle), jnp.sin(angle), jnp.zeros_like(angle)])[None]
    params = {"centre": jnp.array(CENTRE), "radius": radius}
    return trace(ball, params, jnp.zeros((1, 3)), direction, near=0.0, far=10.0).t[0]


# ---- golden values


@pytest.mark.usefixtures("x64")
def test_circle_has_the_golden_depth_and_derivatives():
    zero, two, s = jnp.float64(0.0), jnp.float64(2.0), 3**0.5
    np.testing.assert_allclose(circle(zero), 3 - s, rtol=1e-13)
    np.testing.assert_allclose(jax.grad(circle)(zero), 1 - s, rtol=1e-12)
    np.testing.assert_allclose(jax.grad(circle, 1)(zero, two), -2 / s, rtol=1e-12)
    hessian = jax.hessian(circle, (0, 1))(zero, two)
    np.testing.assert_allclose(hessian[0][0], -3 + 11 / s, rtol=1e-12)
    np.testing.assert_allclose(hessian[0][1], 2 / s, rtol=1e-12)
    np.testing.assert_allclose(hessian[1][0], 2 / s, rtol=1e-12)
    np.testing.assert_allclose(hessian[1][1], 3**-1.5, rtol=1e-12)
    third = jax.grad(jax.grad(jax.grad(circle, 1), 1), 1)(zero, two)
    np.testing.assert_allclose(third, -6 / 3**2.5, rtol=1e-11)


@pytest.mark.usefixtures("x64")
def test_circle_moves_with_centre_origin_and_direction_as_the_formula_says():
    @jax.jit
    def depth(centre, origin, direction):
        params = {"centre": centre, "radius": jnp.float64(2.0)}
        return trace(ball, params, origin[None], direction[None], near=0.0, far=10.0).t[0]

    arguments = jnp.array(CENTRE), jnp.zeros(3), jnp.array([1.0, 0.0, 0.0])
    for derive in (jax.jacfwd, jax.jacrev):
        centre, origin, direction = derive(depth, (0, 1, 2))(*arguments)
        np.testing.assert_allclose(centre[:2], [1, 3**-0.5], rtol=1e-12)
        np.testing.assert_allclose(origin[:2], [-1, -(3**-0.5)], rtol=1e-12)
        np.testing.assert_allclose(direction[:2], [-1.2679491924, -0.7320508076], rtol=1e-9)


@pytest.mark.usefixtures("x64")
def test_closest_approach_of_a_miss_has_the_golden_derivatives():
    def least(angle, radius):
        direction = jnp.stack([jnp.cos(angle), jnp.sin(angle), jnp.zeros_like(angle)])[None]
        params = {"centre": jnp.array(CENTRE), "radius": radius}
        rays = jnp.zeros((1, 3)), direction
        hits = trace(ball, params, *rays, near=0.0, far=10.0, dmin=1e-6, lipschitz=50.0)
        return least_along(ball, params, *rays, hits)[0], (hits.t[0], hits.hit[0])

    angle, radius = jnp.float64(np.pi / 2), jnp.float64(2.0)
    settings = jax.jit(jax.value_and_grad(least, (0, 1), has_aux=True))
    (value, (t, hit)), (by_angle, by_radius) = settings(angle, radius)
    assert not hit
    np.testing.assert_allclose(value, 1.0, atol=1e-3)
    np.testing.assert_allclose(t, 1.0, atol=0.05)
    np.testing.assert_allclose(by_angle, 1.0, atol=0.05)
    np.testing.assert_allclose(by_radius, -1.0, rtol=1e-12)


# ---- derivatives against finite differences


@jax.jit
def depth(params, origins, directions, near, far):
    settings = {"near": near, "far": far, "grazing": 0.0, "num_refine": 12}
    return trace(bumpy_ball, params, origins, directions, **settings).t


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("seed", cases([0], [1, 2]))
def test_first_and_second_derivatives_are_those_of_finite_differences(seed):
    params = random_params(seed)
    origins, directions = looking_at(jax.random.key(seed), 12, spread=0.2)
    hits = jax.jit(functools.partial(in_sphere, bumpy_ball))(params, origins, directions)
    kept = np.flatnonzero(hits.hit & (np.abs(hits.cosine) > 0.3))[:4]
    assert len(kept) == 4
    near, far, _ = clip_to_sphere(origins[kept], directions[kept], 1.0)
    arguments = (params, origins[kept], directions[kept])
    of_rays = lambda *arguments: depth(*arguments, near, far)
    check_grads(of_rays, arguments, order=1, modes=["fwd", "rev"], atol=1e-6, rtol=1e-6, eps=1e-5)
    check_grads(of_rays, arguments, order=2, modes=["fwd", "rev"], atol=1e-5, rtol=1e-5, eps=3e-5)


@pytest.mark.usefixtures("x64")
def test_rule_agrees_with_two_newton_steps_and_mutants_fail_at_second_order():
    sdf, params = bumpy_ball, random_params(5)
    origins, directions = looking_at(jax.random.key(5), 8, spread=0.2)
    near, far, _ = clip_to_sphere(origins, directions, 1.0)
    settings = {"near": near, "far": far, "num_refine": 12}
    hits = jax.jit(functools.partial(trace, sdf, **settings))(params, origins, directions)
    assert hits.hit.all() and (jnp.abs(hits.cosine) > 0.3).all()
    tangent = jnp.sin(jnp.arange(24.0)).reshape(8, 3)
    rules = {
        "implicit": lambda *a: trace(sdf, *a, **settings, grazing=0.0).t,
        "two steps": lambda *a: newton_reattached(sdf, *a, 2, **settings),
        "one step": lambda *a: newton_reattached(sdf, *a, 1, **settings),
        "detached": lambda *a: detached_rule(sdf, *a, **settings),
    }

    def products(rule):
        loss = lambda origins: jnp.sum(rule(params, origins, directions) ** 2)
        gradient = jax.grad(loss)
        reverse = jax.grad(lambda o: jnp.vdot(gradient(o), tangent))
        return jax.jit(lambda o: (*jax.jvp(gradient, (o,), (tangent,)), reverse(o)))(origins)

    truth = products(rules["two steps"])
    for ours, theirs in zip(products(rules["implicit"]), truth, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-8)
    for mutant in ("one step", "detached"):
        first, forward, reverse = products(rules[mutant])
        np.testing.assert_allclose(first, truth[0], rtol=1e-7, atol=1e-8)
        for second in (forward, reverse):
            error = jnp.linalg.norm(second - truth[1]) / jnp.linalg.norm(truth[1])
            assert error > 0.01, f"{mutant} is not told apart: {error}"


@pytest.mark.usefixtures("x64")
def test_grazing_rays_divide_by_the_clamped_slope():
    """Parallel rays on the unit sphere at height h: s = −sqrt(1 − h²), dt/dr = 1/s unclamped."""
    heights = jnp.array([0.1, 0.9, 0.9995, 0.99999])
    origins = jnp.stack([jnp.full(4, -3.0), heights, jnp.zeros(4)], axis=-1)
    directions = jnp.tile(jnp.array([1.0, 0.0, 0.0]), (4, 1))

    def depth(radius, grazing):
        params = {"centre": jnp.zeros(3), "radius": radius}
        hits = trace(
            ball, params, origins, directions, near=0.0, far=6.0, grazing=grazing, dmin=1e-4,
            max_steps=4000, num_refine=20,
        )  # fmt: skip
        return hits.t, hits.hit

    for eps in (0.05, 0.0):
        derive = jax.jit(jax.jacfwd(depth, has_aux=True), static_argnums=1)
        derivative, hit = derive(jnp.float64(1.0), eps)
        assert hit.all()
        slope = -np.maximum(np.sqrt(1 - heights**2), eps)
        np.testing.assert_allclose(derivative, 1 / slope, rtol=1e-6)


# ---- misses and singular points


@pytest.mark.usefixtures("x64")
def test_a_miss_is_finite_with_exactly_zero_gradient_but_its_closest_approach_moves():
    params = {"centre": jnp.zeros(3), "radius": jnp.float64(0.5)}
    origins, directions = jnp.array([[-3.0, 0.8, 0.0]]), jnp.array([[1.0, 0.0, 0.0]])

    @jax.jit
    def both(params, origins, directions):
        near, far, _ = clip_to_sphere(origins, directions, 1.0)
        hits = trace(ball, params, origins, directions, near=near, far=far)
        return hits.t[0], least_along(ball, params, origins, directions, hits)[0]

    assert np.isfinite(both(params, origins, directions)).all()
    of_t, of_least = jax.jit(jax.jacrev(both, (0, 1, 2)))(params, origins, directions)
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(of_t))
    np.testing.assert_allclose(of_least[0]["radius"], -1.0)
    assert of_least[1][0, 1] > 0.9


def test_hits_misses_and_singular_points_give_finite_values_and_gradients():
    """Hit, miss, tangent ray, rays that never meet the bounds, and a start inside."""
    cases = {
        "hit": ((-3.0, 0.0, 0.0), (1.0, 0.0, 0.0), HIT),
        "miss": ((-3.0, 0.8, 0.0), (1.0, 0.0, 0.0), MISS),
        "tangent": ((-3.0, 0.5, 0.0), (1.0, 0.0, 0.0), None),
        "outside the bounds": ((-3.0, 3.0, 0.0), (1.0, 0.0, 0.0), MISS),
        "away": ((-3.0, 0.0, 0.0), (-1.0, 0.0, 0.0), MISS),
        "inside": ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), INSIDE),
    }
    origins, directions = (jnp.array([case[i] for case in cases.values()]) for i in (0, 1))
    params = {"centre": jnp.zeros(3), "radius": 0.5}

    def loss(params, origins, directions):
        hits = in_sphere(ball, params, origins, directions)
        least = least_along(ball, params, origins, directions, hits)
        return jnp.sum(hits.t) + jnp.sum(least), hits

    derive = jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))
    (value, hits), gradient = derive(params, origins, directions)
    assert np.isfinite(value)
    for leaf in jax.tree.leaves((hits, gradient)):
        assert np.isfinite(leaf).all()
    for (name, case), status in zip(cases.items(), hits.status, strict=True):
        assert case[2] is None or status == case[2], name


def test_step_limit_is_reported_and_is_no_hit():
    origins, directions = jnp.array([[-3.0, 0.0, 0.0]]), jnp.array([[1.0, 0.0, 0.0]])
    slow = lambda params, points: 0.01 * shapes.sphere(points, 0.5)
    hits = in_sphere(slow, None, origins, directions, max_steps=5)
    assert hits.status[0] == MAX_STEPS and not hits.hit[0]
    assert hits.num_evaluations[0] == 6


def test_nan_parameters_end_and_are_no_hit():
    origins, directions = looking_at(jax.random.key(0), 16)
    hits = in_sphere(lambda p, x: shapes.sphere(x, p), jnp.float32(jnp.nan), origins, directions)
    assert not hits.hit.any() and np.isfinite(hits.t).all()


@pytest.mark.parametrize("count", [0, 1, 7])
def test_any_number_of_rays_is_traced(count):
    origins, directions = looking_at(jax.random.key(1), count)
    hits = jax.jit(lambda o, d: in_sphere(lumpy, LUMPY, o, d))(origins, directions)
    assert hits.t.shape == (count,)


def test_near_and_far_may_be_numbers_or_one_a_ray():
    origins, directions = looking_at(jax.random.key(2), 64)
    traced = jax.jit(lambda near, far: trace(lumpy, LUMPY, origins, directions, near=near, far=far))
    arrays = jnp.full(64, 1.5), jnp.full(64, 3.5)
    np.testing.assert_array_equal(traced(1.5, 3.5).t, traced(*arrays).t)


# ---- what does not fit together


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"origins": jnp.zeros(3)}, r"origins of shape \(3,\).*expected \[N, 3\]"),
        ({"origins": jnp.zeros((2, 3))}, r"shape \(2, 3\) and directions of shape \(4, 3\)"),
        ({"sdf": lambda p, x: x}, r"sdf gives .*\(4, 3\).*expected distances of shape \(4,\)"),
        ({"sdf": lambda p, x: jnp.sum(x)}, r"expected distances of shape \(4,\)"),
        ({"dmin": 0.0}, "dmin is 0.0; expected a positive number"),
        ({"lipschitz": -1.0}, "lipschitz is -1.0; expected a positive number"),
    ],
)
def test_what_makes_no_rays_is_refused_with_the_reason(change, words):
    rays = {"sdf": lambda p, x: shapes.sphere(x, 0.5), "params": None}
    rays |= {"origins": jnp.zeros((4, 3)), "directions": jnp.ones((4, 3))}
    with pytest.raises(ValueError, match=words):
        trace(**rays | change, near=0.0, far=1.0)


@pytest.mark.parametrize("dtype", [jnp.int32, jnp.float16, jnp.bfloat16])
def test_coarser_numbers_are_taken_as_single_precision(dtype):
    origins, directions = jnp.array([[0, 0, -3]], dtype), jnp.array([[0, 0, 1]], dtype)
    hits = trace(lambda p, x: shapes.sphere(x, 1.0), None, origins, directions, near=0.0, far=6.0)
    assert hits.t.dtype == jnp.float32
    np.testing.assert_allclose(hits.t, 2.0, atol=1e-6)
