"""The visual hull of masks that are not certain: cells that nearly all photos hold.

Carved from coarse to fine, to cells of about two pixels. How many photos contradict a cell is kept,
so that a stricter or a more lenient hull can be drawn from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Float32, Float64, Int, UInt8
from scipy import ndimage

from neural_sdf.geometry import project
from neural_sdf.mistake import Mistake
from neural_sdf.photos.outlines.growth import LENIENT
from neural_sdf.photos.outlines.hull import enough_photos, grid, viewed_place

BOX_PASSES = 3  # as for the region of interest
CELL = 2.0  # side of the hull's cells, pixels of the small photos; finer ones gain nothing
MOST_CELLS = 2**20  # bounds memory and time; cells stay coarser where it would be exceeded
CHUNK = 2**16  # points projected at once, so that one program is compiled


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


def carve_cells(
    views: Views, masks: Sequence[Bool[np.ndarray, "_h _w"]]
) -> tuple[Cells, Float[np.ndarray, " N"]]:
    """Cells that nearly all masks hold, and their dissent.

    Dissent is the share of the photos showing a cell's centre that show it off the object. Coarse
    cells are kept if any part of them may be inside, and then split in eight.

    Raises:
        Mistake: if nothing is left, or the cameras do not look at one place.
    """
    if not any(mask.any() for mask in masks):
        raise _nothing_left(len(masks))
    off = [distance_from(mask) for mask in masks]
    middle, distance = viewed_place(views.world_from_camera)
    cells = Cells(*grid(middle - distance, middle + distance))
    for _ in range(BOX_PASSES):
        centres = _kept(views, off, cells, cells.reach)[0].centres
        lower, upper = centres.min(axis=0), centres.max(axis=0)
        cells = Cells(*grid(lower - cells.spacing, upper + cells.spacing))
    while np.median(pixels_wide(views, cells, cells.spacing.max())) > CELL:
        kept, _ = _kept(views, off, cells, cells.reach)
        if 8 * len(kept.centres) > MOST_CELLS:
            break
        cells = _split(kept)
    return _kept(views, off, cells, 0.0)


def least_dissent(
    views: Views, cells: Cells, dissent: Float[np.ndarray, " N"]
) -> Iterator[Float32[np.ndarray, "h w"]]:
    """For each photo, the least dissent of the cells behind a pixel; 1 where there is none."""
    pitches = np.ceil(pixels_wide(views, cells, cells.spacing.max())).astype(int)
    for photo, K, pose, pitch in zip(*views, pitches, strict=True):
        size = photo.shape[:2]
        least = np.ones(size[0] * size[1] + 1, np.float32)
        np.minimum.at(least, seen_pixels(K, pose, cells.centres, size), dissent)
        # Between the centres of neighbouring cells there are pixels that none falls into.
        side = max(3, pitch | 1)
        yield ndimage.grey_opening(least[:-1].reshape(size), (side, side))


def distance_from(mask: Bool[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Of each pixel from a mask; 0 for a blank mask: it says nothing."""
    if not mask.any():
        return np.zeros(mask.shape, np.float32)
    return np.asarray(ndimage.distance_transform_edt(~mask), np.float32)


def dissent_of(
    views: Views, cells: Cells, masks: Sequence[Bool[np.ndarray, "_h _w"]]
) -> Float[np.ndarray, " N"]:
    """The dissent of cells that were carved by other masks."""
    return _counted(views, [distance_from(mask) for mask in masks], cells, 0.0)[1]


def _kept(
    views: Views, off: Sequence[Float32[np.ndarray, "_h _w"]], cells: Cells, reach: float
) -> tuple[Cells, Float[np.ndarray, " N"]]:
    """The cells whose centres are within `reach`, in world units, of nearly all masks; dissent."""
    shown, dissent = _counted(views, off, cells, reach)
    kept = (shown >= enough_photos(len(off))) & (dissent <= LENIENT)
    if not kept.any():
        raise _nothing_left(len(off))
    return cells._replace(centres=cells.centres[kept]), dissent[kept]


def _counted(
    views: Views, off: Sequence[Float32[np.ndarray, "_h _w"]], cells: Cells, reach: float
) -> tuple[Int[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """How many photos show each cell, and the share of them further than `reach` from it."""
    shown, outside = np.zeros((2, len(cells.centres)), np.int32)
    cameras = zip(views.intrinsics, views.world_from_camera, strict=True)
    reaches = pixels_wide(views, cells, reach)
    for (K, pose), distance, pixels in zip(cameras, off, reaches, strict=True):
        seen = seen_pixels(K, pose, cells.centres, distance.shape)
        shown += seen < distance.size
        outside += np.append(distance.ravel() > pixels, False)[seen]
    return shown, outside / np.maximum(shown, 1)


def _nothing_left(num_photos: int) -> Mistake:
    return Mistake(
        f"nothing is left of the object: no place is on it in nearly all of {num_photos} photos;"
        " expected an object whose colours differ from those around it, and masks and cameras that"
        " agree; look at the cameras with python scripts/inspect_scene.py, or give a folder of"
        " masks"
    )


def pixels_wide(views: Views, cells: Cells, length: float) -> Float64[np.ndarray, " V"]:
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


def seen_pixels(
    K: Float[np.ndarray, "3 3"],
    pose: Float[np.ndarray, "4 4"],
    points: Float[np.ndarray, "N 3"],
    size: tuple[int, int],
) -> Int[np.ndarray, " N"]:
    """Position, row by row, of the pixel that shows each point; the number of pixels for none."""
    if not len(points):
        return np.zeros(0, np.int32)
    padding = -len(points) % CHUNK
    chunks = np.pad(points, ((0, padding), (0, 0)), mode="edge").reshape(-1, CHUNK, 3)
    seen = [np.asarray(_positions(K, pose, chunk, size)) for chunk in chunks]
    return np.concatenate(seen)[: len(points)]


@partial(jax.jit, static_argnames="size")
def _positions(
    K: ArrayLike, pose: ArrayLike, points: ArrayLike, size: tuple[int, int]
) -> Int[Array, " N"]:
    height, width = size
    pixels, depth = jax.vmap(project, in_axes=(None, None, 0))(K, pose, points)
    within = (depth > 0) & (pixels >= 0).all(-1) & (pixels < jnp.array([width, height])).all(-1)
    column, row = jnp.where(within[:, None], pixels, 0).astype(jnp.int32).T
    return jnp.where(within, row * width + column, height * width)
