"""Points that structure from motion leaves beside its cameras."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64


class SparsePoints(NamedTuple):
    """Points that were found on whatever photos show.

    Attributes:
        places: in the photos' own world, [N, 3].
        errors: standard error of each, pixels: its mean reprojection error over the root of the
            number of photos that see it; NaN where the files do not tell, [N].
    """

    places: Float64[np.ndarray, "N 3"]
    errors: Float64[np.ndarray, " N"]
