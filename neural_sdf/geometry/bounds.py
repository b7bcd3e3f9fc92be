"""Where a ray is inside the bounding sphere."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Bool, Float


def clip_to_sphere(
    origins: Float[Array, "*batch 3"],
    directions: Float[Array, "*batch 3"],
    radius: Float[ArrayLike, ""] = 1.0,
) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"], Bool[Array, "*batch"]]:
    """The stretch of each ray inside a sphere about the origin.

    Solves |o + t d|² = radius² for unit d. A ray that misses the sphere, or has it behind, gets the
    finite empty stretch near = far at its point closest to the centre.

    Returns:
        near: entry, at least 0 (a ray that starts inside enters at once), [...].
        far: exit, at least `near`, [...].
        meets: whether the stretch has any length, [...].
    """
    middle = -jnp.sum(origins * directions, axis=-1)
    closest = origins + middle[..., None] * directions
    half_squared = radius**2 - jnp.sum(closest * closest, axis=-1)
    meets = half_squared > 0
    half = jnp.where(meets, jnp.sqrt(jnp.where(meets, half_squared, 1.0)), 0.0)
    near = jnp.maximum(middle - half, 0.0)
    far = jnp.maximum(middle + half, near)
    return near, far, jnp.logical_and(meets, far > near)
