"""Which holes of masks are open: those through which a camera on the other side sees, too.

A part of the object that has the background's colour, as a lid or a label, leaves a hole in masks
that looks as the hole of a handle does. But a ray through an open hole leaves the object at a place
that is in a hole for the cameras beyond; through a lid, it leaves at a side that they see.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from neural_sdf.masking.plain import HOLE, parts_of
from neural_sdf.photos.outlines.cells import (
    Cells,
    Views,
    distance_from,
    pixels_wide,
    seen_pixels,
)

SEEN_THROUGH = 0.05  # share of those who see where rays leave that must see a hole there
SAME = 0.5  # share of a hole's entry that another view must have in a hole, to be the same hole
BESIDE = 0.3  # of the object's size: how far from it the background's colours are taken
ODD = 0.05  # share of them left out at either end of a channel
THICK = 2.0  # cells behind the first that a camera is said to see


class Crossing(NamedTuple):
    """Of one view: where rays through holes enter and leave the hull, and what it sees of it.

    Attributes:
        number: of the hole of each ray, [n].
        entry: cell that the ray enters by, [n].
        exit: cell that it leaves by, [n].
        front: depth of the hull's first cell at each pixel, infinite where there is none.
    """

    number: Int[np.ndarray, " n"]
    entry: Int[np.ndarray, " n"]
    exit: Int[np.ndarray, " n"]
    front: Float[np.ndarray, "h w"]


def filled(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The mask with every hole closed."""
    return np.asarray(ndimage.binary_fill_holes(mask), bool)


def open_holes(
    views: Views, masks: Sequence[Bool[np.ndarray, "_h _w"]], hull: Cells
) -> list[Bool[np.ndarray, "_h _w"]]:
    """Pixels of each mask's holes that are open, of none that is too small to tell.

    Holes of several views that are one in space are judged together. If no camera sees where the
    rays leave the hull, as below a ring on a table, a hole is open that has the very colours of the
    background beside the object.

    Args:
        views: small photos with their cameras.
        masks: with holes.
        hull: of the masks with their holes filled.
    """
    numbers, count = _numbered(masks)
    if not count or not len(hull.centres):
        return [np.zeros(mask.shape, bool) for mask in masks]
    through, against, same = _votes(views, masks, hull, numbers, count + 1)
    group = connected_components(coo_array(same), directed=False)[1]
    through, against = (np.bincount(group, votes)[group] for votes in (through, against))
    alike = np.concatenate([[0.0], *map(_alike, views.photos, masks, numbers)])
    alike = (np.bincount(group, alike) > 0.5 * np.bincount(group))[group]
    unseen = through + against == 0
    is_open = np.where(unseen, alike, through >= SEEN_THROUGH * (through + against))
    is_open[0] = False
    return [is_open[image] for image in numbers]


def _votes(
    views: Views,
    masks: Sequence[Bool[np.ndarray, "_h _w"]],
    hull: Cells,
    numbers: Sequence[Int[np.ndarray, "_h _w"]],
    size: int,
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"], Bool[np.ndarray, "n n"]]:
    """For each hole, how often where its rays leave is seen in a hole, and how often on the object.

    And whether two holes are the same: one's entry is in the other.
    """
    pitches = np.ceil(pixels_wide(views, hull, hull.spacing.max())).astype(int)
    crossings = [
        _crossing(K, pose, hull, image, pitch)
        for _, K, pose, image, pitch in zip(*views, numbers, pitches.tolist(), strict=True)
    ]
    number, entry, leave = (np.concatenate(part) for part in list(zip(*crossings, strict=True))[:3])
    links, (through, against) = np.zeros(size * size, int), np.zeros((2, size), int)
    for crossing, image, mask, K, pose in zip(crossings, numbers, masks, *views[1:], strict=True):
        there = _values(image, seen_pixels(K, pose, hull.centres[entry], image.shape))
        links += np.bincount(number * size + there, minlength=size * size)
        seen = seen_pixels(K, pose, hull.centres[leave], image.shape)
        depth = (hull.centres[leave] - pose[:3, 3]) @ pose[:3, 2]
        visible = depth <= _values(crossing.front, seen) + THICK * hull.spacing.max()
        visible &= ~np.isin(number, crossing.number)  # a view's own holes say nothing
        through += np.bincount(number[visible & (_values(image, seen) > 0)], minlength=size)
        against += np.bincount(number[visible & _values(mask, seen)], minlength=size)
    links = links.reshape(size, size)
    links[:, 0] = 0
    same = links > SAME * np.bincount(number, minlength=size)[:, None]
    return through, against, same


def _numbered(
    masks: Sequence[Bool[np.ndarray, "_h _w"]],
) -> tuple[list[Int[np.ndarray, "_h _w"]], int]:
    """The holes of all masks numbered from 1, 0 elsewhere, and how many there are."""
    images, count = [], 0
    for mask in masks:
        parts = parts_of(filled(mask) & ~mask)
        large = np.bincount(parts.ravel()) >= max(1.0, HOLE * mask.sum())
        large[0] = False
        names = np.where(large, count + np.cumsum(large), 0)
        images.append(names[parts])
        count += int(large.sum())
    return images, count


def _alike(
    photo: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    numbers: Int[np.ndarray, "h w"],
) -> Float[np.ndarray, " holes"]:
    """Share of each hole's pixels that have a colour of the background beside the object."""
    away = distance_from(filled(mask))
    beside = (away > 1) & (away < BESIDE * np.sqrt(mask.sum()))
    if not numbers.any() or not beside.any():
        return np.zeros(len(np.unique(numbers[numbers > 0])))
    lowest, highest = np.quantile(photo[beside], [ODD, 1 - ODD], axis=0)
    within = ((photo >= lowest) & (photo <= highest)).all(axis=-1)
    first = numbers[numbers > 0].min()
    own = np.maximum(numbers - first + 1, 0)
    return (np.bincount(own.ravel(), within.ravel()) / np.bincount(own.ravel()))[1:]


def _crossing(
    K: Float[np.ndarray, "3 3"],
    pose: Float[np.ndarray, "4 4"],
    hull: Cells,
    numbers: Int[np.ndarray, "h w"],
    pitch: int,
) -> Crossing:
    seen = seen_pixels(K, pose, hull.centres, numbers.shape)
    depth = (hull.centres - pose[:3, 3]) @ pose[:3, 2]
    order = np.argsort(depth)
    first, last = np.full((2, numbers.size + 1), -1)
    last[seen[order]] = order  # the last that is written stays
    first[seen[order[::-1]]] = order[::-1]
    front = np.where(first < 0, np.inf, depth[first])[:-1].reshape(numbers.shape)
    side = max(3, pitch | 1)  # between the centres of neighbouring cells there are pixels
    pixels = np.flatnonzero((numbers.ravel() > 0) & (first[:-1] >= 0))
    return Crossing(
        numbers.ravel()[pixels],
        first[pixels],
        last[pixels],
        np.asarray(ndimage.grey_erosion(front, (side, side))),
    )


def _values(image: np.ndarray, seen: Int[np.ndarray, " N"]) -> np.ndarray:
    """Of an image at positions, row by row; nothing at the position after the last."""
    return np.append(image.ravel(), np.zeros(1, image.dtype))[seen]
