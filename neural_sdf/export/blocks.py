"""The rule that follows a surface from block to block: which blocks own a corner of a mixed cell.

A block has BLOCK points a side. Some are stored, with a sign at each point; all points of any other
have one sign. A cell is mixed if its eight corners differ in sign; its corners may belong to up to
eight blocks.
"""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Bool, Int

BLOCK = 8  # points a side; with 4, 8 and 16 a torus at 256³ costs 13, 11 and 16 % of its points
_BATCH = 4096  # blocks at a time, which takes some 50 MB

# Of a block with one more point all around, by the direction of the block that they are from: where
# those points are, and where they are in the block that they are from.
_HERE = {-1: slice(0, 1), 0: slice(1, BLOCK + 1), 1: slice(BLOCK + 1, BLOCK + 2)}
_THERE = {-1: slice(BLOCK - 1, BLOCK), 0: slice(0, BLOCK), 1: slice(0, 1)}
_DIRECTIONS = list(itertools.product((-1, 0, 1), repeat=3))


def mixed_blocks(
    negative: Bool[np.ndarray, "K 8 8 8"],
    place: Int[np.ndarray, "b b b"],
    full: Bool[np.ndarray, "b b b"],
    rows: Int[np.ndarray, "N 3"],
) -> Bool[np.ndarray, "b b b"]:
    """Blocks that own a corner of a mixed cell, of those cells that have one in given blocks.

    Args:
        negative: the sign at the points of the stored blocks.
        place: where each block is stored, or −1.
        full: whether a block that is not stored is negative.
        rows: of the blocks whose cells are looked at; they are stored.
    """
    place, full = np.pad(place, 1, constant_values=-1), np.pad(full, 1)
    found = np.zeros(place.shape, bool)
    for start in range(0, len(rows), _BATCH):
        some = 1 + rows[start : start + _BATCH]
        signs = np.empty((len(some), *(BLOCK + 2,) * 3), bool)
        for direction in _DIRECTIONS:
            beside = tuple((some + direction).T)
            at = place[beside]
            there = negative[at, *(_THERE[d] for d in direction)]
            signs[:, *(_HERE[d] for d in direction)] = np.where(
                (at >= 0)[:, None, None, None], there, full[beside][:, None, None, None]
            )
        corners = _corners(_mixed(signs, ~signs))
        for direction in _DIRECTIONS:
            beside = tuple((some + direction).T)
            found[beside] |= corners[:, *(_HERE[d] for d in direction)].any(axis=(1, 2, 3))
    return found[1:-1, 1:-1, 1:-1]


def junctions(
    empty: Bool[np.ndarray, "b b b"], full: Bool[np.ndarray, "b b b"]
) -> Bool[np.ndarray, "b b b"]:
    """Blocks that own a corner of a mixed cell between an empty block and a full one.

    Where eight blocks meet, one cell has a corner in each.
    """
    return _corners(_mixed(empty[None], full[None]))[0]


def _mixed(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Cells with both among their corners, [N, n, n, n] of points -> [N, n − 1, n − 1, n − 1]."""
    for axis in (1, 2, 3):
        one, other = (np.logical_or(*_neighbours(x, axis)) for x in (one, other))
    return one & other


def _corners(cells: np.ndarray) -> np.ndarray:
    """Points that are a corner of such a cell, [N, n, n, n] -> [N, n + 1, n + 1, n + 1]."""
    corners = np.pad(cells, [(0, 0), (1, 1), (1, 1), (1, 1)])
    for axis in (1, 2, 3):
        corners = np.logical_or(*_neighbours(corners, axis))
    return corners


def _neighbours(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Each value and the next one along an axis."""
    moved = np.moveaxis(values, axis, 0)
    return np.moveaxis(moved[:-1], 0, axis), np.moveaxis(moved[1:], 0, axis)
