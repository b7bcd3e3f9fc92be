"""What is known of the depths of training photos before anything is trained."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int


class Depths(NamedTuple):
    """Depths along the optical axis, in scene units, for blocks of pixels; zero where unknown.

    Attributes:
        surface: where several photos agree that something is, [V, h, w].
        clear: up to where they agree that nothing is, [V, h, w].
        step: inverse depths as near as this are not told apart, 1 / scene units, [V].
        block: pixels along the edge of a block, [].
    """

    surface: Float[Array | np.ndarray, "V h w"]
    clear: Float[Array | np.ndarray, "V h w"]
    step: Float[Array | np.ndarray, " V"]
    block: Int[Array | np.ndarray, ""]

    def at(self, view: Int[Array, " N"], pixels: Float[Array, "N 2"]) -> tuple[Array, ...]:
        """`surface`, how far from it the surface may be, and `clear` of pixels, [N] each.

        Args:
            view: position of the photo in its scene.
            pixels: (column, row).
        """
        column, row = jnp.moveaxis(pixels.astype(jnp.int32) // self.block, -1, 0)
        beyond = {"mode": "fill", "fill_value": 0.0}  # blocks that are not whole are left out
        maps = jnp.asarray(self.surface), jnp.asarray(self.clear)
        surface, clear = (x.at[view, row, column].get(**beyond) for x in maps)
        return surface, jnp.asarray(self.step)[view] * surface**2, clear


def unknown_depths() -> Depths:
    """Of photos that were not compared."""
    nothing = np.zeros((1, 1, 1), np.float32)
    return Depths(nothing, nothing, nothing[0, 0], np.array(1, np.int32))
