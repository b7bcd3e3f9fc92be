"""Colours of embedded scenes."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

Paint = Callable[[Array, Array], Array]
"""Colours [N, 3] in [0, 1] of points and normals, both [N, 3], scene frame."""


def smooth(points: Float[Array, "N 3"], normals: Float[Array, "N 3"]) -> Float[Array, "N 3"]:
    """A smooth solid pattern under a soft light from above."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    pattern = jnp.sin(11 * x) * jnp.sin(11 * y) + jnp.sin(11 * z + 1.5)
    share = jax.nn.sigmoid(4 * pattern)[..., None]
    blue, cream = jnp.array([0.25, 0.45, 0.75]), jnp.array([0.95, 0.88, 0.72])
    light = jnp.array([0.36, 0.48, 0.8])
    return (share * blue + (1 - share) * cream) * (0.75 + 0.25 * (normals @ light))[..., None]


def speckled(
    points: Float[Array, "N 3"], normals: Float[Array, "N 3"], *, finest: float = 0.0125
) -> Float[Array, "N 3"]:
    """The same with specks of four sizes, which can be found again from photo to photo.

    Nowhere as bright as the ground, from which it can be told by a threshold. The smallest specks
    are of size `finest`, in scene units; each other one is twice as large.
    """
    layers = jnp.stack([_noise(points / (finest * 2**i)) for i in range(4)])
    shade = 0.3 + 0.65 * jax.nn.sigmoid(12 * (layers.mean(axis=0) - 0.5))
    return smooth(points, normals) * shade[:, None]


COARSELY_SPECKLED = functools.partial(speckled, finest=0.04)
"""Specks of three pixels and more in photos of 128 pixels a side."""


def _noise(points: Float[Array, "N 3"]) -> Float[Array, " N"]:
    """Value noise in [0, 1]: random at integer points, smooth in between (Perlin 1985)."""
    low = jnp.floor(points)
    share = points - low
    share = share * share * (3 - 2 * share)
    corners = jnp.array(list(np.ndindex(2, 2, 2)))
    weights = jnp.where(corners == 1, share[:, None], 1 - share[:, None]).prod(axis=-1)
    cells = (low[:, None].astype(jnp.int32) + corners).astype(jnp.uint32)
    primes = jnp.array([73856093, 19349663, 83492791], jnp.uint32)  # Teschner et al. 2003
    a, b, c = jnp.moveaxis(cells * primes, -1, 0)
    mixed = (a ^ b ^ c) * jnp.uint32(0x5BD1E995)  # neighbours would differ in few bits
    return (weights * ((mixed >> 15) & 0xFFFF) / 0xFFFF).sum(axis=-1)
