"""Masks from hull and colours together, from rough ones.

They alternate, as in Campbell, Vogiatzis, Hernández and Cipolla, "Automatic 3D object segmentation
in multiple views using volumetric graph-cuts" (2010): colours inside and outside the outlines say
which pixels are the object's, and a visual hull (Laurentini 1994) of these pixels gives new
outlines, which agree between the views. Instead of a graph cut, the hull may be contradicted by a
share of the views, and the share is chosen where hull and colours agree best. What lies outside a
photo is unknown, not background; a blank mask says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, UInt8

from neural_sdf.masking.colours import MOST, colour_ratios, object_evidence
from neural_sdf.masking.holes import filled, open_holes
from neural_sdf.masking.plain import cleaned, parts_of
from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.reduction import box_average, downscale_intrinsics
from neural_sdf.photos.outlines.cells import (
    Views,
    carve_cells,
    dissent_of,
    distance_from,
    least_dissent,
    seen_pixels,
)
from neural_sdf.photos.outlines.growth import LENIENT, OVERRULED

LONGEST = 320  # pixels of a photo's longer side, for colours and hull
ROUNDS = 4  # the last gains less than 0.002 of overlap with the masks of any set looked at
REACH = 0.05  # of the object's size: how far a round may move an outline outwards
SLACK, BAND = 1.0, 3.0  # pixels of the small photos: the hull is sure to one, colours to a few
GAP, LOOSE = 3.0, 2.0  # pixels of the small photos: half of what points close, and must fill
BLUR, FINAL_BLUR = 1.0, 0.7  # of the evidence, pixels


Outlines = Sequence[Bool[np.ndarray, "_h _w"]]


def sphere_masks(
    centre: Float64[np.ndarray, "3"],
    radius: float,
    sizes: Sequence[tuple[int, int]],
    intrinsics: Float64[np.ndarray, "V 3 3"],
    world_from_camera: Float64[np.ndarray, "V 4 4"],
) -> list[Bool[np.ndarray, "_h _w"]]:
    """Which pixels see a sphere: the start of `refine_by_hull` where nothing else is known.

    Args:
        centre: of the sphere, world units.
        radius: of the sphere, world units.
        sizes: (height, width) of each view.
        intrinsics: K, half-pixel centres.
        world_from_camera: rigid OpenCV poses.
    """
    masks = []
    for size, K, pose in zip(sizes, intrinsics, world_from_camera, strict=True):
        rows, columns = np.indices(size) + 0.5
        pixels = np.stack([columns, rows, np.ones(size)], axis=-1)
        directions = pixels @ (pose[:3, :3] @ np.linalg.inv(K)).T
        directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
        away = centre - pose[:3, 3]
        along = np.maximum(directions @ away, 0.0)  # a ray has no part behind the camera
        masks.append(away @ away - 2 * along * (directions @ away) + along**2 < radius**2)
    return masks


def refine_by_hull(
    photos: Sequence[UInt8[np.ndarray, "_h _w 3"]],
    masks: Sequence[Bool[np.ndarray, "_h _w"]],
    intrinsics: Float64[np.ndarray, "V 3 3"],
    world_from_camera: Float64[np.ndarray, "V 4 4"],
    points: Float64[np.ndarray, "N 3"] | None = None,
) -> list[Bool[np.ndarray, "_h _w"]]:
    """Masks that agree with each other and with the colours, from rough ones.

    Hull and colours work on photos reduced to `LONGEST` pixels, where the hull's cells are
    two pixels wide, or more if there would be too many; near its outline the colours at full size
    decide.

    Args:
        photos: sizes may differ.
        masks: rough: with parts missing or added, or merely the outlines of a sphere that holds the
            object. An object that reaches beyond all of them grows back a little only.
        intrinsics: K, half-pixel centres.
        world_from_camera: rigid OpenCV poses of cameras that look at the object.
        points: of the object's surface; where they lie close together in a photo is object.

    Raises:
        Mistake: if the cameras do not look at one place, or nothing is left of the object.
    """
    views, factors = small_views(photos, intrinsics, world_from_camera)
    outlines = reduced(masks, factors)
    proven = _proven(views, points)
    for _ in range(ROUNDS):
        outlines = _round(views, _either(outlines, proven), proven)
    outlines = _either(outlines, proven)
    ratios = _colours(views, outlines)
    return [
        _decided(photo, outline, ratios, n)
        for photo, outline, n in zip(photos, outlines, factors, strict=True)
    ]


def small_views(
    photos: Sequence[UInt8[np.ndarray, "_h _w 3"]],
    intrinsics: Float64[np.ndarray, "V 3 3"],
    world_from_camera: Float64[np.ndarray, "V 4 4"],
) -> tuple[Views, list[int]]:
    """Photos of at most `LONGEST` pixels with their cameras, and by how much each was reduced."""
    factors = [max(1, -(-max(photo.shape) // LONGEST)) for photo in photos]
    small = [
        np.rint(box_average(photo, n)).astype(np.uint8)
        for photo, n in zip(photos, factors, strict=True)
    ]
    matrices = [downscale_intrinsics(K, n) for K, n in zip(intrinsics, factors, strict=True)]
    return Views(small, np.stack(matrices), world_from_camera), factors


def reduced(masks: Outlines, factors: Sequence[int]) -> list[Bool[np.ndarray, "_h _w"]]:
    """Masks of small photos."""
    return [box_average(mask, n) > 0.5 for mask, n in zip(masks, factors, strict=True)]


def _proven(
    views: Views, points: Float64[np.ndarray, "N 3"] | None
) -> list[Bool[np.ndarray, "_h _w"]]:
    """Pixels between points of the object that lie close together; one by itself may be wrong."""
    if points is None or not len(points):
        return [np.zeros(photo.shape[:2], bool) for photo in views.photos]
    return [
        _between(seen_pixels(K, pose, points, photo.shape[:2]), photo.shape[:2])
        for photo, K, pose in zip(*views, strict=True)
    ]


def _between(positions: Int[np.ndarray, " N"], size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    hit = np.zeros(size[0] * size[1] + 1, bool)
    hit[positions] = True
    hit = np.pad(hit[:-1].reshape(size), int(GAP) + 1)
    if not hit[1:-1, 1:-1].any():
        return np.zeros(size, bool)
    closed = distance_from(distance_from(hit) > GAP) > GAP
    core = distance_from(~closed) > LOOSE
    opened = distance_from(core) < LOOSE if core.any() else core
    rim = int(GAP) + 1
    return opened[rim:-rim, rim:-rim]


def _either(one: Outlines, other: Outlines) -> list[Bool[np.ndarray, "_h _w"]]:
    return [a | b for a, b in zip(one, other, strict=True)]


def _round(views: Views, outlines: Outlines, proven: Outlines) -> list[Bool[np.ndarray, "_h _w"]]:
    """New outlines: of the hull that agrees best with the colours of the old ones."""
    ratios = _colours(views, outlines)
    evidence = [
        np.where(certain, MOST, object_evidence(photo, ratios, BLUR))
        for photo, certain in zip(views.photos, proven, strict=True)
    ]
    near = _grown(outlines)
    likely = [(value > 0) & around for value, around in zip(evidence, near, strict=True)]
    solid = [filled(mask) for mask in likely]
    cells, dissent = carve_cells(views, solid)
    hull = cells._replace(centres=cells.centres[dissent <= OVERRULED])
    likely = [
        mask & ~hole for mask, hole in zip(solid, open_holes(views, likely, hull), strict=True)
    ]
    dissent = dissent_of(views, cells, likely)
    least = list(least_dissent(views, cells, dissent))
    # Half a view between the shares: dissent is a count over the views that show a cell.
    shares = (np.arange(int(LENIENT * len(near)) + 1) + 0.5) / len(near)
    contradiction = [
        sum(
            np.abs(value)[around & ((image <= share) != mask)].sum()
            for value, around, image, mask in zip(evidence, near, least, likely, strict=True)
        )
        for share in shares
    ]
    share = shares[int(np.argmin(contradiction))]
    return [image <= share for image in least]


def _colours(views: Views, outlines: Outlines) -> Float32[np.ndarray, " colours"]:
    """Log-ratios of the colours inside and outside the outlines, of all photos together."""
    known = [pair for pair in zip(views.photos, outlines, strict=True) if pair[1].any()]
    if all(mask.all() for _, mask in known):  # also if none is known
        side = "every" if known else "no"
        raise Mistake(
            f"the masks of the {len(outlines)} photos have {side} pixel on the object; expected"
            " object and surroundings in them; start from other masks, or give a folder of masks"
        )
    photos, masks = zip(*known, strict=True)
    return colour_ratios(photos, masks)


def _grown(outlines: Outlines) -> list[Bool[np.ndarray, "_h _w"]]:
    """Where the object may be next; everywhere for a blank outline."""
    size = np.sqrt(np.median([mask.sum() for mask in outlines if mask.any()]))
    return [
        distance_from(mask) <= REACH * size  # 0 everywhere for a blank mask
        for mask in outlines
    ]


def _decided(
    photo: UInt8[np.ndarray, "H W 3"],
    outline: Bool[np.ndarray, "h w"],
    ratios: Float32[np.ndarray, " colours"],
    factor: int,
) -> Bool[np.ndarray, "H W"]:
    """A mask at full size: of colours, and of a leaning that grows away from the hull's outline.

    Colours alone decide within `SLACK` pixels of the small photo, and are outvoted `BAND` further.
    A hole is kept if most of it is open in the hull.
    """
    inside, outside = (np.maximum(distance_from(side) - SLACK, 0) for side in (~outline, outline))
    leaning = MOST * np.clip((inside - outside) / BAND, -1.0, 1.0)
    evidence = object_evidence(photo, ratios, FINAL_BLUR)
    mask = cleaned(evidence + enlarged(leaning, factor, evidence.shape) > 0)
    holes = parts_of(filled(mask) & ~mask)
    inside = enlarged(outline.astype(np.float32), factor, evidence.shape)
    closed = np.bincount(holes.ravel(), inside.ravel()) > 0.5 * np.bincount(holes.ravel())
    closed[0] = False
    return mask | closed[holes]


def enlarged(
    image: Float[np.ndarray, "h w"], factor: int, size: tuple[int, ...]
) -> Float[np.ndarray, "H W"]:
    """Undoes `box_average`; its remainder at the right and bottom repeats the last pixels."""
    large = image.repeat(factor, axis=0).repeat(factor, axis=1)
    rest = [(0, full - side) for full, side in zip(size, large.shape, strict=True)]
    return np.pad(large, rest, mode="edge")
