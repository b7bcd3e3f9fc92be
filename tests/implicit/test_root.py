import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from neural_sdf.implicit import dense, diagonal, root
from tests.cases import cases

pytestmark = pytest.mark.usefixtures("x64")


def cube_root(a):
    """y of y³ + b y = a for b = 1, by thirty Newton steps that no derivative sees."""

    def solve(theta):
        a, b = theta
        newton = lambda _, y: y - (y**3 + b * y - a) / (3 * y**2 + b)
        y = jax.lax.fori_loop(0, 30, newton, a / 2)
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


# ---- coupled unknowns


def kepler(theta):
    """Eccentric anomaly and radius of an orbit: two coupled equations, a dictionary of unknowns."""

    def solve(theta):
        mean, e = theta["mean"], theta["e"]
        E = jax.lax.fori_loop(0, 60, lambda _, E: mean + e * jnp.sin(E), mean)
        return {"E": E, "r": 1 - theta["e"] * jnp.cos(E)}, None, None

    def residual(y, branch, theta):
        return {
            "r": y["E"] - theta["e"] * jnp.sin(y["E"]) - theta["mean"],
            "E": y["r"] + theta["e"] * jnp.cos(y["E"]) - 1,
        }

    return root(residual, solve, theta, tangent_solve=dense)[0]


@pytest.mark.parametrize("order", cases([2], [3]))
def test_dense_solves_coupled_unknowns_at_every_order(order):
    theta = {"e": jnp.float64(0.4), "mean": jnp.float64(1.3)}
    y = kepler(theta)
    by_mean = jax.jacfwd(kepler)(theta)["E"]["mean"]
    np.testing.assert_allclose(by_mean, 1 / (1 - 0.4 * np.cos(y["E"])), rtol=1e-12)
    check_grads(jax.jit(kepler), (theta,), order=order, eps=1e-3, atol=1e-4, rtol=1e-4)


def test_dense_agrees_with_diagonal_where_rows_are_independent_and_only_there():
    def solved(tangent_solve, coupling):
        def y_of(a):
            mean = lambda y: coupling * jnp.mean(y)  # a statistic of the batch couples the rows
            solve = lambda a: (jnp.linalg.solve(jnp.eye(3) + coupling / 3, a), None, None)
            residual = lambda y, branch, a: y + mean(y) - a
            return root(residual, solve, a, tangent_solve=tangent_solve)[0]

        return jax.jacobian(y_of)(jnp.array([1.0, 2.0, 4.0]))

    np.testing.assert_allclose(solved(diagonal, 0.0), solved(dense, 0.0), atol=1e-14)
    truth = jnp.linalg.inv(jnp.eye(3) + 0.5 / 3)
    np.testing.assert_allclose(solved(dense, 0.5), truth, atol=1e-14)
    assert jnp.abs(solved(diagonal, 0.5) - truth).max() > 0.05


# ---- what the functions may capture


def captured_root(a, scale):
    """(a scale)^(1/2), with `scale` captured by both functions."""
    return root(
        lambda y, branch, a: y * y - a * scale,
        lambda a: (jnp.sqrt(a * scale), None, None),
        a,
        tangent_solve=diagonal,
    )[0]


TRANSFORMED = {
    "grad": lambda f: jax.grad(f),
    "jit of grad": lambda f: jax.jit(jax.grad(f)),
    "grad of jit": lambda f: jax.grad(jax.jit(f)),
    "jacfwd": lambda f: jax.jacfwd(f),
    "jacfwd of jit": lambda f: jax.jacfwd(jax.jit(f)),
    "vmap of grad": lambda f: lambda s: jax.vmap(jax.grad(f))(s[None])[0],
    "grad of vmap": lambda f: lambda s: jax.grad(lambda s: jax.vmap(f)(s[None])[0])(s),
}


@pytest.mark.parametrize("name", TRANSFORMED)
def test_captured_traced_floats_are_differentiated(name):
    a, scale = jnp.float64(2.0), jnp.float64(3.0)
    derive = TRANSFORMED[name]
    first = derive(lambda scale: captured_root(a, scale))(scale)
    np.testing.assert_allclose(first, 0.5 * (a / scale) ** 0.5, rtol=1e-12)
    second = derive(lambda scale: derive(lambda s: captured_root(a, s))(scale))(scale)
    np.testing.assert_allclose(second, -0.25 * a**0.5 * scale**-1.5, rtol=1e-12)


@pytest.mark.parametrize("kind", [jnp.int32, jnp.bool_])
@pytest.mark.parametrize("place", ["solve", "residual"])
def test_captured_traced_integers_are_refused_with_the_reason(place, kind):
    def loss(a, which):
        factor = lambda here: jnp.where(which == 1, 1.0, 2.0) if here == place else 1.0
        solve = lambda a: (jnp.sqrt(a) * factor("solve"), None, None)
        residual = lambda y, branch, a: y * y - a * factor("residual")
        return root(residual, solve, a, tangent_solve=diagonal)[0]

    with pytest.raises(TypeError, match=f"^{place} of root captures a traced .*add it to theta"):
        jax.jit(jax.grad(loss))(jnp.float64(4.0), kind(1))


@pytest.mark.parametrize("y", [1.0 + 1.0j, 3], ids=["complex", "integer"])
def test_an_unknown_that_is_not_real_is_refused(y):
    with pytest.raises(TypeError, match="expected real floating-point numbers"):
        root(lambda y, b, a: y - a, lambda a: (jnp.asarray(y), None, None), 1.0,
             tangent_solve=diagonal)  # fmt: skip


