import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.implicit import lcp
from neural_sdf.implicit.lcp import LIMIT, NOT_FINITE, RAY, SOLVED
from tests.cases import cases
from tests.implicit.lcp_witness import enumerated, is_p_matrix, pseudo_inverse_jvp

METHODS = ("lemke", "interior")
SOLVE = {method: jax.jit(functools.partial(lcp, method=method)) for method in METHODS}


def p_problems(n, count=100, seed=0):
    """Non-symmetric P-matrices of two kinds, and q with about as many positive as negative."""
    random = np.random.default_rng([seed, n])
    A = random.normal(size=(count, n, n))
    definite = A @ A.transpose(0, 2, 1) / n + 0.1 * np.eye(n) + (A - A.transpose(0, 2, 1)) / 2
    rest = A - A * np.eye(n)
    margin = random.uniform(0.05, 1.0, (count, n))
    dominant = rest + np.eye(n) * (np.abs(rest).sum(axis=2) + margin)[:, :, None]
    M = np.where((np.arange(count) % 2 == 0)[:, None, None], definite, dominant)
    return M, random.normal(size=(count, n))


def natural_residual(M, q, z):
    return np.abs(np.minimum(z, np.einsum("...ij,...j->...i", M, z) + q)).max(axis=-1)


# ---- values


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", cases([8], [3]))
def test_solution_is_that_of_enumeration(n, method):
    M, q = p_problems(n)
    found = SOLVE[method](M, q)
    assert (found.status == SOLVED).all()
    for i in range(100):
        if i < 10:
            assert is_p_matrix(M[i])
        (truth,) = enumerated(M[i], q[i])
        np.testing.assert_allclose(found.z[i], truth, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(found.w, np.einsum("bij,bj->bi", M, found.z) + q, atol=1e-10)
    assert (found.z >= 0).all() and (found.w > -1e-12).all()


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", cases([20], [40]))
def test_natural_residual_is_at_rounding(n, method):
    M, q = p_problems(n)
    found = SOLVE[method](M, q)
    assert (found.status == SOLVED).all()
    assert natural_residual(M, q, np.asarray(found.z)).max() < 1e-10
    np.testing.assert_allclose(found.residual, natural_residual(M, q, found.z), atol=1e-12)


def murty(n):
    return np.eye(n) + 2 * np.tril(np.ones((n, n)), -1), -np.ones(n)


def fathi(n):
    L, q = murty(n)
    return L @ L.T, q


KNOWN = {
    "Murty, exponential, n = 8": (*murty(8), np.eye(8)[0]),
    "Fathi, n = 8": (*fathi(8), np.eye(8)[0]),
    "QuantEcon": ([[1, 0, 0], [2, 1, 0], [2, 2, 1]], [-8, -12, -14], [8, 0, 0]),
    "both active": ([[2, 1], [1, 2]], [-5, -6], [4 / 3, 7 / 3]),
    "Kostreva 1": ([[1, 2, 0], [0, 1, 2], [2, 0, 1]], [-1, -1, -1], [1 / 3, 1 / 3, 1 / 3]),
    "Murty 2.8": (
        [[1, -1, -1, -1], [-1, 1, -1, -1], [1, 1, 2, 0], [1, 1, 0, 2]],
        [3, 5, -9, -5],
        [2, 1, 3, 1],
    ),
    "Murty 2.11": ([[-1.5, 2], [-4, 4]], [-5, 17], [27, 22.75]),
    "nothing to do": ([[1, 2], [3, 4]], [0, 1], [0, 0]),
    "one": ([[2]], [-3], [1.5]),
}
FOR_LEMKE = {"Murty 2.11", "Murty 2.8"}  # not monotone: outside what the other method serves


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("name", "method"),
    [(name, "lemke") for name in KNOWN]
    + [(name, "interior") for name in KNOWN if name not in FOR_LEMKE],
)
def test_reference_problem_has_its_known_answer(name, method):
    M, q, z = (np.asarray(x, float) for x in KNOWN[name])
    found = SOLVE[method](M, q)
    assert found.status == SOLVED
    np.testing.assert_allclose(found.z, z, atol=1e-10)


