"""Cavities of a solid that are closed on all sides: what no photo from outside can show."""

from __future__ import annotations

import igl
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from neural_sdf.export.mesh import Mesh, share_on_sphere


def fill_cavities(mesh: Mesh, *, radius: float = 1.0) -> tuple[Mesh, int]:
    """The mesh without the walls of sealed cavities and without what lies in them.

    No loss of photos reaches there, so that a field keeps bubbles. Where all that would be left
    lies on the bounding sphere, photos were taken from inside a cavity: the mesh stays as it is.

    Args:
        mesh: closed, in the scene frame.
        radius: of the bounding sphere, scene units.

    Returns:
        The mesh, without colours, and how many cavities were filled.
    """
    count, piece = _pieces(mesh)
    volumes = _volumes(mesh, piece, count)
    hidden = volumes < 0  # a wall of a cavity is inside out
    num_cavities = int(hidden.sum())
    if num_cavities == 0:
        return mesh, 0
    someone = np.unique(piece, return_index=True)[1]  # a vertex of each piece
    walls = mesh.faces[hidden[piece[mesh.faces[:, 0]]]]
    turns = np.asarray(igl.winding_number(mesh.vertices, walls, mesh.vertices[someone]))
    hidden |= turns < -0.5
    seen = _of_pieces(mesh, ~hidden[piece])
    if share_on_sphere(seen, radius=radius) > 0.99:
        return mesh, 0
    return seen, num_cavities


def _pieces(mesh: Mesh) -> tuple[int, Int[np.ndarray, " V"]]:
    """How many pieces there are, and of which each vertex is."""
    ends = np.concatenate([mesh.faces[:, :2], mesh.faces[:, 1:]]).T
    joined = np.ones(ends.shape[1], bool), (ends[0], ends[1])
    graph = coo_array(joined, shape=(len(mesh.vertices),) * 2)
    return connected_components(graph, directed=False)


def _volumes(mesh: Mesh, piece: Int[np.ndarray, " V"], count: int) -> Float[np.ndarray, " pieces"]:
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces], 1, 0)
    tetrahedra = np.einsum("fi,fi->f", a, np.cross(b, c)) / 6
    return np.bincount(piece[mesh.faces[:, 0]], tetrahedra, minlength=count)


def _of_pieces(mesh: Mesh, kept: Bool[np.ndarray, " V"]) -> Mesh:
    """Kept vertices and their faces."""
    number = np.cumsum(kept) - 1
    faces = number[mesh.faces[kept[mesh.faces[:, 0]]]].astype(mesh.faces.dtype)
    return Mesh(mesh.vertices[kept], faces)
