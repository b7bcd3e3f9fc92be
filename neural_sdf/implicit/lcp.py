"""The linear complementarity problem, differentiable: 0 ≤ z ⟂ Mz + q ≥ 0.

With the active set a = {i : z_i > 0} frozen, z solves the square system

    (Mz + q)_i = 0 for i in a,    z_i = 0 for the others,

which is what `root` differentiates: J = diag(1 − s) + diag(s) M with s the indicator of a, and
J dz = −s (dM z + dq), solved by LU. A solver need find no more than the active set.

Where z_i = w_i = 0 (a tie) z has one derivative on either side. The convention here is *inactive*:
such an i is taken as z_i = 0, so that the derivative is that of moving z_i's constraint out of the
way; with one tie it is exactly one of the two one-sided derivatives.

Theory: Cottle, Pang and Stone, "The Linear Complementarity Problem" (1992). M is a P-matrix if and
only if there is one solution for every q.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.scipy.linalg import lu_factor, lu_solve
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Int

from neural_sdf.implicit.root import dense, root

SOLVED = 0
"""z and w satisfy the problem to rounding."""
RAY = 1
"""Lemke's method ended on a ray: no solution was found; for the classes it serves there is none."""
LIMIT = 2
"""The step limit came first, or rounding errors won."""
NOT_FINITE = 3
"""M or q holds NaN or infinity."""
_ACTIVE = 4  # within a loop only

MOST_FOR_LEMKE = 32  # beyond, an interior-point method is faster and sees no exponential worst case


class LCP(NamedTuple):
    """The solution of one problem, or of a batch.

    Attributes:
        z: non-negative; zero where the problem is not solved; differentiable, [..., n].
        w: Mz + q, non-negative where the problem is solved; differentiable, [..., n].
        status: SOLVED, RAY, LIMIT or NOT_FINITE, [...].
        residual: max |min(z, Mz + q)|, the natural residual; constant for derivatives, infinite
            for NOT_FINITE, [...].
    """

    z: Float[Array, "*batch n"]
    w: Float[Array, "*batch n"]
    status: Int[Array, "*batch"]
    residual: Float[Array, "*batch"]


def lcp(M: ArrayLike, q: ArrayLike, *, method: str | None = None) -> LCP:
    """Solves 0 ≤ z, w = Mz + q ≥ 0, zᵀw = 0, differentiable in M and q at every order.

    >>> M, q = jnp.array([[1.0, 0.0], [2.0, 1.0]]), jnp.array([-8.0, -12.0])
    >>> found = lcp(M, q)
    >>> print(found.z, found.w)
    [8. 0.] [0. 4.]
    >>> print(jax.grad(lambda q: lcp(M, q).w[1])(q))
    [-2.  1.]

    Args:
        M: any square matrix, [..., n, n].
        q: [..., n]; leading axes of both are batches and broadcast.
        method: "lemke", the lexicographic complementary pivoting of Lemke (1965), finite and right
            for P-matrices and strictly copositive M, exponential at worst; or "interior", a
            primal-dual path follower for positive semi-definite M and most P-matrices. By default
            Lemke up to n = 32.

    Returns:
        An `LCP`. A problem that was not solved has a status that says so, z = 0 and zero
        derivatives of z (w = q then, and moves with q). Where M restricted to the active set is
        singular, z is one of many and has no derivative: what comes out is not finite, or huge.

    Raises:
        ValueError: shapes that are no problem, or an unknown method.
    """
    M, q = jnp.asarray(M), jnp.asarray(q)
    dtype = jnp.result_type(M, q, float)
    n = q.shape[-1] if q.ndim else 0
    if n < 1 or M.shape[-2:] != (n, n):
        raise ValueError(
            f"lcp got M of shape {M.shape} and q of shape {q.shape}; expected [..., n, n] and "
            "[..., n] with n of at least 1; transpose or reshape them"
        )
    method = method or ("lemke" if n <= MOST_FOR_LEMKE else "interior")
    if method not in METHODS:
        raise ValueError(
            f"lcp method {method!r} is unknown; expected one of {sorted(METHODS)}; leave it out "
            "to choose by size"
        )

    def one(M: Array, q: Array) -> LCP:
        return _solve_one(M, q, method)

    batched = jnp.vectorize(one, signature="(n,n),(n)->(n),(n),(),()")
    return LCP(*batched(M.astype(dtype), q.astype(dtype)))