@pytest.mark.usefixtures("x64")
def test_interior_point_solves_at_once_what_takes_pivoting_exponentially_long():
    for M, q in (murty(16), fathi(16)):
        np.testing.assert_allclose(SOLVE["interior"](M, q).z, np.eye(16)[0], atol=1e-8)
    assert SOLVE["lemke"](*murty(16)).status == LIMIT  # of 2^16 − 1 pivots


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("M", "q"),
    [
        ([[1, -1, 3], [2, -1, 3], [-1, -2, 0]], [-1, -1, -1]),  # Kostreva 2
        ([[-1, 0, -3], [1, -2, -5], [-2, -1, -2]], [-3, -2, -1]),  # Murty 2.9
        ([[0.0]], [-1.0]),
    ],
)
def test_a_problem_that_lemke_cannot_solve_has_a_status_and_no_number(M, q):
    M, q = np.array(M, float), np.array(q, float)
    found = SOLVE["lemke"](M, q)
    assert found.status == RAY
    assert (found.z == 0).all() and found.residual > 0.5
    assert SOLVE["interior"](M, q).status == LIMIT


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("n", cases([6], [2, 40]))
def test_interior_point_solves_singular_semi_definite_problems(n):
    """Rank one, rank n/2 and doubled rows, where z is one of many."""
    random = np.random.default_rng(n)
    A = random.normal(size=(50, n, n // 2))
    M = np.concatenate([A @ A.transpose(0, 2, 1), np.ones((1, n, n))])
    M[::2, -1], M[::2, :, -1] = M[::2, 0], M[::2, :, 0]
    M[::2, -1, -1] = M[::2, 0, 0]
    q = random.normal(size=(51, n))
    q = np.maximum(-np.einsum("bij,bj->bi", M, np.abs(q)), -5) + 0.01  # solvable
    q[::2, -1] = q[::2, 0]
    q[-1] = -1
    found = SOLVE["interior"](M, q)
    assert (found.status == SOLVED).all()
    assert natural_residual(M, q, np.asarray(found.z)).max() < 1e-7


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("method", METHODS)
def test_problems_in_mixed_units_are_solved(method):
    """Rows and columns scaled by 1e-4 to 1e4: forces and moments, say."""
    M, q = p_problems(6, seed=8)
    units = 10 ** np.random.default_rng(9).uniform(-4, 4, q.shape)
    scaled = SOLVE[method](M * units[:, None] * units[:, :, None], q * units)
    truth = SOLVE[method](M, q)
    assert (scaled.status == SOLVED).all()
    np.testing.assert_allclose(scaled.z * units, truth.z, rtol=1e-7, atol=1e-9)


@pytest.mark.usefixtures("x64")
def test_normal_matrices_are_often_unsolvable_and_the_status_tells():
    random = np.random.default_rng(0)
    M, q = random.normal(size=(1000, 3, 3)), random.normal(size=(1000, 3))
    found = SOLVE["lemke"](M, q)
    solved = np.asarray(found.status == SOLVED)
    assert set(np.unique(found.status)) == {SOLVED, RAY}
    assert natural_residual(M, q, np.asarray(found.z))[solved].max() < 1e-9
    solvable = np.array([len(enumerated(M[i], q[i])) > 0 for i in range(1000)])
    assert 0.4 < 1 - solvable.mean() < 0.5
    assert not (solved & ~solvable).any()


# ---- derivatives


def directions_of(M, q, seed=1):
    random = np.random.default_rng(seed)
    return random.normal(size=M.shape), random.normal(size=q.shape)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("n", "method"),
    cases([(8, "interior")], [(8, "lemke"), *((n, method) for n in (3, 20) for method in METHODS)]),
)
def test_first_derivatives_are_those_of_finite_differences(n, method):
    M, q = p_problems(n)
    dM, dq = directions_of(M, q)
    u, v = directions_of(q, q, seed=2)

    @jax.jit
    def value(M, q):
        found = lcp(M, q, method=method)
        return jnp.sum(u * found.z + v * found.w, axis=-1)

    step = 1e-6
    expected = (value(M + step * dM, q + step * dq) - value(M - step * dM, q - step * dq)) / (
        2 * step
    )
    scale = np.maximum(1, np.abs(expected))

    @jax.jit
    def derivatives(M, q):
        forward = jax.jvp(value, (M, q), (dM, dq))[1]
        return forward, jax.grad(lambda M, q: jnp.sum(value(M, q)), (0, 1))(M, q)

    forward, (by_M, by_q) = derivatives(M, q)
    backward = jnp.sum(by_M * dM, axis=(1, 2)) + jnp.sum(by_q * dq, axis=1)
    assert (np.abs(forward - expected) / scale).max() < 1e-6
    assert (np.abs(backward - expected) / scale).max() < 1e-6
    np.testing.assert_allclose(forward, backward, rtol=1e-9, atol=1e-10)


@pytest.mark.usefixtures("x64")
def test_second_derivatives_are_those_of_finite_differences():
    M, q = (jnp.asarray(x) for x in p_problems(4, count=20, seed=3))
    dM, dq = directions_of(M, q)
    u = np.random.default_rng(3).normal(size=q.shape)
    value = lambda M, q: jnp.sum(u * lcp(M, q).z, axis=-1)
    forward = lambda M, q: jax.jvp(value, (M, q), (dM, dq))[1]

    def reverse(M, q):
        by_M, by_q = jax.grad(lambda M, q: jnp.sum(value(M, q)), (0, 1))(M, q)
        return jnp.sum(by_M * dM, axis=(1, 2)) + jnp.sum(by_q * dq, axis=1)

    step, first = 1e-6, jax.jit(forward)
    expected = (first(M + step * dM, q + step * dq) - first(M - step * dM, q - step * dq)) / (
        2 * step
    )

    @functools.partial(jax.jit, static_argnums=0)
    def second(inner, M, q):
        forward = jax.jvp(inner, (M, q), (dM, dq))[1]
        return forward, jax.grad(lambda M, q: jnp.sum(inner(M, q)), (0, 1))(M, q)

    for inner in (forward, reverse):
        ours, (by_M, by_q) = second(inner, M, q)
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)
        ours = jnp.sum(by_M * dM, axis=(1, 2)) + jnp.sum(by_q * dq, axis=1)
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("x64")
def test_derivatives_have_their_closed_forms():
    M, q = np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([-5.0, -6.0])
    for derive in (jax.jacfwd, jax.jacrev):
        jacobian = jax.jit(derive(lambda M, q: lcp(M, q).z, (0, 1)))
        np.testing.assert_allclose(jacobian(M, q)[1], [[-2 / 3, 1 / 3], [1 / 3, -2 / 3]])
        by_M, by_q = jacobian(np.array([[2.0]]), np.array([-3.0]))
        np.testing.assert_allclose((by_M.item(), by_q.item()), (-0.75, -0.5), atol=1e-14)
        M3, q3, _ = (np.asarray(x, float) for x in KNOWN["QuantEcon"])
        by_M, by_q = jacobian(M3, q3)
        np.testing.assert_allclose((by_q[0, 0], by_M[0, 0, 0]), (-1.0, -8.0), atol=1e-13)
        assert (by_q[1:] == 0).all()


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
def test_the_pseudo_inverse_form_agrees_where_nothing_is_tied():
    M, q = p_problems(8, seed=4)
    dM, dq = directions_of(M, q)
    solution = lambda M, q: lcp(M, q).z
    z, ours = jax.jit(lambda M, q: jax.jvp(solution, (M, q), (dM, dq)))(M, q)
    theirs = [pseudo_inverse_jvp(*problem) for problem in zip(M, q, z, dM, dq, strict=True)]
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("method", cases(["lemke"], ["interior"]))
def test_at_a_tie_the_derivative_is_one_of_the_two_one_sided_ones(method):
    n, count = 4, 1000
    M, _ = p_problems(n, count=count, seed=5)
    random = np.random.default_rng(6)
    positive = random.uniform(0.5, 2.0, (count, n))
    in_z = random.uniform(size=(count, n)) < 0.5
    in_z[:, 0] = True
    z, w = np.where(in_z, positive, 0.0), np.where(in_z, 0.0, positive)
    z[:, 0] = 0.0  # and so has w: a tie
    q = w - np.einsum("bij,bj->bi", M, z)
    dM, dq = directions_of(M, q)
    solution = jax.jit(lambda M, q: lcp(M, q, method=method).z)
    ours = jax.jit(lambda M, q: jax.jvp(solution, (M, q), (dM, dq))[1])(M, q)
    step = 1e-7
    sides = [(solution(M + s * dM, q + s * dq) - z) / s for s in (step, -step)]
    errors = [np.abs(ours - side).max(axis=1) for side in sides]
    assert (np.minimum(*errors) < 1e-4 * np.maximum(1, np.abs(ours).max(axis=1))).all()
    assert (np.abs(sides[0] - sides[1]).max(axis=1) > 1e-3).mean() > 0.9  # they do differ
    # By convention a tied z stands still.
    np.testing.assert_allclose(ours[:, 0], 0, atol=1e-12)


