"""Which points a photo shows, and at which of its pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int32


class Shown(NamedTuple):
    """Of points and one photo.

    Attributes:
        shown: whether a point is before the camera and within the photo.
        row: of its pixel; 0 where it is not shown.
        column: likewise.
    """

    shown: Bool[np.ndarray, "*n"]
    row: Int32[np.ndarray, "*n"]
    column: Int32[np.ndarray, "*n"]


def shown_pixels(image: Float64[np.ndarray, "3 ..."], size: tuple[int, int]) -> Shown:
    """The pixels of image points K Rᵀ (x − c), homogeneous, in a photo of (height, width)."""
    x, y, depth = image
    height, width = size
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = x / depth, y / depth
        shown = (depth > 0) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
        row, column = (shown * places.astype(np.int32) for places in (y, x))
    return Shown(shown, row, column)
