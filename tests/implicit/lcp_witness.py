"""Other ways to solve and to differentiate a complementarity problem, to compare with."""

import itertools

import numpy as np


def enumerated(M, q, tolerance=1e-9):
    """All solutions z, by trying each of the 2^n active sets; [k, n]."""
    n = len(q)
    active = np.array(list(itertools.product([False, True], repeat=n)))
    J = np.where(active[:, :, None], M, np.eye(n))
    regular = np.abs(np.linalg.det(J)) > 1e-12
    active, J = active[regular], J[regular]
    z = np.linalg.solve(J, np.where(active, -q, 0.0)[..., None])[..., 0]
    good = np.minimum(z, z @ M.T + q).min(axis=1) > -tolerance
    z = z[good]
    return z[np.unique(np.round(z, 6), axis=0, return_index=True)[1]]


def pseudo_inverse_jvp(M, q, z, dM, dq):
    """The common form dz = −pinv(diag(w) + diag(z) M) (z · (dM z + dq)): badly scaled and slow."""
    w = M @ z + q
    return -np.linalg.pinv(np.diag(w) + np.diag(z) @ M) @ (z * (dM @ z + dq))


def is_p_matrix(M):
    """Whether all principal minors are positive."""
    n = len(M)
    return all(
        np.linalg.det(M[np.ix_(rows, rows)]) > 0
        for k in range(1, n + 1)
        for rows in map(list, itertools.combinations(range(n), k))
    )
