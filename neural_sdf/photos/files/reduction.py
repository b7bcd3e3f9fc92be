"""Photos made smaller by an integer factor, and their cameras with them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64, Shaped

LARGEST_EXACT = 16  # factor up to which sums of bytes fit into 16 bits


def box_average(values: Shaped[np.ndarray, "H W *c"], factor: int) -> Float32[np.ndarray, "h w *c"]:
    """Means over factor × factor blocks; the remainder at the right and bottom is cut off."""
    height, width = (side // factor for side in values.shape[:2])
    whole = values[: height * factor, : width * factor]
    if factor == 1:
        return whole.astype(np.float32, copy=False)
    # Whole slices are added, of bytes in integers: `mean` over blocks is several times as slow.
    is_small = values.dtype.itemsize == 1 and factor <= LARGEST_EXACT
    rows = np.zeros(whole[::factor].shape, np.uint16 if is_small else np.float32)
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
