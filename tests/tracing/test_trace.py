import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from neural_sdf.fields import mlp
from neural_sdf.geometry import clip_to_sphere, shapes
from neural_sdf.tracing import HIT, INSIDE, MAX_STEPS, MISS, trace
from neural_sdf.tracing.march import march
from tests.tracing.witness import (
    dense_reference,
    detached_rule,
    newton_reattached,
    shares_of_errors,
)

CENTRE, RADIUS = (3.0, 1.0, 0.0), 2.0


def ball(params, points):
    return shapes.sphere(points - params["centre"], params["radius"])


@jax.jit
def circle(angle, radius=RADIUS):
    """Depth at which a ray from the origin, at an angle, meets a circle about (3, 1)."""
    direction = jnp.stack([jnp.cos(angle), jnp.sin(angle), jnp.zeros_like(angle)])[None]
    params = {"centre": jnp.array(CENTRE), "radius": radius}
    return trace(ball, params, jnp.zeros((1, 3)), direction, near=0.0, far=10.0).t[0]


def looking_at(key, count, distance=2.5, spread=0.7):
    """Rays from a sphere of cameras towards random points near the centre."""
    a, b = jax.random.split(key)
    origins = jax.random.normal(a, (count, 3))
    origins = distance * origins / jnp.linalg.norm(origins, axis=-1, keepdims=True)
    directions = spread * jax.random.uniform(b, (count, 3), minval=-1, maxval=1) - origins
    return origins, directions / jnp.linalg.norm(directions, axis=-1, keepdims=True)


def in_sphere(sdf, params, origins, directions, **settings):
    near, far, _ = clip_to_sphere(origins, directions, 1.0)
    return trace(sdf, params, origins, directions, near=near, far=far, **settings)


def lumpy(params, points):
    """Torus, ball and thin plate, with numbers to differentiate."""
    x = points - params["offset"]
    torus = shapes.torus(x, params["ring"], 0.15)
    lump = shapes.sphere(x - jnp.array([0.3, 0.1, 0.3]), 0.25)
    plate = shapes.box(x + jnp.array([0.0, 0.0, 0.45]), jnp.array([0.5, 0.5, 0.02]))
    return shapes.smooth_union(shapes.union(torus, plate), lump, 0.1)


LUMPY = {"offset": np.array([0.02, -0.03, 0.01], np.float32), "ring": np.float32(0.5)}


def random_field(seed):
    """A ball with smooth random bumps of a small network; slope 0.5 to 2, double precision."""
    keys = jax.random.split(jax.random.key(seed), 3)
    params = {
        "first": jax.random.normal(keys[0], (3, 16), jnp.float64),
        "bias": jax.random.normal(keys[1], (16,), jnp.float64),
        "last": 0.03 * jax.random.normal(keys[2], (16,), jnp.float64),
    }

    def sdf(params, points):
        bumps = jnp.tanh(2 * points @ params["first"] + params["bias"]) @ params["last"]
        return shapes.sphere(points, 0.5) + bumps

    return sdf, params


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
        hits = trace(
            ball,
            params,
            jnp.zeros((1, 3)),
            direction,
            near=0.0,
            far=10.0,
            dmin=1e-6,
            lipschitz=50.0,
        )
        return hits.distance_min[0], (hits.t_min[0], hits.t[0], hits.hit[0])

    angle, radius = jnp.float64(np.pi / 2), jnp.float64(2.0)
    settings = jax.value_and_grad(least, (0, 1), has_aux=True)
    (value, (t_min, _, hit)), (by_angle, by_radius) = settings(angle, radius)
    assert not hit
    np.testing.assert_allclose(value, 1.0, atol=1e-3)
    np.testing.assert_allclose(t_min, 1.0, atol=0.05)
    np.testing.assert_allclose(by_angle, 1.0, atol=0.05)
    np.testing.assert_allclose(by_radius, -1.0, rtol=1e-12)


