"""Memory of a gradient through the tracer, by the compiled program's own analysis."""

import functools

import jax
import jax.numpy as jnp
import pytest

from neural_sdf.fields import mlp
from neural_sdf.tracing import trace
from tests.tracing.witness import unrolled

FIELD = mlp(width=64, depth=2, skip=0, num_octaves=2, num_features=4, radiance_width=4)
NUM_RAYS = 512


def implicit_depth(num_steps):
    return lambda *args: trace(FIELD.sdf, *args, near=0.0, far=4.0, max_steps=num_steps).t


def unrolled_depth(num_steps):
    return functools.partial(unrolled, FIELD.sdf, near=jnp.zeros(NUM_RAYS), num_steps=num_steps)


@functools.cache
def temporary_memory(depth, num_steps):
    """Bytes that the gradient of the mean depth needs besides its arguments and its result."""
    params = jax.eval_shape(FIELD.init, jax.random.key(0))
    rays = jax.ShapeDtypeStruct((NUM_RAYS, 3), jnp.float32)
    loss = lambda *args: jnp.mean(depth(num_steps)(*args))
    compiled = jax.jit(jax.grad(loss)).lower(params, rays, rays).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def assert_steps_are_free(depth):
    assert temporary_memory(depth, 256) == pytest.approx(temporary_memory(depth, 16), rel=0.05)


def test_gradient_memory_does_not_depend_on_march_steps():
    assert_steps_are_free(implicit_depth)


def test_gradient_needs_a_tenth_of_the_memory_of_unrolling():
    assert 10 * temporary_memory(implicit_depth, 32) <= temporary_memory(unrolled_depth, 32)


def test_unrolled_form_is_told_apart_by_its_memory():
    with pytest.raises(AssertionError):
        assert_steps_are_free(unrolled_depth)
