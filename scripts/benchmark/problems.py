"""Complementarity problems in one call, against a loop over them."""

from __future__ import annotations

import jax
import numpy as np
from jax import Array
from measure import Row, alternating_times, compare

from neural_sdf.implicit import lcp


def complementarity(count: int = 256) -> list[Row]:
    """One call for a batch of complementarity problems, against a loop over them."""
    random = np.random.default_rng(0)
    A = random.normal(size=(count, 8, 8))
    M = A @ A.transpose(0, 2, 1) / 8 + 0.1 * np.eye(8) + (A - A.transpose(0, 2, 1)) / 2
    q = random.normal(size=(count, 8))

    def loop(M: Array, q: Array) -> np.ndarray:
        problems = zip(np.asarray(M), np.asarray(q), strict=True)
        return np.array([numpy_lemke(*problem) for problem in problems])

    with jax.enable_x64(True):
        problems = jax.device_put((M, q))
        batch = jax.jit(lambda M, q: lcp(M, q).z)
        if not np.abs(np.asarray(batch(*problems)) - loop(*problems)).max() < 1e-8:
            raise RuntimeError("implicit.lcp and the NumPy Lemke disagree; mend one of them")
        programs = {"batch": batch, "numpy_loop": loop}
        times = alternating_times(programs, problems, num_calls=5)
        return compare("complementarity", times, "ms")


def numpy_lemke(M: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The solution z of one solvable problem without ties, by Lemke's method in plain NumPy."""
    n = len(q)
    if q.min() >= 0:
        return np.zeros(n)
    tableau = np.hstack([np.eye(n), -M, -np.ones((n, 1)), q[:, None]])
    basis = np.arange(n)
    row, entering = int(np.argmin(q)), 2 * n
    while True:
        tableau[row] /= tableau[row, entering]
        others = np.arange(n) != row
        tableau[others] -= np.outer(tableau[others, entering], tableau[row])
        leaving, basis[row] = basis[row], entering
        if leaving == 2 * n:
            break
        entering = leaving + n if leaving < n else leaving - n
        column = tableau[:, entering]
        positive = column > 1e-12
        ratios = np.where(positive, tableau[:, -1] / np.where(positive, column, 1), np.inf)
        row = int(np.argmin(ratios))
    z = np.zeros(2 * n + 1)
    z[basis] = tableau[:, -1]
    return z[n : 2 * n]
