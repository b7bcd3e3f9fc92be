"""Other searches than `trace`: the same hits, the same derivative."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from searches import dense_trace, given, plain_trace

from neural_sdf.tracing import HIT, MISS, trace

BESIDE = np.linspace(0.0, 0.9, 64).astype(np.float32)  # how far rays pass from the ball's centre
ORIGINS = jnp.stack([BESIDE, 0 * BESIDE, 0 * BESIDE - 2], axis=-1)
DIRECTIONS = jnp.tile(jnp.array([0.0, 0.0, 1.0]), (64, 1))
LIMITS = {"near": jnp.zeros(64), "far": jnp.full(64, 4.0), "dmin": 1e-3, "max_steps": 100}


def ball(radius, points):
    return jnp.linalg.norm(points, axis=-1) - radius


def through(tracer):
    return jax.jit(lambda radius: tracer(ball, radius, ORIGINS, DIRECTIONS, **LIMITS))


@pytest.fixture(scope="module")
def traced():
    return through(trace)(0.61)


@pytest.fixture(params=["plain", "dense", "given"])
def tracer(request, traced):
    return {"plain": plain_trace, "dense": dense_trace, "given": given(traced)}[request.param]


def test_hits_are_those_of_the_ball(tracer):
    hits = through(tracer)(0.61)
    expected = BESIDE < 0.61
    np.testing.assert_array_equal(hits.status, np.where(expected, HIT, MISS))
    depth = 2 - np.sqrt(np.maximum(0.61**2 - BESIDE**2, 0))
    np.testing.assert_allclose(hits.t[expected], depth[expected], atol=1e-5)


def test_derivative_is_that_of_the_ball(tracer):
    steep = BESIDE < 0.6  # beyond, the rule of grazing rays holds
    slope = jax.jvp(lambda radius: through(tracer)(radius).t, (0.61,), (1.0,))[1]
    expected = -0.61 / np.sqrt(0.61**2 - BESIDE[steep] ** 2)
    np.testing.assert_allclose(slope[steep], expected, rtol=1e-3)


def test_search_that_is_given_its_hits_pays_nothing(traced):
    hits = through(given(traced))(0.61)
    assert hits.num_paid == 0 < traced.num_paid
    assert not hits.num_evaluations.any()


def test_plain_search_pays_for_all_rays_until_the_slowest_has_ended():
    hits = through(plain_trace)(0.61)
    slowest = int(jnp.max(hits.num_evaluations - 4 * hits.hit))
    assert hits.num_paid == 64 * (slowest + 4)
    assert through(dense_trace)(0.61).num_paid == 64 * (10 + 100 + 8)
