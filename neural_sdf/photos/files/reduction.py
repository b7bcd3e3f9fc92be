"""Photos made smaller by an integer factor, and their cameras with them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64, Shaped


def box_average(values: Shaped[np.ndarray, "H W *c"], factor: int) -> Float32[np.ndarray, "h w *c"]:
    """Means over factor × factor blocks; the remainder at the right and bottom is cut off."""
    height, width = (side // factor for side in values.shape[:2])
    # Whole slices are added: `mean` over blocks is several times as slow.
    whole = values[: height * factor, : width * factor].astype(np.float32, copy=False)
    if factor == 1:
        return whole
    rows = np.zeros_like(whole[::factor])
    for i in range(factor):
        rows += whole[i::factor]
    total = np.zeros_like(rows[:, ::factor])
    for i in range(factor):
        total += rows[:, i::factor]
    return total / np.float32(factor**2)


def downscale_intrinsics(
    intrinsics: Float64[np.ndarray, "3 3"], factor: int
) -> Float64[np.ndarray, "3 3"]:
    """K of the photo reduced by `box_average`: exact, since pixel (0, 0) begins at (0, 0)."""
    return intrinsics / np.array([[factor], [factor], [1.0]])