def test_a_residual_of_another_structure_is_refused():
    with pytest.raises(TypeError, match="one equation for each unknown"):
        root(
            lambda y, branch, a: jnp.stack([y, y]),
            lambda a: (a, None, None),
            jnp.float64(1.0),
            tangent_solve=diagonal,
        )


# ---- several devices


SHARDED = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, PartitionSpec as P
from neural_sdf.implicit import dense, diagonal, lcp, root
from neural_sdf.tracing import closest_approach, trace
jax.config.update("jax_enable_x64", True)
assert jax.device_count() == 4
mesh = jax.make_mesh((4,), ("rays",), axis_types=(AxisType.Auto,))

def square_root(a, scale):
    def solve(a):
        y = jax.lax.while_loop(
            lambda y: jnp.any(jnp.abs(y * y - a * scale) > 1e-13),
            lambda y: (y + a * scale / y) / 2, a)
        return y, y > 0, jnp.zeros(a.shape, jnp.int32)
    return root(lambda y, b, a: y * y - a * scale, solve, a, tangent_solve=SOLVER)[0]

def loss(scale, a):
    part = lambda scale, a: jax.lax.psum(jnp.sum(square_root(a, scale) ** 3), "rays")
    return jax.shard_map(part, mesh=mesh, in_specs=(P(), P("rays")), out_specs=P())(scale, a)

a, scale = jnp.linspace(1.0, 3.0, 16), jnp.float64(2.0)
alone = lambda scale, a: jnp.sum(square_root(a, scale) ** 3)
for SOLVER in (diagonal, dense):
    for derive in (jax.grad, jax.jacfwd):
        ours, truth = (jax.jit(derive(f, (0, 1)))(scale, a) for f in (loss, alone))
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-12), ours, truth)
    ours, truth = (jax.jit(jax.hessian(f))(scale, a) for f in (loss, alone))
    np.testing.assert_allclose(ours, truth, rtol=2e-12)

ball = lambda radius, points: jnp.linalg.norm(points, axis=-1) - radius
origins = jnp.stack([jnp.linspace(-1.2, 1.2, 16), jnp.zeros(16), jnp.full(16, -3.0)], axis=-1)
ahead = jnp.tile(jnp.array([0.0, 0.0, 1.0]), (16, 1))
far = dict(near=0.0, far=6.0)
RAYS = {
    "trace": lambda r, o: trace(ball, r, o, ahead[: len(o)], **far).t,
    "approach": lambda r, o: closest_approach(ball, r, o, ahead[: len(o)], **far).distance,
    "lemke": lambda r, q: lcp(r * jnp.eye(3) + 0.1, q, method="lemke").z,
    "interior": lambda r, q: lcp(r * jnp.eye(3) + 0.1, q, method="interior").z,
}
for name, function in RAYS.items():
    alone = lambda r, o: jnp.sum(jnp.sin(function(r, o)))
    part = lambda r, o: jax.lax.psum(alone(r, o), "rays")
    spread = jax.shard_map(part, mesh=mesh, in_specs=(P(), P("rays")), out_specs=P())
    ours, truth = (jax.jit(jax.grad(f, (0, 1)))(0.7, origins) for f in (spread, alone))
    for x, y in zip(ours, truth):
        np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-12, err_msg=name)
print("same on four devices")
"""


def test_root_is_the_same_on_one_device_and_sharded_over_four():
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=4"
    done = subprocess.run(
        [sys.executable, "-c", SHARDED],
        env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "same on four devices", done.stderr[-2000:]


# ---- within a loop


def looped(function):
    """Two turns of a scan, each through the root."""
    return lambda a: jax.lax.scan(lambda y, _: (function(y), None), a, jnp.arange(2))[0]


def second_derivatives(function):
    """By every order of forward and reverse mode that should work through a loop."""
    slope = lambda a: jax.jvp(function, (a,), (1.0,))[1]
    return (
        jax.jacfwd(jax.jacfwd(function))(2.5),
        jax.grad(slope)(2.5),
        jax.jit(jax.grad(slope))(2.5),
    )


def test_root_within_a_loop_is_differentiated_twice_with_forward_mode_inside():
    y_of = lambda a: cube_root((a, jnp.float64(1.0)))[0]
    unrolled = lambda a: y_of(y_of(a))
    np.testing.assert_allclose(jax.grad(looped(y_of))(2.5), jax.grad(unrolled)(2.5), rtol=1e-12)
    expected = jax.grad(jax.grad(unrolled))(2.5)
    np.testing.assert_allclose(second_derivatives(looped(y_of)), expected, rtol=1e-12)


LOOPS = {
    "scan": looped,
    "fori_loop": lambda f: lambda a: jax.lax.fori_loop(0, 2, lambda _, y: f(y), a),
    "map": lambda f: lambda a: f(jax.lax.map(f, jnp.stack([a]))[0]),
}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("outer", [jax.grad, jax.jacfwd])
def test_derivative_of_a_gradient_through_a_loop_is_right_or_refused(outer, loop):
    """JAX 0.10 and 0.11 drop the rule in reverse mode through a loop; this were 0 unrefused."""
    y_of = lambda a: cube_root((a, jnp.float64(1.0)))[0]
    expected = jax.grad(jax.grad(lambda a: y_of(y_of(a))))(2.5)
    try:
        second = outer(jax.grad(LOOPS[loop](y_of)))(2.5)
    except TypeError as error:
        assert re.search(r"rule .* is lost .* forward mode", str(error))
    else:
        np.testing.assert_allclose(second, expected, rtol=1e-12)
