"""What a field is, and how a Flax module becomes one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array


def _unchanged(updates: Any, share: Array) -> Any:
    return updates


def _none(params: Any) -> Any:
    return jax.tree.map(lambda _: False, params)


class Field(NamedTuple):
    """A learned shape and its colour, as a tuple of pure functions of (params, ...).

    Distances are in scene units, negative inside; N is any number of points.

    Attributes:
        init: key -> params, a tree of plain dictionaries and arrays.
        sdf: (params, points [N, 3]) -> distances [N]; what the tracer marches on.
        surface: (params, points [N, 3]) -> (distance [N], gradient [N, 3], feature [N, F]) in one
            pass; the gradient is not normalised.
        radiance: (params, points [N, 3], gradients [N, 3], directions [N, 3], features [N, F]) ->
            rgb [N, 3] in [0, 1]; directions are those of the rays, towards the surface.
        anneal: (updates, share of the run in [0, 1], []) -> updates, of the structure of params:
            what of an update may already be done; all of it at a share of 1. What is held back
            need not be remembered by a checkpoint.
        window: (params, share of the run in [0, 1], []) -> params as the other functions take them:
            what of them acts already; all of it at a share of 1.
        painted: params -> a tree of booleans: which of them store, place by place, what colour
            alone reads. Weight decay acts on those.
    """

    init: Callable[[Array], Any]
    sdf: Callable[[Any, Array], Array]
    surface: Callable[[Any, Array], tuple[Array, Array, Array]]
    radiance: Callable[[Any, Array, Array, Array, Array], Array]
    anneal: Callable[[Any, Array], Any] = _unchanged
    window: Callable[[Any, Array], Any] | None = None
    painted: Callable[[Any], Any] = _none

    def at(self, share: Array) -> Field:
        """The field as it acts when a share of the run in [0, 1] is done, [].

        Its functions take the same params, those of the whole field.
        """
        if self.window is None:
            return self
        window = self.window
        return self._replace(
            sdf=lambda params, *points: self.sdf(window(params, share), *points),
            surface=lambda params, *points: self.surface(window(params, share), *points),
            radiance=lambda params, *seen: self.radiance(window(params, share), *seen),
            window=None,
        )


class FieldModule(Protocol):
    """The methods a Flax module needs to become a `Field`; shapes as there."""

    def distance(self, points: Array) -> Array:
        """Signed distance, [N]."""
        ...

    def distance_and_feature(self, points: Array) -> tuple[Array, Array]:
        """Signed distance [N], and what else the colour may depend on, [N, F]."""
        ...

    def radiance(
        self, points: Array, gradients: Array, directions: Array, features: Array
    ) -> Array:
        """Colour in [0, 1], [N, 3]."""
        ...


def field_from_module(build: Callable[[nnx.Rngs], FieldModule]) -> Field:
    """The field of a Flax module: the only place where a module becomes pure functions.

    Args:
        build: makes the module; called once for its structure, and once more by `init`.
    """
    graph, _ = nnx.split(nnx.eval_shape(lambda: build(nnx.Rngs(0))))

    def init(key: Array) -> Any:
        return nnx.to_pure_dict(nnx.split(build(nnx.Rngs(key)))[1])

    def sdf(params: Any, points: Array) -> Array:
        return nnx.merge(graph, params).distance(points)

    def surface(params: Any, points: Array) -> tuple[Array, Array, Array]:
        module = nnx.merge(graph, params)
        distance, pullback, feature = jax.vjp(module.distance_and_feature, points, has_aux=True)
        (gradient,) = pullback(jnp.ones_like(distance))
        return distance, gradient, feature

    def radiance(
        params: Any, points: Array, gradients: Array, directions: Array, features: Array
    ) -> Array:
        return nnx.merge(graph, params).radiance(points, gradients, directions, features)

    # Each one program: operation by operation, a call would compile a hundred.
    return Field(*map(jax.jit, (init, sdf, surface, radiance)))
