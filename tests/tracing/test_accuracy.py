"""How near a traced hit is to the truth, and how often there is one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.geometry import shapes
from neural_sdf.tracing import trace
from tests.cases import cases
from tests.tracing.scenes import LUMPY, in_sphere, looking_at, lumpy
from tests.tracing.witness import dense_reference, shares_of_errors


@pytest.mark.parametrize("seed", cases([0], [1]))
def test_traced_depth_is_that_of_dense_sampling(seed):
    origins, directions = looking_at(jax.random.key(seed), 2048)
    hits = jax.jit(lambda o, d: in_sphere(lumpy, LUMPY, o, d))(origins, directions)
    truth = dense_reference(lumpy, LUMPY, origins, directions)
    false, wrong, lost, error = shares_of_errors(hits, truth)
    assert (false, wrong) == (0, 0) and lost <= 0.001
    assert len(error) > 500 and np.quantile(error, 0.99) < 1e-6
    steep = np.asarray(hits.hit & (hits.cosine < -0.1))
    assert np.abs(np.asarray(hits.value)[steep]).max() < 1e-5


def steep_and_shallow(params, points):
    """The lumpy shape with a gradient norm of 0.2 to 3.7 (of 0.5 to 2.5 for most points)."""
    wave = jnp.sin(5 * points[..., 0] + 1) * jnp.sin(4 * points[..., 1])
    wave = wave * jnp.sin(6 * points[..., 2] + 2)
    return lumpy(params, points) * 1.25**0.5 * 5 ** (wave / 2)


def test_fields_of_any_slope_keep_their_hits():
    origins, directions = looking_at(jax.random.key(0), 8192)
    points = jax.random.uniform(jax.random.key(9), (20_000, 3), minval=-0.7, maxval=0.7)
    gradients = jax.jit(jax.vmap(jax.grad(lambda x: steep_and_shallow(LUMPY, x))))(points)
    slopes = jnp.linalg.norm(gradients, axis=-1)
    assert slopes.min() < 0.3 and 2.5 < slopes.max() < 3.7
    traced = jax.jit(
        lambda o, d: in_sphere(steep_and_shallow, LUMPY, o, d, lipschitz=3.7, max_steps=192)
    )
    truth = dense_reference(steep_and_shallow, LUMPY, origins, directions)
    false, wrong, lost, error = shares_of_errors(traced(origins, directions), truth)
    assert false == 0 and wrong < 0.001 and lost < 0.001
    assert np.quantile(error, 0.99) < 1e-6


@pytest.mark.parametrize("slope", cases([50.0], [0.3, 1.5, 4.0]))
def test_slope_bound_finds_a_ball_of_any_slope(slope):
    x = jnp.linspace(-1.2, 1.2, 2001)
    origins = jnp.stack([x, 0 * x, 0 * x - 3], axis=-1)
    directions = jnp.tile(jnp.array([0.0, 0.0, 1.0]), (2001, 1))
    scaled = lambda p, points: slope * shapes.sphere(points, 0.5)
    settings = {"near": 0.0, "far": 6.0, "max_steps": 256}
    traced = jax.jit(functools.partial(trace, scaled, lipschitz=slope, **settings))
    hits = traced(None, origins, directions)
    # At the very rim rays are closer to the surface than the least step.
    sure = jnp.abs(jnp.abs(x) - 0.5) > 1e-4
    np.testing.assert_array_equal(hits.hit[sure], (jnp.abs(x) < 0.5)[sure])


@pytest.mark.slow
def test_a_bound_that_is_too_low_is_told_apart():
    origins, directions = looking_at(jax.random.key(0), 8192)
    hits = jax.jit(lambda o, d: in_sphere(steep_and_shallow, LUMPY, o, d))(origins, directions)
    truth = dense_reference(steep_and_shallow, LUMPY, origins, directions)
    _, wrong, lost, _ = shares_of_errors(hits, truth)
    assert wrong > 0.01 and lost > 0.01


def test_certificate_is_true():
    origins, directions = looking_at(jax.random.key(3), 512)
    hits = jax.jit(functools.partial(in_sphere, lumpy))(LUMPY, origins, directions)
    points = origins + hits.t[:, None] * directions
    hit = np.asarray(hits.hit)
    value = np.asarray(lumpy(LUMPY, points))
    np.testing.assert_allclose(hits.value, value, atol=1e-6)
    normals = jax.jit(jax.vmap(jax.grad(lambda x: lumpy(LUMPY, x))))(points)
    normals /= jnp.linalg.norm(normals, axis=-1, keepdims=True)
    cosine = np.asarray(jnp.sum(normals * directions, axis=-1))
    np.testing.assert_allclose(np.asarray(hits.cosine)[hit], cosine[hit], atol=1e-4)
    assert (np.asarray(hits.cosine)[hit] < 0.01).all()
    assert (np.asarray(hits.value)[~hit] > 0).all()


def test_refinement_converges_faster_than_by_halves():
    """The slip of halving at every step would gain a factor 2 a step."""
    with jax.enable_x64(True):
        origins, directions = looking_at(jax.random.key(4), 256, spread=0.3)
        soft = lambda p, x: jnp.tanh(3 * shapes.sphere(x, 0.5)) / 3
        traced = functools.partial(in_sphere, soft, None)
        truth = jax.jit(functools.partial(traced, num_refine=60))(origins, directions)
        assert truth.hit.all()
        coarse = [
            jax.jit(functools.partial(traced, num_refine=k, dmin=0.05))(origins, directions)
            for k in (2, 4, 6)
        ]
        error = [float(jnp.abs(hits.t - truth.t).max()) for hits in coarse]
    assert error[1] < 1e-2 * error[0] and error[2] < 1e-7


@pytest.mark.parametrize("thickness", [2.0])
def test_a_plate_thicker_than_the_least_step_is_never_lost(thickness):
    dmin = 2e-3
    plate = lambda p, x: shapes.box(x, jnp.array([0.9, 0.9, thickness * dmin / 2]))
    shift = jnp.linspace(0, 0.01, 512)
    origins = jnp.stack([0 * shift, 0 * shift, -2 - shift], axis=-1)
    directions = jnp.tile(jnp.array([0.0, 0.0, 1.0]), (512, 1))
    traced = jax.jit(functools.partial(trace, plate, None, near=0.0, far=4.0, dmin=dmin))
    assert traced(origins, directions).hit.all()
