import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.implicit import diagonal, root

pytestmark = pytest.mark.usefixtures("x64")


def cube_root(a):
    """y of y³ + b y = a for b = 1, by twenty Newton steps that no derivative sees."""

    def solve(theta):
        y = theta[0] / 2
        for _ in range(30):
            y = y - (y**3 + theta[1] * y - theta[0]) / (3 * y**2 + theta[1])
        return y, jnp.ones_like(y, bool), jnp.int32(30)

    def residual(y, branch, theta):
        return jnp.where(branch, y**3 + theta[1] * y - theta[0], y)

    return root(residual, solve, a, tangent_solve=diagonal)


def derivatives_of_cubic(y, b):
    """First to third derivative of y in a, differentiating y³ + b y = a by hand."""
    s = 3 * y**2 + b
    first = 1 / s
    second = -6 * y / s**3
    third = (-6 * s + 108 * y**2) / s**5
    return first, second, third


def test_root_has_the_derivatives_of_the_equation_up_to_third_order():
    y_of = lambda a: cube_root((a, jnp.float64(1.0)))[0]
    y = y_of(jnp.float64(2.5))
    first, second, third = derivatives_of_cubic(y, 1.0)
    for derive in (jax.grad, jax.jacfwd):
        np.testing.assert_allclose(derive(y_of)(2.5), first, rtol=1e-12)
        np.testing.assert_allclose(derive(derive(y_of))(2.5), second, rtol=1e-12)
        np.testing.assert_allclose(derive(derive(derive(y_of)))(2.5), third, rtol=1e-11)
    np.testing.assert_allclose(jax.jacfwd(jax.grad(y_of))(2.5), second, rtol=1e-12)
    np.testing.assert_allclose(jax.jacrev(jax.jacfwd(y_of))(2.5), second, rtol=1e-12)


def test_branch_and_stats_come_back_as_they_are_and_have_no_derivative():
    theta = (jnp.array([1.0, 2.0]), jnp.array([1.0, 1.0]))
    out, tangent = jax.jvp(cube_root, (theta,), ((jnp.ones(2), jnp.zeros(2)),))
    assert out[1].dtype == bool and out[2].dtype == jnp.int32 and out[2] == 30
    assert tangent[1].dtype == jax.dtypes.float0 and tangent[2].dtype == jax.dtypes.float0
    assert np.isfinite(tangent[0]).all()


def test_root_is_the_same_under_jit_and_vmap():
    a = jnp.linspace(0.5, 3.0, 7)
    y_of = lambda a: cube_root((a, jnp.ones_like(a)))[0]
    np.testing.assert_allclose(jax.jit(y_of)(a), y_of(a), rtol=1e-14)
    np.testing.assert_allclose(
        jax.vmap(jax.grad(y_of))(a), [jax.grad(y_of)(x) for x in a], rtol=1e-14
    )
    np.testing.assert_allclose(
        jax.jit(jax.vmap(jax.hessian(y_of)))(a), [jax.hessian(y_of)(x) for x in a], rtol=1e-13
    )


def test_jvp_and_vjp_are_transposes():
    theta = (jnp.array([1.0, 2.0, 0.3]), jnp.array([1.0, 0.5, 2.0]))
    y_of = lambda theta: cube_root(theta)[0]
    v = (jnp.array([0.3, -1.0, 2.0]), jnp.array([1.0, 0.1, -0.7]))
    w = jnp.array([1.0, 2.0, -1.0])
    _, forward = jax.jvp(y_of, (theta,), (v,))
    (backward,) = jax.vjp(y_of, theta)[1](w)
    np.testing.assert_allclose(
        jnp.vdot(w, forward), sum(jnp.vdot(a, b) for a, b in zip(v, backward, strict=True))
    )


def test_integer_leaves_are_allowed_beside_the_parameters():
    def solve(theta):
        return theta["a"] * theta["n"], None, None

    def residual(y, branch, theta):
        return y - theta["a"] * theta["n"]

    def loss(theta):
        return jnp.sum(root(residual, solve, theta, tangent_solve=diagonal)[0])

    gradient = jax.grad(loss, allow_int=True)({"a": jnp.array([2.0]), "n": jnp.array([3])})
    np.testing.assert_allclose(gradient["a"], [3.0])
