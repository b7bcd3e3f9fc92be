"""The pixels of all views in the flat buffers of a `Scene`."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int32, UInt8

from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.capture import Header, View
from neural_sdf.photos.files.images import ImageError
from neural_sdf.photos.files.reduction import downscale_intrinsics
from neural_sdf.photos.files.views import Pinhole, read_view

MOST_PIXELS = 2**31 - 1  # positions in the pixel buffer are int32
PIXEL_BYTES = 4  # of a pixel in a scene: red, green, blue and mask
READING_BYTES = 44  # of a pixel at full size while its photo is read and reduced
LENS_BYTES = 24  # more of it where distortion is undone
ReadView = Callable[..., tuple[UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]]


class Photos(NamedTuple):
    """Photos as they are trained on: reduced, and without lens distortion.

    Attributes:
        rgb: of all pixels, row by row, one view after the other, [P, 3].
        mask: true on the object, everywhere where there are no masks, [P].
        offsets: first pixel of each view, and P at the end, [V + 1].
        sizes: (height, width) of each view, [V, 2].
        intrinsics: K of each view at that size, [V, 3, 3].
        errors: views that could not be read, whose pixels mean nothing.
    """

    rgb: UInt8[np.ndarray, "P 3"]
    mask: Bool[np.ndarray, " P"]
    offsets: Int32[np.ndarray, " V+1"]
    sizes: Int32[np.ndarray, "V 2"]
    intrinsics: Float64[np.ndarray, "V 3 3"]
    errors: list[tuple[View, ImageError]]


class Memory(NamedTuple):
    """What the pixels of a set take, bytes: afterwards, and at most while they are read."""

    kept: int
    reading: int


def photo_memory(
    views: Sequence[View],
    headers: Sequence[Header],
    pinholes: Sequence[Pinhole],
    *,
    downscale: int,
) -> Memory:
    """How much memory `read_photos` needs, before anything is read.

    Args:
        views: of which the photos are.
        headers: of the photos.
        pinholes: the views' cameras without lens distortion.
        downscale: as for `read_view`.

    Raises:
        Mistake: if the photos are too small to be reduced so, or too many.
    """
    sizes = _reduced_sizes([pinhole.size for pinhole in pinholes], downscale)
    kept = PIXEL_BYTES * int(sizes.prod(axis=1, dtype=np.int64).sum())
    largest = max(
        header.height * header.width * (READING_BYTES + (LENS_BYTES if view.lens else 0))
        for view, header in zip(views, headers, strict=True)
    )
    return Memory(kept, kept + largest * min(_num_readers(), len(views)))


def _num_readers() -> int:
    return os.cpu_count() or 1


def read_photos(
    views: Sequence[View],
    pinholes: Sequence[Pinhole],
    *,
    downscale: int,
    background: float,
    mask_shows: str,
    read: ReadView = read_view,
) -> Photos:
    """All photos and masks, read side by side.

    Args:
        views: in the order of the buffers.
        pinholes: the views' cameras without lens distortion.
        downscale: as for `read_view`.
        background: as for `read_view`.
        mask_shows: as for `read_view`.
        read: reads a view, as `read_view` does.

    Raises:
        Mistake: if the photos are too small to be reduced so, or too many.
    """
    sizes = _reduced_sizes([pinhole.size for pinhole in pinholes], downscale)
    intrinsics = np.stack([downscale_intrinsics(p.intrinsics, downscale) for p in pinholes])
    offsets = np.concatenate([[0], np.cumsum(sizes.prod(axis=1))]).astype(np.int32)
    rgb, mask = np.empty((offsets[-1], 3), np.uint8), np.empty(offsets[-1], bool)
    read_one = functools.partial(
        read, downscale=downscale, background=background, mask_shows=mask_shows
    )

    def fill(i: int) -> ImageError | None:
        here = slice(offsets[i], offsets[i + 1])
        try:
            photo, inside = read_one(views[i], pinholes[i].window)
        except ImageError as error:
            return error
        rgb[here], mask[here] = photo.reshape(-1, 3), inside.ravel()
        return None

    with ThreadPoolExecutor(_num_readers()) as pool:  # decoding releases the interpreter's lock
        errors = list(pool.map(fill, range(len(views))))
    failed = [(view, error) for view, error in zip(views, errors, strict=True) if error]
    return Photos(rgb, mask, offsets, sizes, intrinsics, failed)


def _reduced_sizes(full: Sequence[tuple[int, int]], downscale: int) -> Int32[np.ndarray, "V 2"]:
    """(height, width) of the reduced photos."""
    sizes = np.array(full) // downscale
    if not sizes.all():
        raise Mistake(
            f"downscale {downscale} leaves no pixel of a photo whose side is {np.min(full)} pixels;"
            " expected a smaller factor; set <downscale>"
        )
    num_pixels = int(sizes.prod(axis=1, dtype=np.int64).sum())
    if num_pixels > MOST_PIXELS:
        least = downscale * math.ceil(math.sqrt(num_pixels / MOST_PIXELS))
        raise Mistake(
            f"the photos hold {num_pixels} pixels; expected {MOST_PIXELS} or fewer; set"
            f" <downscale>={least}"
        )
    return sizes.astype(np.int32)
