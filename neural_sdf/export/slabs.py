"""Triangles of a sampled field's zero level, slab by slab, joined into one mesh.

A slab is a layer of blocks, BLOCK cells thick and as wide as the stored blocks reach. The plane
between two slabs belongs to both: a vertex on it lies on an edge of the grid, which both find, and
by which the second takes over the vertex of the first. The mesh is that of the whole grid at once,
to the order of vertices and faces.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from skimage.measure import marching_cubes

from neural_sdf.export.blocks import BLOCK
from neural_sdf.export.grid import Grid, Samples, sphere_values

_LEAST_VALUE = 1e-3  # of a cell; see _in_cells
_NO_TRIANGLES = np.empty((0, 3)), np.empty((0, 3), np.int32)


class Border(NamedTuple):
    """The vertices in the plane between two slabs.

    Attributes:
        edges: numbers of the edges that they lie on, ascending, [N].
        vertices: their numbers in the mesh, [N].
    """

    edges: Int[np.ndarray, " N"]
    vertices: Int[np.ndarray, " N"]


def triangulate(
    samples: Samples, grid: Grid, radius: float
) -> tuple[Float[np.ndarray, "V 3"], Int[np.ndarray, "F 3"]]:
    """Vertices and faces of the zero level inside the bounding sphere, closed there."""
    vertices, faces = [_NO_TRIANGLES[0]], [_NO_TRIANGLES[1]]
    count, below = 0, Border(np.empty(0, np.int64), np.empty(0, np.int32))
    for layer in range(grid.num_blocks):
        found, triangles = _slab(samples, grid, radius, layer)
        edges = _edges(found, grid)
        is_old = found[:, 0] == BLOCK * layer
        ids = np.empty(len(found), np.int32)
        ids[is_old] = below.vertices[np.searchsorted(below.edges, edges[is_old])]
        ids[~is_old] = count + np.arange(np.sum(~is_old))
        above = np.flatnonzero(found[:, 0] == BLOCK * (layer + 1))
        above = above[np.argsort(edges[above])]
        below = Border(edges[above], ids[above])
        vertices.append(found[~is_old])
        faces.append(ids[triangles])
        count += len(vertices[-1])
    return grid.lower + grid.cell * np.concatenate(vertices), np.concatenate(faces)


def _slab(
    samples: Samples, grid: Grid, radius: float, layer: int
) -> tuple[Float[np.ndarray, "V 3"], Int[np.ndarray, "F 3"]]:
    """Vertices, in cells from the grid's first point, and faces between two planes of blocks."""
    window = slice(layer, layer + 2)  # the second for its first plane
    stored = samples.place[window] >= 0
    if not stored.any():
        return _NO_TRIANGLES
    across = [np.flatnonzero(stored.any(axis=(0, axis))) for axis in (2, 1)]
    crop = window, *(slice(held[0], held[-1] + 1) for held in across)
    lower = np.array([BLOCK * part.start for part in crop])
    values = _values(samples, crop)[: BLOCK + 1]
    points = (start + np.arange(n) for start, n in zip(lower, values.shape, strict=True))
    sphere = sphere_values(grid, radius, *np.ix_(*points))
    most = _LEAST_VALUE / float(np.spacing(np.float32(BLOCK * grid.num_blocks)))
    solid = np.maximum(
        _in_cells(values, samples.slope * grid.cell, most), _in_cells(sphere, grid.cell, most)
    )
    if not solid.min() < 0 < solid.max():
        return _NO_TRIANGLES
    vertices, faces, _, _ = marching_cubes(solid, 0.0)
    return lower + vertices.astype(np.float64), faces


def _values(samples: Samples, crop: tuple[slice, ...]) -> Float[np.ndarray, "x y z"]:
    """The field at all points of a box of blocks."""
    place = samples.place[crop]
    values = np.empty([BLOCK * n for n in place.shape], np.float32)
    split = [length for n in place.shape for length in (n, BLOCK)]
    blocks = values.reshape(split).transpose(0, 2, 4, 1, 3, 5)  # a view
    blocks[...] = samples.centres[crop][..., None, None, None]
    blocks[place >= 0] = samples.blocks[place[place >= 0]]
    return values


def _edges(vertices: Float[np.ndarray, "V 3"], grid: Grid) -> Int[np.ndarray, " V"]:
    """A number for the edge of the grid that each vertex in a plane of constant x lies on."""
    start = np.floor(vertices[:, 1:])
    along_y = vertices[:, 1] > start[:, 0]
    row, column = start.astype(np.int64).T
    return 2 * (BLOCK * grid.num_blocks * row + column) + along_y


def _in_cells(values: np.ndarray, change: float, most: float) -> np.ndarray:
    """Values in units of their change over one cell, from a thousandth to `most` away from zero.

    Positive scaling leaves the surface where it is. scikit-image compares products of corner values
    with an absolute 1.2e-7 (its issues #8109, #8116), so those of a fine grid, or of a flat field,
    would be taken for ties and tear or double the surface; and a value of exactly 0 does the same.
    Without the least value, vertices would also meet in a grid point and collapse triangles; and
    without the greatest, by which alone a vertex lies farther from a grid point than float32 can
    tell. Delete the scaling when both issues are closed.
    """
    scaled = values / np.float32(change)
    size = np.clip(np.abs(scaled), _LEAST_VALUE, most)
    return np.where(scaled < 0, -size, size)
