"""Masks made from photos: by a plain background, or by hull and colour together.

The second alternates between two sources, as Campbell, Vogiatzis, Hernández and Cipolla,
"Automatic 3D object segmentation in multiple views using volumetric graph-cuts" (2010): colours
inside and outside the outlines say which pixels are the object's, and a visual hull (Laurentini
1994) of these pixels gives new outlines, which agree between the views. Instead of a graph cut, the
hull may be contradicted by a share of the views, and the share is chosen where hull and colours
agree best. What lies outside a photo is unknown, not background; a blank mask says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Float32, Float64, Int, UInt8
from scipy import ndimage

from neural_sdf.data.colours import (
    MOST,
    background_distance,
    colour_ratios,
    object_evidence,
    plain_threshold,
)
from neural_sdf.data.consistency import LENIENT
from neural_sdf.data.hull import QUORUM, grid, viewed_place
from neural_sdf.data.images import box_average, downscale_intrinsics
from neural_sdf.geometry import project

CLEFT = 1 / 320  # half the width of a shadow that is closed, as share of a photo's longer side
HOLE, SPECK = 0.002, 0.02  # filled, and removed, if smaller: shares of the object, of its main part
SQUARE = np.ones((3, 3), bool)

LONGEST = 320  # pixels of a photo's longer side, for colours and hull
ROUNDS = 4  # the last gains less than 0.002 of overlap with the masks of any set looked at
REACH = 0.05  # of the object's size: how far a round may move an outline outwards
BOX_PASSES = 3  # as for the region of interest
CELL = 2.0  # side of the hull's cells, pixels of the small photos; finer ones gain nothing
MOST_CELLS = 2**20  # bounds memory and time; cells stay coarser where it would be exceeded
CHUNK = 2**16  # points projected at once, so that one program is compiled
SLACK, BAND = 1.0, 3.0  # pixels of the small photos: the hull is sure to one, colours to a few
BLUR, FINAL_BLUR = 1.0, 0.7  # of the evidence, pixels
MEND = "make masks by hull, --masks=hull, or give a folder of masks, --masks=DIR"


class Views(NamedTuple):
    """Small photos with their cameras: `photos` [V][h, w, 3], the matrices [V, ...]."""

    photos: list[UInt8[np.ndarray, "_h _w 3"]]
    intrinsics: Float64[np.ndarray, "V 3 3"]
    world_from_camera: Float64[np.ndarray, "V 4 4"]


class Cells(NamedTuple):
    """Cubes of space, by their centres [N, 3] and sides [3], world units."""

    centres: Float64[np.ndarray, "N 3"]
    spacing: Float64[np.ndarray, "3"]

    @property
    def reach(self) -> float:
        """From a cell's centre to its corners."""
        return float(np.linalg.norm(self.spacing)) / 2


def plain_background(
    photos: Sequence[UInt8[np.ndarray, "_h _w 3"]],
) -> list[Bool[np.ndarray, "_h _w"]]:
    """Masks of an object before a plain background, whose colour is that of the photos' borders.

    Each photo has its own background colour, since exposures differ; all have one threshold.

    Args:
        photos: sizes may differ.

    Raises:
        ValueError: if the background is not plain.
    """
    distances = [background_distance(photo) for photo in photos]
    threshold = plain_threshold(distances)
    if threshold is None:
        raise ValueError(
            f"the background of the {len(photos)} photos is not plain: the colours of their borders"
            " spread as far as those of the object; expected one colour at the borders of all"
            f" photos that the object does not have; {MEND}"
        )
    return [_mask(distance, threshold) for distance in distances]


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

    Raises:
        ValueError: if the cameras do not look at one place, or nothing is left of the object.
    """
    factors = [max(1, -(-max(photo.shape) // LONGEST)) for photo in photos]
    views = _small_views(photos, factors, intrinsics, world_from_camera)
    outlines = [box_average(mask, n) > 0.5 for mask, n in zip(masks, factors, strict=True)]
    for _ in range(ROUNDS):
        outlines = _round(views, outlines)
    ratios = _colours(views, outlines)
    return [
        _decided(photo, outline, ratios, n)
        for photo, outline, n in zip(photos, outlines, factors, strict=True)
    ]


def _mask(distance, threshold) -> Bool[np.ndarray, "h w"]:
    """The object of one photo, from the distances of its colours.

    A rim pixel mixes object and background; it is on the object if it holds more than half of it,
    so if its distance is more than half the largest beside it.
    """
    mask = np.asarray(distance >= threshold)
    rim = mask & ~np.asarray(ndimage.binary_erosion(mask, SQUARE, border_value=1), bool)
    mask &= ~(rim & (2.0 * distance < ndimage.maximum_filter(distance, 3)))
    steps = int(CLEFT * max(mask.shape))
    if steps:
        padded = np.pad(mask, steps, mode="edge")  # closing would nibble at the photo's border
        mask = ndimage.binary_closing(padded, iterations=steps)[steps:-steps, steps:-steps]
    return _cleaned(mask)


def _cleaned(mask) -> Bool[np.ndarray, "h w"]:
    """Without small holes and specks; a hole at the photo's border may go on outside it."""
    holes = _parts(~mask)
    sizes = np.bincount(holes.ravel())
    small = sizes < HOLE * mask.sum()
    small[0] = False
    small[np.unique(np.concatenate([holes[[0, -1]].ravel(), holes[:, [0, -1]].ravel()]))] = False
    parts = _parts(mask | small[holes])
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return (sizes >= max(1.0, SPECK * sizes.max()))[parts]