# ---- derivatives against finite differences


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("seed", range(3))
def test_first_and_second_derivatives_are_those_of_finite_differences(seed):
    sdf, params = random_field(seed)
    origins, directions = looking_at(jax.random.key(seed), 12, spread=0.2)
    hits = in_sphere(sdf, params, origins, directions)
    kept = np.flatnonzero(hits.hit & (np.abs(hits.cosine) > 0.3))[:4]
    assert len(kept) == 4
    near, far, _ = clip_to_sphere(origins[kept], directions[kept], 1.0)

    @jax.jit
    def depth(params, origins, directions):
        settings = {"near": near, "far": far, "grazing": 0.0, "num_refine": 12}
        return trace(sdf, params, origins, directions, **settings).t

    arguments = (params, origins[kept], directions[kept])
    check_grads(depth, arguments, order=1, modes=["fwd", "rev"], atol=1e-6, rtol=1e-6, eps=1e-5)
    check_grads(depth, arguments, order=2, modes=["fwd", "rev"], atol=1e-5, rtol=1e-5, eps=3e-5)


@pytest.mark.usefixtures("x64")
def test_rule_agrees_with_two_newton_steps_and_mutants_fail_at_second_order():
    sdf, params = random_field(5)
    origins, directions = looking_at(jax.random.key(5), 8, spread=0.2)
    near, far, _ = clip_to_sphere(origins, directions, 1.0)
    settings = {"near": near, "far": far, "num_refine": 12}
    hits = trace(sdf, params, origins, directions, **settings)
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
        derivative, hit = jax.jacfwd(depth, has_aux=True)(jnp.float64(1.0), eps)
        assert hit.all()
        slope = -np.maximum(np.sqrt(1 - heights**2), eps)
        np.testing.assert_allclose(derivative, 1 / slope, rtol=1e-6)


# ---- misses and singular points


@pytest.mark.usefixtures("x64")
def test_a_miss_is_finite_with_exactly_zero_gradient_but_its_closest_approach_moves():
    params = {"centre": jnp.zeros(3), "radius": jnp.float64(0.5)}
    origins, directions = jnp.array([[-3.0, 0.8, 0.0]]), jnp.array([[1.0, 0.0, 0.0]])

    def both(params, origins, directions):
        near, far, _ = clip_to_sphere(origins, directions, 1.0)
        hits = trace(ball, params, origins, directions, near=near, far=far)
        return hits.t[0], hits.distance_min[0]

    assert np.isfinite(both(params, origins, directions)).all()
    of_t = jax.grad(lambda *a: both(*a)[0], (0, 1, 2))(params, origins, directions)
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(of_t))
    of_least = jax.grad(lambda *a: both(*a)[1], (0, 1, 2))(params, origins, directions)
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
        return jnp.sum(hits.t) + jnp.sum(hits.distance_min), hits

    (value, hits), gradient = jax.value_and_grad(loss, (0, 1, 2), has_aux=True)(
        params, origins, directions
    )
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
    numbers = trace(lumpy, LUMPY, origins, directions, near=1.5, far=3.5)
    arrays = trace(lumpy, LUMPY, origins, directions, near=jnp.full(64, 1.5), far=jnp.full(64, 3.5))
    np.testing.assert_array_equal(numbers.t, arrays.t)


# ---- accuracy


@pytest.mark.parametrize("seed", [0, 1])
def test_traced_depth_is_that_of_dense_sampling(seed):
    origins, directions = looking_at(jax.random.key(seed), 2048)
    hits = jax.jit(lambda o, d: in_sphere(lumpy, LUMPY, o, d))(origins, directions)
    truth = dense_reference(lumpy, LUMPY, origins, directions)
    false, wrong, lost, error = shares_of_errors(hits, truth)
    assert (false, wrong) == (0, 0) and lost <= 0.001
    assert len(error) > 500 and np.quantile(error, 0.99) < 1e-6
    steep = np.asarray(hits.hit & (hits.cosine < -0.1))
    assert np.abs(np.asarray(hits.residual)[steep]).max() < 1e-5


def steep_and_shallow(params, points):
    """The lumpy shape with a gradient norm of 0.2 to 3.7 (of 0.5 to 2.5 for most points)."""
    wave = jnp.sin(5 * points[..., 0] + 1) * jnp.sin(4 * points[..., 1])
    wave = wave * jnp.sin(6 * points[..., 2] + 2)
    return lumpy(params, points) * 1.25**0.5 * 5 ** (wave / 2)


