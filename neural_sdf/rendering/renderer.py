"""What a renderer is: rays against a field, whichever way it finds what they see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from jax import Array
from jaxtyping import Bool, Float

Watch = dict[str, tuple[Array, Array]]
"""Figures for a person, as (sum, count), so that those of several devices can be added."""


class Rendering(NamedTuple):
    """What each ray sees inside the unit sphere.

    Attributes:
        rgb: light in [0, 1] that comes from the object; zero on a miss, [N, 3].
        opacity: share of what lies behind that the object hides, in [0, 1], [N].
        depth: distance along the ray in scene units; zero on a miss, [N].
        normal: outward unit normal in the scene frame; zero on a miss, [N, 3].
        mask: whether the ray hits, [N].
        gradients: of the field where the eikonal equation should hold besides `Batch.points`; not
            normalised, [M, 3].
        distance_min: least field value met along the ray, its place taken as constant;
            differentiable, on a hit once, [N]. None from a renderer that does not search.
        watch: what a person may want to see of the search.
    """

    rgb: Float[Array, "N 3"]
    opacity: Float[Array, " N"]
    depth: Float[Array, " N"]
    normal: Float[Array, "N 3"]
    mask: Bool[Array, " N"]
    gradients: Float[Array, "M 3"]
    distance_min: Float[Array, " N"] | None
    watch: Watch


class Renderer(NamedTuple):
    """A way from rays to colours, as a tuple of pure functions of (params, ...), as a field is.

    `params` is that of the whole run, {"field": ..., "renderer": ..., "cameras": ...}; `share` is
    the part of the run that is done, in [0, 1], [], which `Field.at` and schedules need.

    Attributes:
        init: key -> params["renderer"], what it learns itself: a tree of arrays, or {}.
        recall: (params, share) -> memory, what it remembers of the field without gradient, or None.
        renew: (memory, params, share, step) -> memory, brought up to date before each step.
        render: (params, memory, rays, keys, share) -> Rendering; keys are one a ray.
        gives: those of `Rendering`'s fields that it does not leave None.
    """

    init: Callable[[Array], Any]
    recall: Callable[[Any, Array], Any]
    renew: Callable[[Any, Any, Array, Array], Any]
    render: Callable[..., Rendering]
    gives: frozenset[str] = frozenset(Rendering._fields)
