import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.scenes.colour import linear_from_srgb, srgb_from_linear


@pytest.mark.parametrize(
    ("stored", "linear"), [(0.0, 0.0), (0.02, 0.00154799), (0.5, 0.21404114), (1.0, 1.0)]
)
def test_curve_is_that_of_the_standard(stored, linear):
    np.testing.assert_allclose(linear_from_srgb(jnp.full(3, stored)), linear, rtol=1e-5)
    np.testing.assert_allclose(srgb_from_linear(jnp.full(3, linear)), stored, rtol=1e-5)


def test_every_stored_value_comes_back():
    values = jnp.tile(jnp.arange(256.0)[:, None] / 255, (1, 3))
    back = srgb_from_linear(linear_from_srgb(values))
    np.testing.assert_allclose(back, values, atol=1e-6)


def test_light_brighter_than_white_is_white():
    stored = srgb_from_linear(jnp.array([-1.0, 1.5, 40.0]))
    np.testing.assert_allclose(stored, [0, 1, 1], atol=1e-6)


def test_slope_is_finite_everywhere_and_right_at_black():
    slopes = jax.vmap(jax.grad(lambda x: linear_from_srgb(x * jnp.ones(3))[0]))
    values = jnp.linspace(0, 1, 101)
    assert jnp.isfinite(slopes(values)).all()
    np.testing.assert_allclose(slopes(values)[0], 1 / 12.92, rtol=1e-6)