@pytest.mark.parametrize(
    ("lipschitz", "most_lost"), [(3.7, 0.001), (None, 0.007)], ids=["bound given", "estimated"]
)
def test_fields_of_any_slope_keep_their_hits(lipschitz, most_lost):
    origins, directions = looking_at(jax.random.key(0), 8192)
    points = jax.random.uniform(jax.random.key(9), (20_000, 3), minval=-0.7, maxval=0.7)
    gradients = jax.vmap(jax.grad(lambda x: steep_and_shallow(LUMPY, x)))(points)
    slopes = jnp.linalg.norm(gradients, axis=-1)
    assert slopes.min() < 0.3 and 2.5 < slopes.max() < 3.7
    traced = jax.jit(
        lambda o, d: in_sphere(steep_and_shallow, LUMPY, o, d, lipschitz=lipschitz, max_steps=192)
    )
    truth = dense_reference(steep_and_shallow, LUMPY, origins, directions)
    false, wrong, lost, error = shares_of_errors(traced(origins, directions), truth)
    assert false == 0 and wrong < 0.001 and lost < most_lost
    assert np.quantile(error, 0.99) < 1e-6


@pytest.mark.parametrize("slope", [0.3, 1.5, 4.0, 50.0])
def test_estimated_slope_bound_finds_a_ball_of_any_slope(slope):
    x = jnp.linspace(-1.2, 1.2, 2001)
    origins = jnp.stack([x, 0 * x, 0 * x - 3], axis=-1)
    directions = jnp.tile(jnp.array([0.0, 0.0, 1.0]), (2001, 1))
    scaled = lambda p, points: slope * shapes.sphere(points, 0.5)
    settings = {"near": 0.0, "far": 6.0, "max_steps": 256}
    hits = trace(scaled, None, origins, directions, lipschitz=None, **settings)
    # At the very rim rays are closer to the surface than the least step.
    sure = jnp.abs(jnp.abs(x) - 0.5) > 1e-4
    np.testing.assert_array_equal(hits.hit[sure], (jnp.abs(x) < 0.5)[sure])


def test_a_bound_that_is_too_low_is_told_apart():
    origins, directions = looking_at(jax.random.key(0), 8192)
    hits = jax.jit(lambda o, d: in_sphere(steep_and_shallow, LUMPY, o, d))(origins, directions)
    truth = dense_reference(steep_and_shallow, LUMPY, origins, directions)
    _, wrong, lost, _ = shares_of_errors(hits, truth)
    assert wrong > 0.01 and lost > 0.01


def test_certificate_is_true():
    origins, directions = looking_at(jax.random.key(3), 512)
    hits = in_sphere(lumpy, LUMPY, origins, directions)
    points = origins + hits.t[:, None] * directions
    hit = np.asarray(hits.hit)
    value = np.asarray(lumpy(LUMPY, points))
    np.testing.assert_allclose(np.asarray(hits.residual)[hit], value[hit], atol=1e-6)
    normals = jax.vmap(jax.grad(lambda x: lumpy(LUMPY, x)))(points)
    normals /= jnp.linalg.norm(normals, axis=-1, keepdims=True)
    cosine = np.asarray(jnp.sum(normals * directions, axis=-1))
    np.testing.assert_allclose(np.asarray(hits.cosine)[hit], cosine[hit], atol=1e-4)
    assert (np.asarray(hits.cosine)[hit] < 0.01).all()
    nearest = np.asarray(lumpy(LUMPY, origins + hits.t_min[:, None] * directions))
    np.testing.assert_allclose(np.asarray(hits.distance_min), nearest, atol=1e-6)
    assert (nearest[~hit] > 0).all()


def test_refinement_converges_faster_than_by_halves():
    """The slip of halving at every step would gain a factor 2 a step."""
    with jax.enable_x64(True):
        origins, directions = looking_at(jax.random.key(4), 256, spread=0.3)
        soft = lambda p, x: jnp.tanh(3 * shapes.sphere(x, 0.5)) / 3
        truth = in_sphere(soft, None, origins, directions, num_refine=60)
        assert truth.hit.all()
        error = [
            float(jnp.abs(in_sphere(soft, None, origins, directions, num_refine=k, dmin=0.05).t
                          - truth.t).max())
            for k in (2, 4, 6)
        ]  # fmt: skip
    assert error[1] < 1e-2 * error[0] and error[2] < 1e-7


