"""An object on a turntable before a room that stands still, which structure from motion mistakes.

The room has more points than the object, and so the camera seems to stand still.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int

from neural_sdf.mistake import Mistake

STILL = 0.05  # of the distance of what is seen: cameras nearer together see it from one place
MOST_PAIRS = 0.9  # share of pairs of photos with points in common, where all see the same room


def refuse_still_room(
    centres: Float64[np.ndarray, "V 3"],
    points: Float64[np.ndarray, "N 3"],
    matches: Int[np.ndarray, "V V"],
) -> None:
    """Stops at cameras that have hardly moved though all photos show the same points.

    Args:
        centres: of the cameras.
        points: of what they saw, in the same world.
        matches: how many points two photos share.

    Raises:
        Mistake: says what to do.
    """
    middle = np.median(centres, axis=0)
    moved = np.quantile(np.linalg.norm(centres - middle, axis=1), 0.9)
    distance = np.median(np.linalg.norm(points - middle, axis=1))
    linked = np.count_nonzero(matches) / max(1, len(matches) * (len(matches) - 1))
    if moved < STILL * distance and linked > MOST_PAIRS:
        raise Mistake(
            f"all cameras were found in one place (within {moved / distance:.1%} of the distance of"
            f" what they see), and {linked:.0%} of the pairs of photos share points: what is behind"
            " the object stands still while the object turns; expected the object to stand still,"
            " or points on it alone; give a mask for each photo by <masks>, or put it before a"
            " plain background without any pattern"
        )
