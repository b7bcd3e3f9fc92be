"""Numbers that may be used but not differentiated, and say so.

`lax.stop_gradient` answers "zero"; this answers with an error. `root` needs it for JAX 0.10 and
0.11, which lose custom rules in a loop; 0.12 keeps them, and with it as the least release this can
be deleted.
"""

from __future__ import annotations

from typing import Any, NoReturn

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir


def sealed(tree: Any) -> Any:
    """The same tree; a derivative with respect to its floating-point numbers raises TypeError."""

    def seal(x: Any) -> Any:
        return _sealed.bind(x) if jnp.issubdtype(jnp.result_type(x), jnp.floating) else x

    return jax.tree.map(seal, tree)


def _refuse(primals: Any, tangents: Any) -> NoReturn:
    raise TypeError(
        "the rule of implicit.root is lost here: this derivative follows a reverse-mode derivative "
        "of a lax.scan, lax.map or fori_loop around the root, in which JAX 0.10 and 0.11 inline "
        "custom_jvp functions; expected all but the outermost derivative in forward mode; use "
        "jax.grad of jax.jvp, or jax.jacfwd of jax.jacfwd, or unroll the loop"
    )


_sealed = Primitive("sealed")
_sealed.def_impl(lambda x: x)
_sealed.def_abstract_eval(lambda x: x)
mlir.register_lowering(_sealed, lambda context, x: [x])
ad.primitive_jvps[_sealed] = _refuse
batching.primitive_batchers[_sealed] = lambda args, axes: (_sealed.bind(*args), axes[0])