def _solve_one(M: Array, q: Array, method: str) -> LCP:
    def solve(theta: tuple[Array, Array]) -> tuple[Array, Array, Array]:
        M, q = theta
        finite = jnp.isfinite(M).all() & jnp.isfinite(q).all()
        M = jnp.where(finite, M, jnp.eye(len(q), dtype=M.dtype))
        q = jnp.where(finite, q, 1.0)
        # Units in which M and q are about 1: the tolerances below are then numbers.
        unit = _units(M)
        M, q = M * unit * unit[:, None], q * unit
        q_unit = jnp.max(jnp.abs(q))
        q_unit = jnp.where(q_unit > 0, q_unit, 1.0)
        q = q / q_unit
        z, active, status = _polish(M, q, *METHODS[method](M, q))
        residual = _natural_residual(M, q, z)
        inaccurate = (status == SOLVED) & ~(residual <= jnp.sqrt(jnp.finfo(M.dtype).eps))
        status = jnp.where(inaccurate, LIMIT, status)
        status = jnp.where(finite, status, NOT_FINITE)
        solved = status == SOLVED
        active, z = active & solved, jnp.where(solved, z, 0.0)
        return z * unit * q_unit, active, status.astype(jnp.int32)

    def residual(z: Array, active: Array, theta: tuple[Array, Array]) -> Array:
        M, q = theta
        return jnp.where(active, M @ z + q, z)

    with jax.default_matmul_precision("highest"):
        z, active, status = root(residual, solve, (M, q), tangent_solve=dense)
        w = jnp.where(active, 0.0, M @ z + q)
        error = lax.stop_gradient(_natural_residual(M, q, z))
    return LCP(z, w, status, jnp.where(status == NOT_FINITE, jnp.inf, error))


def _units(M: Float[Array, "n n"]) -> Float[Array, " n"]:
    """Lengths d for z = d z' and w = w'/d, by which d M d has ones on its diagonal.

    Where the diagonal is not positive all alike, by the greatest entry.
    """
    diagonal = jnp.diagonal(M)
    greatest = jnp.max(jnp.abs(M))
    greatest = jnp.where(greatest > 0, greatest, 1.0)
    scales = jnp.where((diagonal > 0).all(), diagonal, greatest)
    return 1 / jnp.sqrt(scales)


def _natural_residual(M: Array, q: Array, z: Array) -> Array:
    return jnp.max(jnp.abs(jnp.minimum(z, M @ z + q)))


def _polish(
    M: Float[Array, "n n"],
    q: Float[Array, " n"],
    z: Float[Array, " n"],
    active: Bool[Array, " n"],
    status: Int[Array, ""],
) -> tuple[Array, Array, Array]:
    """One LU solve on the active set, which then leaves out its ties: z_i = 0 to rounding."""
    polished, active = _on_active_set(M, q, z, active)
    least = _rounding(z)
    better = _natural_residual(M, q, polished) <= jnp.maximum(_natural_residual(M, q, z), least)
    return jnp.where(better, polished, z), active, status


def _on_active_set(M: Array, q: Array, z: Array, active: Array) -> tuple[Array, Array]:
    """The solution of (Mz + q)_i = 0 on the active set, and those of the set that are positive.

    Where M is singular there, the z that is known decides.
    """
    J = jnp.where(active[:, None], M, jnp.eye(len(q), dtype=M.dtype))
    solution = jnp.linalg.solve(J, jnp.where(active, -q, 0.0))
    positive = jnp.where(jnp.isfinite(solution).all(), solution, z) > _rounding(z)
    return jnp.where(active & positive, solution, 0.0), active & positive


def _rounding(z: Array) -> Array:
    """What z may be off by, and a tie is told by."""
    return 1e3 * jnp.finfo(z.dtype).eps * jnp.maximum(jnp.max(jnp.abs(z)), 1.0)


def _lemke(M: Array, q: Array) -> tuple[Array, Array, Array]:
    """Complementary pivoting on w − Mz − e z₀ = q with the covering vector e = (1, …, 1).

    Variables are numbered w: 0 … n − 1, z: n … 2n − 1, z₀: 2n. What is kept is [B⁻¹q, B⁻¹] of the
    basis matrix B. The leaving row is the lexicographically least of the candidates' rows, which
    excludes cycling (Cottle, Pang and Stone 1992, section 4.9).

    Returns:
        z, active, status.
    """
    n, dtype = len(q), M.dtype
    tiny = 100 * float(jnp.finfo(dtype).eps)
    artificial = 2 * n
    eye = jnp.eye(n, dtype=dtype)
    columns = jnp.concatenate([eye, -M, -jnp.ones((n, 1), dtype)], axis=1)

    def pivot(kept: Array, basis: Array, row: Array, entering: Array) -> tuple[Array, Array]:
        column = _entering_column(kept, columns[:, entering])
        here = jnp.arange(n) == row
        scaled = kept[row] / column[row]
        rest = kept - column[:, None] * scaled
        return jnp.where(here[:, None], scaled, rest), jnp.where(here, entering, basis)

    def unfinished(carry: tuple) -> Array:
        return carry[-1] == _ACTIVE

    def advance(carry: tuple) -> tuple:
        step, kept, basis, entering, _ = carry
        column = _entering_column(kept, columns[:, entering])
        candidates = column > tiny
        row = _least_row(kept / jnp.where(candidates, column, 1.0)[:, None], candidates, tiny)
        leaving = basis[row]
        status = jnp.where(step < 100 * n, _ACTIVE, LIMIT)
        status = jnp.where(leaving == artificial, SOLVED, status)
        status = jnp.where(candidates.any(), status, RAY)
        complement = jnp.where(leaving < n, leaving + n, leaving - n)
        return step + 1, *pivot(kept, basis, row, entering), complement, status

    kept = jnp.concatenate([q[:, None], eye], axis=1)
    # Made from q, so that they vary over devices as it does under shard_map.
    basis = jnp.arange(n) + jnp.zeros_like(q, jnp.int32)
    first = _least_row(kept, jnp.ones_like(q, bool), tiny)
    started = pivot(kept, basis, first, jnp.int32(artificial))
    trivial = q.min() >= 0
    status = jnp.where(trivial, SOLVED, _ACTIVE)
    carry = lax.while_loop(unfinished, advance, (jnp.int32(1), *started, first + n, status))
    _, kept, basis, _, status = carry
    basic = (basis[:, None] == n + jnp.arange(n)) & ~trivial
    return jnp.sum(kept[:, :1] * basic, axis=0), basic.any(axis=0), status


