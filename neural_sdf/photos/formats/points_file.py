"""Sparse points in a PLY file beside the cameras, as nerfstudio has them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from neural_sdf.photos.files.findings import Finding
from neural_sdf.photos.files.folder import LARGEST, MOST_MODEL_BYTES, inner_path, read_bytes

EXPECTED = "a PLY file of points"


def read_points(
    folder: Path, name: Any, findings: list[Finding]
) -> Float64[np.ndarray, "N 3"] | None:
    """The points of a file, in the world of the cameras; None if there are none.

    A set does without them, so that a file that cannot be used is only told.

    Args:
        folder: of the set.
        name: of the file in it, as written; None for none.
        findings: added to.
    """
    if name is None:
        return None
    import trimesh  # late: most sets have no points

    try:
        path = folder / inner_path(folder, name, "ply_file_path")
        content = io.BytesIO(read_bytes(path, EXPECTED, MOST_MODEL_BYTES))
        loaded = trimesh.load(content, file_type="ply", process=False)
        points = np.asarray(getattr(loaded, "vertices", np.zeros((0, 3))), np.float64)
        if not (np.abs(points) <= LARGEST).all():
            raise ValueError("a point is not finite")
    except Exception as error:  # trimesh raises whatever its parsing ran into
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        what = f"points {name!a:.200} cannot be read ({reason})"
        told = f"{what}; expected {EXPECTED}; they are left out"
        mend = "write the file again, or remove the key; only masks that are made need points"
        findings.append(Finding("unreadable-points", "note", told, mend))
        return None
    return points if len(points) else None


def write_points(path: Path, points: Float64[np.ndarray, "N 3"]) -> None:
    """Binary PLY of 64-bit coordinates, which the world of the cameras may need."""
    axes = "".join(f"property double {axis}\n" for axis in "xyz")
    head = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(points)}\n{axes}end_header\n"
    path.write_bytes(head.encode() + np.asarray(points, "<f8").tobytes())