def _parts(mask) -> Int[np.ndarray, "h w"]:
    """Number of the connected part that each pixel is in, 0 outside the mask."""
    parts = np.empty(mask.shape, np.int32)
    ndimage.label(mask, output=parts)
    return parts


def _small_views(photos, factors, intrinsics, world_from_camera) -> Views:
    small = [
        np.rint(box_average(photo, n)).astype(np.uint8)
        for photo, n in zip(photos, factors, strict=True)
    ]
    reduced = [downscale_intrinsics(K, n) for K, n in zip(intrinsics, factors, strict=True)]
    return Views(small, np.stack(reduced), world_from_camera)


def _round(views: Views, outlines) -> list[Bool[np.ndarray, "_h _w"]]:
    """New outlines: of the hull that agrees best with the colours of the old ones."""
    ratios = _colours(views, outlines)
    evidence = [object_evidence(photo, ratios, BLUR) for photo in views.photos]
    near = _grown(outlines)
    likely = [(value > 0) & around for value, around in zip(evidence, near, strict=True)]
    cells, dissent = _hull(views, likely)
    least = list(_least_dissent(views, cells, dissent))
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


def _colours(views: Views, outlines) -> Float32[np.ndarray, " colours"]:
    """Log-ratios of the colours inside and outside the outlines, of all photos together."""
    known = [pair for pair in zip(views.photos, outlines, strict=True) if pair[1].any()]
    if all(mask.all() for _, mask in known):  # also if none is known
        side = "every" if known else "no"
        raise ValueError(
            f"the masks of the {len(outlines)} photos have {side} pixel on the object; expected"
            " object and surroundings in them; start from other masks, or give a folder of masks,"
            " --masks=DIR"
        )
    photos, masks = zip(*known, strict=True)
    return colour_ratios(photos, masks)


def _grown(outlines) -> list[Bool[np.ndarray, "_h _w"]]:
    """Where the object may be next; everywhere for a blank outline."""
    size = np.sqrt(np.median([mask.sum() for mask in outlines if mask.any()]))
    return [
        _distance(mask) <= REACH * size  # 0 everywhere for a blank mask
        for mask in outlines
    ]


def _hull(views: Views, masks) -> tuple[Cells, Float[np.ndarray, " N"]]:
    """Cells that nearly all masks hold, and their dissent.

    Dissent is the share of the photos showing a cell's centre that show it off the object. Coarse
    cells are kept if any part of them may be inside, and then split in eight.
    """
    if not any(mask.any() for mask in masks):
        raise _nothing_left(len(masks))
    off = [_distance(mask) for mask in masks]
    middle, distance = viewed_place(views.world_from_camera)
    cells = Cells(*grid(middle - distance, middle + distance))
    for _ in range(BOX_PASSES):
        centres = _kept(views, off, cells, cells.reach)[0].centres
        lower, upper = centres.min(axis=0), centres.max(axis=0)
        cells = Cells(*grid(lower - cells.spacing, upper + cells.spacing))
    while np.median(_pixels(views, cells, cells.spacing.max())) > CELL:
        kept, _ = _kept(views, off, cells, cells.reach)
        if 8 * len(kept.centres) > MOST_CELLS:
            break
        cells = _split(kept)
    return _kept(views, off, cells, 0.0)


def _distance(mask) -> Float32[np.ndarray, "h w"]:
    """Of each pixel from a mask; 0 for a blank mask: it says nothing."""
    if not mask.any():
        return np.zeros(mask.shape, np.float32)
    return np.asarray(ndimage.distance_transform_edt(~mask), np.float32)


