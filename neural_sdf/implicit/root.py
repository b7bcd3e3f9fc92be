"""Roots of equations as differentiable functions of what the equation depends on.

Invariant: for y(θ) with F(y(θ), b, θ) = 0, the branch b frozen,

    ∂F/∂y · dy = −∂F/∂θ · dθ                                    (implicit function theorem)

whatever algorithm found y. Nothing is unrolled and the algorithm is never differentiated.

The rule below is *recursive*: it takes y from the differentiable function itself, so when the rule
is differentiated, y carries its own derivative, and so on at every order. A rule that calls the
bare solver instead gives the right first derivative and a silently wrong second one. Reverse mode
is JAX's transposition of this linear rule, hence `custom_jvp` and not `custom_vjp`, which forbids
forward mode.

`root` is all there is to it; the ray hit and the closest approach (`neural_sdf.tracing`) and the
linear complementarity problem (`implicit.lcp`) are three residuals for it. docs/implicit.md derives
the rule and builds one more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.core import Tracer, eval_jaxpr
from jax.flatten_util import ravel_pytree

from neural_sdf.implicit.seal import sealed

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

    Works under `jit`, `vmap` and `shard_map`. Traced floats that `residual` and `solve` capture are
    differentiated as if they stood in `theta`; traced integers and booleans must stand there.

    Args:
        residual: F(y, branch, theta), of y's structure; smooth in y and theta for a fixed branch.
        solve: finds (y, branch, stats) from `theta` by any means, `while_loop` included.
        theta: what the answer depends on, any tree of arrays; integers have no derivative.
        tangent_solve: (linear, b, branch) -> v with linear(v) = b; must itself be linear in b, so
            that JAX can transpose it, and capture nothing traced. For one independent unknown a
            row: `diagonal`; for coupled unknowns: `dense`.

    Returns:
        y: the solution, differentiable.
        branch: the discrete choices of the solver (which case, which side) and other values that
            the derivative takes as constants.
        stats: anything else worth knowing about the solve; constant for derivatives.

    Raises:
        TypeError: a captured traced integer or boolean; an unknown that is not real and floating,
            or a residual that has not its structure; a
            derivative of a reverse-mode derivative through a loop, where JAX 0.10 drops the rule.
    """
    found, known_to_solve, (y, branch, _) = _open(solve, "solve", theta)
    equation, known_to_residual, value = _open(residual, "residual", y, branch, theta)
    _check_structure(y, value)

    @jax.custom_jvp
    def solution(arguments: tuple[Tree, Tree, Tree]) -> tuple[Tree, Tree, Tree]:
        # Whoever differentiates this has lost the rule below, and would get zero. The seal says it.
        theta, known_to_solve, _ = lax.stop_gradient(sealed(arguments))
        y, branch, stats = found(theta, known_to_solve)
        return y, lax.stop_gradient(branch), lax.stop_gradient(stats)

    @solution.defjvp
    def implicit_rule(primals: tuple[Tree], tangents: tuple[Tree]) -> tuple[Tree, Tree]:
        y, branch, stats = solution(*primals)
        branch, stats = lax.stop_gradient((branch, stats))

        def at(y: Tree, arguments: tuple[Tree, Tree, Tree]) -> Tree:
            theta, _, known_to_residual = arguments
            return equation(y, branch, theta, known_to_residual)

        def linear(v: Tree) -> Tree:
            return jax.jvp(lambda y: at(y, *primals), (y,), (v,))[1]

        _, b = jax.jvp(lambda arguments: at(y, arguments), primals, tangents)
        v = tangent_solve(linear, b, branch)
        y_dot = jax.tree.map(jnp.negative, v)
        return (y, branch, stats), (y_dot, *jax.tree.map(_zero_tangent, (branch, stats)))

    return solution((theta, known_to_solve, known_to_residual))


def diagonal(linear: LinearMap, b: Tree, branch: Tree) -> Tree:
    """Solves row by row, where row i of the residual depends on unknown i alone.

    One application of the linear map to a vector of ones then gives its whole diagonal. Rows that
    are coupled (batch statistics, say) give a wrong answer without an error; use `dense` for them.
    """
    del branch
    slopes = linear(jax.tree.map(jnp.ones_like, b))
    return jax.tree.map(jnp.divide, b, slopes)


def dense(linear: LinearMap, b: Tree, branch: Tree) -> Tree:
    """Solves a coupled system of n unknowns by n applications of the linear map and an LU.

    A singular map gives infinity or NaN: the equation does not determine the derivative.
    """
    del branch
    flat, unravel = ravel_pytree(b)
    columns = jax.vmap(lambda v: ravel_pytree(linear(unravel(v)))[0], out_axes=1)
    # Not `eye`: inside shard_map the unit vectors must vary over devices as b does.
    return unravel(jnp.linalg.solve(columns(jnp.diag(jnp.ones_like(flat))), flat))


def _open(
    function: Callable[..., Any], name: str, *examples: Tree
) -> tuple[Callable[..., Any], list[Array], Tree]:
    """The function with the traced floats that it captured as one more argument, and these.

    A custom derivative may not close over what is being differentiated. The function is traced
    here and never again: what is called later is its jaxpr. Integers are not lifted; left inside,
    they would fail far from here, or only in some orders of `jit` and `grad`.

    Returns:
        (*arguments, captured) -> what the function gives; what it captured; the shapes it gives.
    """
    traced, shapes = jax.make_jaxpr(function, return_shape=True)(*examples)
    structure = jax.tree.structure(shapes)
    lifted = [isinstance(constant, Tracer) for constant in traced.consts]
    captured = [x for x, traced_ in zip(traced.consts, lifted, strict=True) if traced_]
    for constant in captured:
        if not jnp.issubdtype(constant.dtype, jnp.inexact):
            raise TypeError(
                f"{name} of root captures a traced {constant.dtype} of shape {constant.shape}; "
                "expected to find traced integers and booleans in theta; add it to theta and read "
                "it from there"
            )

    def opened(*arguments: Tree) -> Tree:
        given = iter(arguments[-1])
        constants = [
            next(given) if lift else constant
            for constant, lift in zip(traced.consts, lifted, strict=True)
        ]
        leaves = eval_jaxpr(traced.jaxpr, constants, *jax.tree.leaves(arguments[:-1]))
        return jax.tree.unflatten(structure, leaves)

    return opened, captured, shapes


def _check_structure(y: Tree, value: Tree) -> None:
    """Refuses an unknown that is not real, and a residual that is not one equation for each."""
    kinds = [jax.tree.map(lambda x: f"{x.dtype}{list(x.shape)}", tree) for tree in (y, value)]
    if not all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(y)):
        raise TypeError(
            f"solve of root gives an unknown of {kinds[0]}; expected real floating-point numbers; "
            "split complex ones into real and imaginary parts, and return integers as branch"
        )
    if kinds[0] != kinds[1]:
        raise TypeError(
            f"residual of root gives {kinds[1]} for an unknown of {kinds[0]}; expected the same "
            "structure, shapes and dtypes; write one equation for each unknown"
        )


def _zero_tangent(x: Any) -> Any:
    return jax.custom_derivatives.zero_from_primal(x)
