"""Which photos are compared with which."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int

NUM_NEIGHBOURS = 8
BEST_ANGLE = 12.0  # degrees between two photos' directions: near enough to look alike
ANGLES = 4.0, 45.0  # too near to tell depths, too far to look alike


def nearest_views(
    poses: Float64[np.ndarray, "V 4 4"],
) -> tuple[Int[np.ndarray, "V S"], Float64[np.ndarray, "V S"]]:
    """Photos to compare each with, best first, and the angles to them in degrees."""
    centres = poses[:, :3, 3]
    directions = centres / np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-9)
    angles = np.degrees(np.arccos(np.clip(directions @ directions.T, -1, 1)))
    least, most = ANGLES
    cost = np.abs(angles - BEST_ANGLE) + 1e3 * (angles < least) + 1e2 * (angles > most)
    np.fill_diagonal(cost, np.inf)
    chosen = np.argsort(cost, axis=1, kind="stable")[:, : min(NUM_NEIGHBOURS, len(poses) - 1)]
    return chosen, np.take_along_axis(angles, chosen, axis=1)
