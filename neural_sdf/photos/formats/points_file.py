"""Sparse points in a PLY file beside the cameras, as nerfstudio has them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from neural_sdf.geometry import SparsePoints, standard_errors
from neural_sdf.photos.files.findings import Finding
from neural_sdf.photos.files.folder import LARGEST, MOST_MODEL_BYTES, inner_path, read_bytes

EXPECTED = "a PLY file of points"
ERROR = "error"  # the property of a vertex that is its standard error, pixels


def read_points(folder: Path, name: Any, findings: list[Finding]) -> SparsePoints | None:
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
        if not path.is_file():
            raise ValueError("there is no such file")
        content = io.BytesIO(read_bytes(path, EXPECTED, MOST_MODEL_BYTES))
        loaded = trimesh.load(content, file_type="ply", process=False)
        places = np.asarray(getattr(loaded, "vertices", np.zeros((0, 3))), np.float64)
        if not (np.abs(places) <= LARGEST).all():
            raise ValueError("a point is not finite")
        vertices: Any = {"properties": ()}
        if len(places):
            vertices = loaded.metadata["_ply_raw"]["vertex"]
        errors = np.full(len(places), np.nan)
        if ERROR in vertices["properties"]:
            errors = standard_errors(np.asarray(vertices["data"][ERROR], np.float64).reshape(-1))
    except Exception as error:  # trimesh raises whatever its parsing ran into
        said = f"{error}" if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        reason = " ".join(said.split())[:200]
        what = f"points {name!a:.200} cannot be read ({reason})"
        told = f"{what}; expected {EXPECTED}; they are left out"
        mend = "write the file again, or remove the key; a set with masks does without"
        findings.append(Finding("unreadable-points", "warning", told, mend))
        return None
    return SparsePoints(places, errors) if len(places) else None


def write_points(path: Path, points: SparsePoints) -> None:
    """Binary PLY of 64-bit coordinates, which the world of the cameras may need, and errors."""
    rows = np.column_stack(points).astype("<f8")
    properties = "".join(f"property double {name}\n" for name in ("x", "y", "z", ERROR))
    count = f"element vertex {len(rows)}\n"
    head = f"ply\nformat binary_little_endian 1.0\n{count}{properties}end_header\n"
    path.write_bytes(head.encode() + rows.tobytes())
