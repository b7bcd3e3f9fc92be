"""Lens distortion, undone in the photos, so that every ray of a scene is a pinhole's.

The undistorted photo has the same K as the photo, and shows the largest upright window whose every
pixel was photographed. Only the map from ideal to photographed points is needed for it, not its
inverse; `lens_models` has it for each kind of lens.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64
from scipy import ndimage

from neural_sdf.photos.files.lens_models import Curved, Lens

ROWS = 64  # of the map that are computed at a time
FAR = 1e9  # on the plane Z = 1, beyond any photo


class Window(NamedTuple):
    """The pixels of the photo's grid that an undistorted photo keeps: rows and columns from, to."""

    top: int
    bottom: int
    left: int
    right: int


def lens_or_none(lens: Lens) -> Lens | None:
    """The lens; None if it is a pinhole."""
    return lens if isinstance(lens, Curved) or any(lens) else None


def distort(lens: Lens, ideal: Float[np.ndarray, "*batch 2"]) -> Float[np.ndarray, "*batch 2"]:
    """Photographed image points of ideal ones; both on the plane Z = 1."""
    return np.stack(lens.distort(ideal[..., 0], ideal[..., 1]), axis=-1)


def window(
    lens: Lens, intrinsics: Float64[np.ndarray, "3 3"], height: int, width: int
) -> Window | None:
    """What of the ideal pixel grid was photographed, without a gap; None if nothing was.

    Args:
        lens: of the photo.
        intrinsics: K of the photo, pixels, [3, 3].
        height: of the photo, pixels.
        width: of the photo, pixels.
    """
    K = intrinsics
    row, column = shown_places(lens, K, Window(0, height, 0, width))
    # Half a pixel beyond the outermost centres is still the photo's edge.
    inside = (np.abs(column - (width - 1) / 2) <= width / 2) & (
        np.abs(row - (height - 1) / 2) <= height / 2
    )
    inside &= _is_upright(row, column)
    # Behind a fold the map may be upright again; only what is joined to the middle is meant.
    parts = np.empty(inside.shape, np.int32)
    ndimage.label(inside, output=parts)
    middle = parts[int(np.clip(K[1, 2], 0, height - 1)), int(np.clip(K[0, 2], 0, width - 1))]
    inside &= (parts == middle) & (middle > 0)
    return _largest(inside)


def shown_places(
    lens: Lens, intrinsics: Float64[np.ndarray, "3 3"], kept: Window
) -> Float[np.ndarray, "2 h w"]:
    """The (row, column) that a pinhole camera's pixels show, from the first pixel's centre.

    Args:
        lens: of the photo.
        intrinsics: K of the photo, pixels, [3, 3].
        kept: the pixels asked about.
    """
    return _map(lens, intrinsics.tobytes(), kept)


def resampled(
    photo: Float[np.ndarray, "H W *c"], source: Float[np.ndarray, "2 h w"]
) -> Float[np.ndarray, "h w *c"]:
    """The values of a photo at places between its pixels, by bilinear interpolation."""
    channels = np.moveaxis(photo.reshape(*photo.shape[:2], -1), -1, 0)
    moved = [ndimage.map_coordinates(c, source, order=1, mode="nearest") for c in channels]
    return np.stack(moved, axis=-1).reshape(*source.shape[1:], *photo.shape[2:])


def cropped(intrinsics: Float64[np.ndarray, "3 3"], kept: Window) -> Float64[np.ndarray, "3 3"]:
    """K of the photo cut down to a window."""
    shift = np.zeros((3, 3))
    shift[:2, 2] = kept.left, kept.top
    return intrinsics - shift


@functools.lru_cache(maxsize=4)  # most sets have one camera; a map of 2 megapixels takes 16 MB
def _map(lens: Lens, intrinsics: bytes, kept: Window) -> Float[np.ndarray, "2 h w"]:
    K = np.frombuffer(intrinsics).reshape(3, 3)
    source = np.empty((2, kept.bottom - kept.top, kept.right - kept.left), np.float32)
    for top in range(kept.top, kept.bottom, ROWS):  # a few rows at a time, for memory's sake
        columns, rows = np.meshgrid(
            np.arange(kept.left, kept.right) + 0.5,
            np.arange(top, min(top + ROWS, kept.bottom)) + 0.5,
        )
        y = (rows - K[1, 2]) / K[1, 1]
        x = (columns - K[0, 2] - K[0, 1] * y) / K[0, 0]
        bent = distort(lens, np.stack([x, y], axis=-1))
        bent = np.clip(bent, -FAR, FAR)  # NaN, where nothing was photographed, is in no window
        here = slice(top - kept.top, top - kept.top + ROWS)
        source[0, here] = K[1, 1] * bent[..., 1] + K[1, 2] - 0.5
        source[1, here] = K[0, 0] * bent[..., 0] + K[0, 1] * bent[..., 1] + K[0, 2] - 0.5
    return source


def _is_upright(
    row: Float[np.ndarray, "H W"], column: Float[np.ndarray, "H W"]
) -> Bool[np.ndarray, "H W"]:
    """Where the map keeps its sense of turning: beyond the fold of a polynomial it is reversed."""
    if min(row.shape) < 2:
        return np.ones(row.shape, bool)
    row_down, row_across = (np.gradient(row, axis=axis) for axis in (0, 1))
    column_down, column_across = (np.gradient(column, axis=axis) for axis in (0, 1))
    return row_down * column_across - row_across * column_down > 0


def _largest(valid: Bool[np.ndarray, "H W"]) -> Window | None:
    """A window without a gap, by moving in the side that has most gaps, one pixel at a time."""
    top, bottom, left, right = 0, valid.shape[0], 0, valid.shape[1]
    gaps = ~valid
    while top < bottom and left < right:
        rows, columns = slice(top, bottom), slice(left, right)
        sides = (gaps[top, columns], gaps[bottom - 1, columns], gaps[rows, left])
        shares = [side.mean() for side in (*sides, gaps[rows, right - 1])]
        worst = int(np.argmax(shares))
        if shares[worst] == 0:
            return Window(top, bottom, left, right)
        top, bottom = top + (worst == 0), bottom - (worst == 1)
        left, right = left + (worst == 2), right - (worst == 3)
    return None
