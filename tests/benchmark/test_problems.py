"""Complementarity: the loop's Lemke method, and the figure."""

import itertools

import numpy as np
import pytest
from problems import complementarity, numpy_lemke


@pytest.mark.parametrize("seed", range(5))
def test_lemke_is_right_by_enumeration_of_what_is_active(seed):
    random = np.random.default_rng(seed)
    A = random.normal(size=(4, 4))
    M, q = A @ A.T + 0.1 * np.eye(4), random.normal(size=4)
    solutions = []
    for active in itertools.product([False, True], repeat=4):
        z, on = np.zeros(4), np.array(active)
        if on.any():
            z[on] = np.linalg.solve(M[np.ix_(on, on)], -q[on])
        if (z >= 0).all() and (M @ z + q >= -1e-12).all():
            solutions.append(z)
    (expected,) = solutions
    np.testing.assert_allclose(numpy_lemke(M, q), expected, atol=1e-10)


def test_figure_is_of_one_call_against_the_loop():
    batch, loop = complementarity(count=8)
    assert (batch.key, loop.key) == ("complementarity.batch", "complementarity.numpy_loop")
    assert np.isfinite([*batch.value, *loop.value]).all()
    assert loop.ratio is not None and loop.ratio.least > 0