@pytest.mark.usefixtures("x64")
def test_unsolved_problems_do_not_spoil_the_derivatives_of_their_batch():
    good, bad = np.eye(2), -np.eye(2)
    M, q = jnp.stack([good, bad]), -jnp.ones((2, 2))
    gradient = jax.jit(jax.grad(lambda M, q: jnp.sum(lcp(M, q).z), (0, 1)))(M, q)
    assert all(np.isfinite(leaf).all() for leaf in gradient)
    np.testing.assert_allclose(gradient[1], [[-1, -1], [0, 0]])


# ---- batches, precision, malformed problems


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("method", cases(["interior"], ["lemke"]))
def test_batch_vmap_loop_and_jit_agree(method):
    M, q = p_problems(5, count=12, seed=7)
    solution = jax.jit(lambda M, q: lcp(M, q, method=method).z)
    batch = lcp(M, q, method=method).z  # not compiled as one program
    np.testing.assert_allclose(jax.vmap(solution)(M, q), batch, atol=1e-13)
    np.testing.assert_allclose([solution(*p) for p in zip(M, q, strict=True)], batch, atol=1e-13)
    np.testing.assert_allclose(solution(M, q), batch, atol=1e-13)
    shaped = solution(M.reshape(3, 4, 5, 5), q.reshape(3, 4, 5))
    np.testing.assert_allclose(shaped.reshape(12, 5), batch, atol=1e-13)
    np.testing.assert_allclose(solution(M[0], q), [solution(M[0], x) for x in q], atol=1e-13)


