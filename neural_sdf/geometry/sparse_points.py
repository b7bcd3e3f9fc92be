"""Points that structure from motion leaves beside its cameras."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

MOST_ERROR = 1e6  # pixels; no photo is as wide


class SparsePoints(NamedTuple):
    """Points that were found on whatever photos show.

    Attributes:
        places: in the photos' own world, [N, 3].
        errors: standard error of each, pixels: its mean reprojection error over the root of the
            number of photos that see it; NaN where the files do not tell, [N].
    """

    places: Float64[np.ndarray, "N 3"]
    errors: Float64[np.ndarray, " N"]


def standard_errors(written: Float64[np.ndarray, " N"]) -> Float64[np.ndarray, " N"]:
    """As `SparsePoints` has them: what is negative, endless or absurd means that none is known."""
    with np.errstate(invalid="ignore"):
        return np.where((written >= 0) & (written < MOST_ERROR), written, np.nan)