def _entering_column(kept: Float[Array, "n k"], column: Float[Array, " n"]) -> Float[Array, " n"]:
    """B⁻¹ times a column, as a sum: small batched products are slow on CPUs."""
    return jnp.sum(kept[:, 1:] * column, axis=1)


def _least_row(
    rows: Float[Array, "n k"], candidates: Bool[Array, " n"], tolerance: float
) -> Int[Array, ""]:
    """The lexicographically least of the candidate rows."""

    def undecided(carry: tuple[Array, Array]) -> Array:
        column, left = carry
        return (column < rows.shape[1]) & (left.sum() > 1)

    def narrow(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        column, left = carry
        values = jnp.where(left, rows[:, column], jnp.inf)
        return column + 1, left & (values <= values.min() + tolerance)

    _, left = lax.while_loop(undecided, narrow, (jnp.int32(0), candidates))
    return jnp.argmax(left)


def _interior(M: Array, q: Array) -> tuple[Array, Array, Array]:
    """Mehrotra's predictor and corrector on the central path z_i w_i = μ, from an infeasible start.

    Each step solves (M + diag(w/z)) dz = r/z + (w − Mz − q), twice with one factorisation (Wright,
    "Primal-Dual Interior-Point Methods" 1997, chapter 10).

    Returns:
        z, active, status.
    """
    n, dtype = len(q), M.dtype
    eps = float(jnp.finfo(dtype).eps)
    enough = (eps**1.5, 10 * n * eps)  # of the mean product and, relative to z, of feasibility

    def gap(z: Array, w: Array) -> tuple[Array, Array]:
        return z @ w / n, w - M @ z - q

    def unfinished(carry: tuple) -> Array:
        step, z, w, stuck = carry
        mean, infeasible = gap(z, w)
        error = jnp.max(jnp.abs(infeasible)) / jnp.maximum(1, jnp.max(z))
        return (step < 60) & ~stuck & ((mean > enough[0]) | (error > enough[1]))

    def advance(carry: tuple) -> tuple:
        step, z, w, _ = carry
        mean, infeasible = gap(z, w)
        factors = lu_factor(M + jnp.diag(w / z))

        def direction(product: Array) -> tuple[Array, Array]:
            """Towards z w = z w + product, and feasible."""
            dz = lu_solve(factors, product / z + infeasible)
            return dz, M @ dz - infeasible

        def length(dz: Array, dw: Array) -> Array:
            x, dx = jnp.concatenate([z, w]), jnp.concatenate([dz, dw])
            return jnp.min(jnp.where(dx < 0, -x / jnp.where(dx < 0, dx, 1.0), jnp.inf))

        dz, dw = direction(-z * w)
        most = jnp.minimum(length(dz, dw), 1.0)
        left = (z + most * dz) @ (w + most * dw) / n / mean
        centring = jnp.clip(left, 0, 1) ** 3  # by rounding it may be millions, far from the path
        dz, dw = direction(centring * mean - z * w - dz * dw)
        most = jnp.minimum(0.995 * length(dz, dw), 1.0)
        # Where M is singular on the active set, so is the system in the end: the last step stands.
        stuck = ~(jnp.isfinite(dz).all() & jnp.isfinite(dw).all() & (most > 0))
        z, w = (jnp.where(stuck, x, x + most * dx) for x, dx in ((z, dz), (w, dw)))
        return step + 1, z, w, stuck

    ones = jnp.ones_like(q)
    start = (jnp.int32(0), ones, ones, jnp.zeros_like(q[0], bool))
    _, z, w, _ = lax.while_loop(unfinished, advance, start)
    # Near a tie z > w may be a wrong guess, which its solution corrects. Whether z is one at all,
    # the natural residual tells: rounding may hold the path back.
    return z, _on_active_set(M, q, z, z > w)[1], jnp.int32(SOLVED)


METHODS = {"lemke": _lemke, "interior": _interior}