@pytest.mark.parametrize("method", cases(["interior"], ["lemke"]))
@pytest.mark.parametrize(("n", "most"), cases([(8, 1e-4)], [(3, 1e-4), (20, 1e-3)]))
def test_single_precision_errs_by_a_known_amount(n, most, method):
    M, q = (x.astype(np.float32) for x in p_problems(n))
    found = SOLVE[method](M, q)
    assert found.z.dtype == jnp.float32 and (found.status == SOLVED).all()
    with jax.enable_x64(True):
        truth = np.asarray(SOLVE["lemke"](M.astype(float), q.astype(float)).z)
    scale = np.maximum(1, np.abs(truth).max(axis=1))
    error = np.abs(found.z - truth).max(axis=1) / scale
    print(f"n {n} {method}: median {np.median(error):.1e}, greatest {error.max():.1e}")
    assert error.max() < most


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_have_a_status(value):
    M, q = np.stack([np.eye(2)] * 3), -np.ones((3, 2))
    M[0, 0, 1], q[1, 0] = value, value
    for method in METHODS:
        found = SOLVE[method](M, q)
        np.testing.assert_array_equal(found.status, [NOT_FINITE, NOT_FINITE, SOLVED])
        assert np.isfinite(found.z).all()
        assert np.isinf(found.residual[:2]).all() and found.residual[2] < 1e-6


@pytest.mark.parametrize(
    ("M", "q"),
    [(np.eye(3), np.ones(2)), (np.ones((2, 3)), np.ones(3)), (np.eye(2), 1.0), (3.0, np.ones(1))],
)
def test_shapes_that_are_no_problem_are_refused(M, q):
    with pytest.raises(ValueError, match=r"expected \[..., n, n\] and \[..., n\]"):
        lcp(M, q)


def test_an_unknown_method_is_refused_with_the_choices():
    with pytest.raises(ValueError, match=r"expected one of \['interior', 'lemke'\]"):
        lcp(np.eye(2), np.ones(2), method="simplex")
