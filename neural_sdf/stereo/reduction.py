"""Smaller photos."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def block_means(image: np.ndarray, block: int) -> Float[np.ndarray, "h w *c"]:
    """Means over whole blocks of pixels; what is left over at the far edges is not in them.

    Args:
        image: [H, W] or [H, W, C].
        block: pixels along its edge.
    """
    height, width = (side // block for side in image.shape[:2])
    cut = image[: height * block, : width * block]
    blocks = cut.reshape(height, block, width, block, *image.shape[2:])
    return blocks.mean(axis=(1, 3), dtype=np.float32)
