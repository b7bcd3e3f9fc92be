"""Roots of equations as differentiable functions of what the equation depends on.

Invariant: for y(θ) with F(y(θ), b, θ) = 0, the branch b frozen,

    ∂F/∂y · dy = −∂F/∂θ · dθ                                    (implicit function theorem)

whatever algorithm found y. Nothing is unrolled and the algorithm is never differentiated.

The rule below is *recursive*: it takes y from the differentiable function itself, so when the rule
is differentiated, y carries its own derivative, and so on at every order. A rule that calls the
bare solver instead gives the right first derivative and a silently wrong second one. Reverse mode
is JAX's transposition of this linear rule, hence `custom_jvp` and not `custom_vjp`, which forbids
forward mode.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

Tree = Any
LinearMap = Callable[[Tree], Tree]


def root(
    residual: Callable[[Tree, Tree, Tree], Tree],
    solve: Callable[[Tree], tuple[Tree, Tree, Tree]],
    theta: Tree,
    *,
    tangent_solve: Callable[[LinearMap, Tree, Tree], Tree],
) -> tuple[Tree, Tree, Tree]:
    """The solution y of residual(y, branch, theta) = 0, differentiable in `theta` at every order.

    >>> square_root = lambda a: root(
    ...     lambda y, branch, a: y * y - a,
    ...     lambda a: (jnp.sqrt(a), None, None),
    ...     a,
    ...     tangent_solve=diagonal,
    ... )[0]
    >>> [float(f(4.0)) for f in (square_root, jax.grad(square_root), jax.hessian(square_root))]
    [2.0, 0.25, -0.03125]

    Args:
        residual: F(y, branch, theta), of y's structure; smooth in y and theta for a fixed branch.
        solve: finds (y, branch, stats) from `theta` by any means, `while_loop` included.
        theta: every array the answer depends on; neither function may capture a traced one.
        tangent_solve: (linear, b, branch) -> v with linear(v) = b; must itself be linear in b, so
            that JAX can transpose it. For one independent unknown a row: `diagonal`.

    Returns:
        y: the solution, differentiable.
        branch: the discrete choices of the solver (which case, which side) and other values that
            the derivative takes as constants.
        stats: anything else worth knowing about the solve; constant for derivatives.
    """

    @jax.custom_jvp
    def solution(theta: Tree) -> tuple[Tree, Tree, Tree]:
        y, branch, stats = solve(lax.stop_gradient(theta))
        return y, lax.stop_gradient(branch), lax.stop_gradient(stats)

    @solution.defjvp
    def implicit_rule(primals: tuple[Tree], tangents: tuple[Tree]) -> tuple[Tree, Tree]:
        (theta,), (theta_dot,) = primals, tangents
        y, branch, stats = solution(theta)
        branch, stats = lax.stop_gradient((branch, stats))
        _, b = jax.jvp(lambda theta: residual(y, branch, theta), (theta,), (theta_dot,))

        def linear(v: Tree) -> Tree:
            return jax.jvp(lambda y: residual(y, branch, theta), (y,), (v,))[1]

        v = tangent_solve(linear, b, branch)
        y_dot = jax.tree.map(jnp.negative, v)
        return (y, branch, stats), (y_dot, *jax.tree.map(_zero_tangent, (branch, stats)))

    return solution(theta)


def diagonal(linear: LinearMap, b: Array, branch: Tree) -> Array:
    """Solves row by row, where row i of the residual depends on unknown i alone.

    One application of the linear map to a vector of ones then gives its whole diagonal. Rows that
    are coupled (batch statistics, say) give a wrong answer without an error.
    """
    del branch
    return b / linear(jnp.ones_like(b))


def _zero_tangent(x: Array) -> Any:
    return jax.custom_derivatives.zero_from_primal(x)
