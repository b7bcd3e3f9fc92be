"""How much of a pixel an object covers, with a derivative at its silhouette."""

from __future__ import annotations

import jax
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Bool, Float


def coverage(
    hit: Bool[Array, " N"], distance: Float[Array, " N"], *, width: Float[ArrayLike, ""]
) -> Float[Array, " N"]:
    """Whether a ray hits, with the derivative of a silhouette seen through a soft kernel.

    The derivative of a hit has no visibility term: to it a silhouette stands still. Here the value
    is the hard 0 or 1 and the derivative that of sigmoid(−distance / width), for the least distance
    on the *whole* chord (`tracing.closest_approach`), through the object too. The kernel must see
    both sides: with distances of missing rays alone it loses half of the gradient.

    Summed over the rays of an image it estimates the derivative of the covered area; a `width`
    below a pixel makes it noisy, a large one biased.

    Args:
        hit: whether the ray hits.
        distance: least field value on its chord, scene units.
        width: of the kernel, scene units; about a pixel at the object.

    Returns:
        0 or 1, [N].
    """
    soft = jax.nn.sigmoid(-distance / width)
    return hit + (soft - lax.stop_gradient(soft))
