"""Encodings of a point or a direction for a network's input."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float


def positional_encoding(x: Float[Array, "*batch k"], num_octaves: int) -> Float[Array, "*batch m"]:
    """The input, then sine and cosine of 2^i x for i < num_octaves (Mildenhall et al. 2020, eq. 4).

    As in IDR the frequencies are 1, 2, 4, … radians and the raw input comes first.

    Returns:
        [..., k (1 + 2 num_octaves)].
    """
    frequencies = 2.0 ** jnp.arange(num_octaves, dtype=x.dtype)
    phases = (x[..., None, :] * frequencies[:, None]).reshape(*x.shape[:-1], -1)
    return jnp.concatenate([x, jnp.sin(phases), jnp.cos(phases)], axis=-1)