@pytest.mark.parametrize("thickness", [2.0])
def test_a_plate_thicker_than_the_least_step_is_never_lost(thickness):
    dmin = 2e-3
    plate = lambda p, x: shapes.box(x, jnp.array([0.9, 0.9, thickness * dmin / 2]))
    shift = jnp.linspace(0, 0.01, 512)
    origins = jnp.stack([0 * shift, 0 * shift, -2 - shift], axis=-1)
    directions = jnp.tile(jnp.array([0.0, 0.0, 1.0]), (512, 1))
    assert trace(plate, None, origins, directions, near=0.0, far=4.0, dmin=dmin).hit.all()


def test_rays_do_not_depend_on_their_neighbours():
    origins, directions = looking_at(jax.random.key(6), 128)
    traced = jax.jit(lambda o, d: in_sphere(lumpy, LUMPY, o, d))
    hits, order = traced(origins, directions), jax.random.permutation(jax.random.key(7), 128)
    shuffled = traced(origins[order], directions[order])
    np.testing.assert_array_equal(hits.hit[order], shuffled.hit)
    np.testing.assert_allclose(hits.t[order], shuffled.t, atol=1e-6)
    alone = jax.vmap(lambda o, d: in_sphere(lumpy, LUMPY, o[None], d[None]).t[0])
    np.testing.assert_allclose(alone(origins, directions), hits.t, atol=1e-6)


def on_a_network(origins, directions, **settings):
    field = mlp(width=64, depth=2, skip=0, num_octaves=4, num_features=4, radiance_width=4)
    params = jax.tree.map(lambda x: x + 0.01 * jnp.sin(100 * x), field.init(jax.random.key(0)))
    traced = jax.jit(lambda o, d: in_sphere(field.sdf, params, o, d, **settings))
    return traced(origins, directions)


@pytest.mark.parametrize("settings", [{}, {"max_steps": 9}, {"lipschitz": None}], ids=str)
def test_smaller_batches_change_no_bit_at_powers_of_two(settings):
    origins, directions = looking_at(jax.random.key(9), 1024, spread=1.0)
    whole = on_a_network(origins, directions, smallest_batch=1024, **settings)
    assert set(np.unique(whole.status)) >= {HIT, MISS}
    assert settings != {"max_steps": 9} or (whole.status == MAX_STEPS).sum() > 10
    for smallest in (512, 128):
        halved = on_a_network(origins, directions, smallest_batch=smallest, **settings)
        for ours, theirs in zip(halved, whole, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("count", [3, 300, 1000])
def test_smaller_batches_lose_no_ray_at_any_size(count):
    origins, directions = looking_at(jax.random.key(10), count, spread=1.0)
    whole = on_a_network(origins, directions, smallest_batch=count)
    halved = on_a_network(origins, directions, smallest_batch=2)
    np.testing.assert_array_equal(halved.status, whole.status)
    # Rounding of the field moves a hit by its share of 1 / |cosine|.
    slant = np.where(whole.hit, np.abs(whole.cosine), 1.0)
    assert (np.abs(halved.t - whole.t) * slant).max() < 1e-6


def test_smaller_batches_cost_fewer_evaluations_in_all():
    """Rays that the field is evaluated for, counted as the program runs."""
    origins, directions = looking_at(jax.random.key(9), 1024, spread=1.0)
    near, far, _ = clip_to_sphere(origins, directions, 1.0)
    counts = {}
    for smallest in (1024, 32):
        sizes = []

        def field(rays, t, sizes=sizes):
            jax.debug.callback(lambda: sizes.append(len(t)))
            return lumpy(LUMPY, rays[0] + t[:, None] * rays[1])

        settings = {"dmin": 2e-3, "max_steps": 96, "lipschitz": 1.0, "smallest": smallest}
        ended = march(field, (origins, directions), near, far, **settings)
        jax.effects_barrier()
        counts[smallest] = sum(sizes) / 1024
    useful = float(jnp.mean(ended.num_evaluations))
    assert useful < counts[32] < 0.5 * counts[1024]


def test_eager_and_jitted_traces_agree():
    origins, directions = looking_at(jax.random.key(8), 128)
    eager = in_sphere(lumpy, LUMPY, origins, directions)
    jitted = jax.jit(lambda o, d: in_sphere(lumpy, LUMPY, o, d))(origins, directions)
    np.testing.assert_array_equal(eager.hit, jitted.hit)
    np.testing.assert_allclose(eager.t, jitted.t, atol=1e-6)


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
