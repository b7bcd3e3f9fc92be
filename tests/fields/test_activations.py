import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from neural_sdf.fields import mlp
from neural_sdf.fields.activations import ACTIVATIONS, softplus, squareplus


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_is_a_relu_rounded_over_a_hundredth(name):
    x = jnp.linspace(-3, 3, 601)
    y = ACTIVATIONS[name](x)
    assert (y >= jax.nn.relu(x) - 1e-15).all() and (y - jax.nn.relu(x)).max() < 0.007
    np.testing.assert_allclose(ACTIVATIONS[name](jnp.float64(0)), np.log(2) / 100, rtol=1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_first_and_second_derivatives_are_those_of_finite_differences(name):
    x = jnp.array([-0.5, -0.01, -1e-3, 0.0, 2e-3, 0.02, 1.0])
    activation = lambda x: ACTIVATIONS[name](jnp.asarray(x))
    check_grads(activation, (x,), order=2, atol=1e-3, rtol=1e-4, eps=1e-6)


@pytest.mark.usefixtures("x64")
def test_squareplus_has_its_closed_form_and_slope():
    x, b = jnp.linspace(-0.1, 0.1, 41), (2 * np.log(2) / 100) ** 2
    root = np.sqrt(x**2 + b)
    np.testing.assert_allclose(squareplus(x), (x + root) / 2, rtol=1e-12)
    slope = jax.vmap(jax.grad(squareplus))(x)
    np.testing.assert_allclose(slope, (1 + x / root) / 2, rtol=1e-12)
    curvature = jax.vmap(jax.grad(jax.grad(squareplus)))(x)
    np.testing.assert_allclose(curvature, b / (2 * root**3), rtol=1e-9)


def test_activations_are_finite_far_out():
    x = jnp.array([-1e4, 1e4])
    for activation in (softplus, squareplus):
        np.testing.assert_allclose(activation(x), [0.0, 1e4], atol=1e-3)
        assert np.isfinite(jax.vmap(jax.grad(jax.grad(activation)))(x)).all()


def test_unknown_activation_is_answered_with_those_that_exist():
    with pytest.raises(
        ValueError,
        match=r"activation 'tanh' is unknown; expected one of \['softplus', 'squareplus'\]",
    ):
        mlp(activation="tanh")
