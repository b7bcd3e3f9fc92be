"""Linear light and the values stored in image files (sRGB, IEC 61966-2-1)."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

# Where the straight foot of the curve ends, as a stored value and as linear light.
_FOOT_STORED, _FOOT_LINEAR = 0.04045, 0.0031308


def linear_from_srgb(stored: Float[Array, "*n 3"]) -> Float[Array, "*n 3"]:
    """Linear light of stored values in [0, 1]; differentiable."""
    # The power's base is kept off zero, where its derivative is none of the foot's business.
    power = ((jnp.maximum(stored, _FOOT_STORED) + 0.055) / 1.055) ** 2.4
    return jnp.where(stored <= _FOOT_STORED, stored / 12.92, power)


def srgb_from_linear(linear: Float[Array, "*n 3"]) -> Float[Array, "*n 3"]:
    """Stored values in [0, 1] of linear light, which is clipped to [0, 1] first."""
    linear = jnp.clip(linear, 0.0, 1.0)
    power = 1.055 * jnp.maximum(linear, _FOOT_LINEAR) ** (1 / 2.4) - 0.055
    return jnp.where(linear <= _FOOT_LINEAR, 12.92 * linear, power)
