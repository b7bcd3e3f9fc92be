"""An open cabinet with plates in a rack on its top: what no outline tells.

Every ray into one of its four compartments ends on a wall, so that the visual hull of any photos
fills them. Between the plates it is open to few directions. Photographed mostly from before it, so
that of the walls of its compartments nine tenths are seen by three photos or more.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from neural_sdf.geometry import shapes

_HALF = np.array([0.48, 0.26, 0.40])  # of the box, scene units
_BOARD = 0.04  # thickness of what it is made of
_DROP = -0.14  # height of its middle
_PLATES = (-0.3, -0.1, 0.1, 0.3)  # where they stand
_PLATE_HEIGHT = 0.18


def cabinet(points: Float[Array, "*n 3"]) -> Float[Array, "*n"]:
    """Signed distance (a lower bound of it, in places) of cabinet and plates, scene units."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2] - _DROP
    # Folded: one compartment stands for the four.
    half = (_HALF[::2] - 1.5 * _BOARD) / 2
    middle = half + _BOARD / 2
    folded = jnp.stack([jnp.abs(x) - middle[0], y + 2 * _BOARD, jnp.abs(z) - middle[1]], axis=-1)
    hollow = shapes.box(folded, np.array([half[0], _HALF[1] + _BOARD, half[1]]))
    whole = shapes.box(jnp.stack([x, y, z], axis=-1), _HALF)
    body = shapes.difference(whole, hollow)
    nearest = jnp.clip(jnp.round((x - _PLATES[0]) / 0.2), 0, len(_PLATES) - 1)
    from_plate = jnp.stack(
        [x - _PLATES[0] - 0.2 * nearest, y, z - _HALF[2] - _PLATE_HEIGHT / 2 + _BOARD], axis=-1
    )
    plate = shapes.box(from_plate, np.array([0.02, 0.22, _PLATE_HEIGHT / 2 + _BOARD]))
    return shapes.union(body, plate)


def inside(points: Float[np.ndarray, "N 3"]) -> np.ndarray:
    """Which points lie in a compartment, a hundredth behind its opening at least, [N]."""
    half, low, high = _HALF - _BOARD / 2, -_HALF[1] + 0.01, _HALF[1] - _BOARD / 2
    x, y, z = points[..., 0], points[..., 1], points[..., 2] - _DROP
    return (np.abs(x) < half[0]) & (low < y) & (y < high) & (np.abs(z) < half[2])