def _kept(views: Views, off, cells: Cells, reach: float) -> tuple[Cells, Float[np.ndarray, " N"]]:
    """The cells whose centres are within `reach`, in world units, of nearly all masks; dissent."""
    shown, outside = np.zeros((2, len(cells.centres)), np.int32)
    cameras = zip(views.intrinsics, views.world_from_camera, strict=True)
    reaches = _pixels(views, cells, reach)
    for (K, pose), distance, pixels in zip(cameras, off, reaches, strict=True):
        seen = _seen_pixels(K, pose, cells.centres, distance.shape)
        shown += seen < distance.size
        outside += np.append(distance.ravel() > pixels, False)[seen]
    dissent = outside / np.maximum(shown, 1)
    kept = (shown >= max(1, QUORUM * len(off))) & (dissent <= LENIENT)
    if not kept.any():
        raise _nothing_left(len(off))
    return cells._replace(centres=cells.centres[kept]), dissent[kept]


def _nothing_left(num_photos: int) -> ValueError:
    return ValueError(
        f"nothing is left of the object: no place is on it in nearly all of {num_photos} photos;"
        " expected an object whose colours differ from those around it, and masks and cameras that"
        " agree; look at the cameras with scripts/inspect_scene.py, or give a folder of masks,"
        " --masks=DIR"
    )


def _pixels(views: Views, cells: Cells, length: float) -> Float64[np.ndarray, " V"]:
    """A length at the cells' middle, as each photo shows it."""
    middle = (cells.centres.min(axis=0) + cells.centres.max(axis=0)) / 2
    poses = views.world_from_camera
    depth = np.sum((middle - poses[:, :3, 3]) * poses[:, :3, 2], axis=1)
    focal = np.sqrt(views.intrinsics[:, 0, 0] * views.intrinsics[:, 1, 1])
    return np.where(depth > 0, length * focal / np.where(depth > 0, depth, 1.0), 0.0)


def _split(cells: Cells) -> Cells:
    corners = np.stack(np.meshgrid(*[(-0.25, 0.25)] * 3, indexing="ij"), axis=-1).reshape(8, 3)
    centres = cells.centres[:, None] + corners * cells.spacing
    return Cells(centres.reshape(-1, 3), cells.spacing / 2)


def _least_dissent(views: Views, cells: Cells, dissent) -> Iterator[Float32[np.ndarray, "h w"]]:
    """For each photo, the least dissent of the cells behind a pixel; 1 where there is none."""
    pitches = np.ceil(_pixels(views, cells, cells.spacing.max())).astype(int)
    for photo, K, pose, pitch in zip(*views, pitches, strict=True):
        size = photo.shape[:2]
        least = np.ones(size[0] * size[1] + 1, np.float32)
        np.minimum.at(least, _seen_pixels(K, pose, cells.centres, size), dissent)
        # Between the centres of neighbouring cells there are pixels that none falls into.
        side = max(3, pitch | 1)
        yield ndimage.grey_opening(least[:-1].reshape(size), (side, side))


def _seen_pixels(K, pose, points, size: tuple[int, int]) -> Int[np.ndarray, " N"]:
    """Position, row by row, of the pixel that shows each point; the number of pixels for none."""
    padding = -len(points) % CHUNK
    chunks = np.pad(points, ((0, padding), (0, 0)), mode="edge").reshape(-1, CHUNK, 3)
    seen = [np.asarray(_positions(K, pose, chunk, size)) for chunk in chunks]
    return np.concatenate(seen)[: len(points)]


@partial(jax.jit, static_argnames="size")
def _positions(K, pose, points, size: tuple[int, int]) -> Int[Array, " N"]:
    height, width = size
    pixels, depth = jax.vmap(project, in_axes=(None, None, 0))(K, pose, points)
    within = (depth > 0) & (pixels >= 0).all(-1) & (pixels < jnp.array([width, height])).all(-1)
    column, row = jnp.where(within[:, None], pixels, 0).astype(jnp.int32).T
    return jnp.where(within, row * width + column, height * width)


def _decided(photo, outline, ratios, factor: int) -> Bool[np.ndarray, "h w"]:
    """A mask at full size: of colours, and of a leaning that grows away from the hull's outline.

    Colours alone decide within `SLACK` pixels of the small photo, and are outvoted `BAND` further.
    """
    inside, outside = (np.maximum(_distance(side) - SLACK, 0) for side in (~outline, outline))
    leaning = MOST * np.clip((inside - outside) / BAND, -1.0, 1.0)
    evidence = object_evidence(photo, ratios, FINAL_BLUR)
    return _cleaned(evidence + _enlarged(leaning, factor, evidence.shape) > 0)


def _enlarged(image, factor: int, size: tuple[int, ...]) -> Float32[np.ndarray, "h w"]:
    """Undoes `box_average`; its remainder at the right and bottom repeats the last pixels."""
    large = image.repeat(factor, axis=0).repeat(factor, axis=1)
    rest = [(0, full - side) for full, side in zip(size, large.shape, strict=True)]
    return np.pad(large, rest, mode="edge")
