"""What 32-bit coordinates do to a mesh: nothing that shows near the origin, its end far away.

Near x, numbers of 32 bits are |x| 2⁻²³ apart: half a metre at a northing of 4600 km. That is to be
compared with the mesh's edges, which marching cubes makes about as long as the cells of its grid.
"""

from __future__ import annotations

import numpy as np

from neural_sdf.export.mesh import Mesh

FINE = 1e-3  # of an edge: a step that nobody sees


def edge_length(mesh: Mesh) -> float:
    """The median edge."""
    corners = mesh.vertices[mesh.faces]
    return float(np.median(np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=-1)))


def float32_step(mesh: Mesh) -> float:
    """How far 32-bit numbers are apart at the coordinate farthest from 0."""
    return float(np.spacing(np.abs(mesh.vertices).max().astype(np.float32)))


def fits_float32(mesh: Mesh) -> bool:
    """Whether 32-bit coordinates are as good as any."""
    return float32_step(mesh) <= FINE * edge_length(mesh)
