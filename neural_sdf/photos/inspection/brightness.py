"""Whether the same places on the object are equally bright in all photos.

A photo's gain is by how much it shows places of the hull's surface brighter than other photos do. A
shadow that falls on the object makes a few photos darker; automatic exposure makes others brighter
too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float, Float64, UInt8
from scipy import ndimage

from neural_sdf.photos.files.findings import Finding
from neural_sdf.photos.files.images import LUMA
from neural_sdf.photos.outlines.hull import carve, grid
from neural_sdf.photos.outlines.shown import shown_pixels

FACING = 0.5  # cosine between a surface's normal and the camera's direction
SMOOTH = 2.0  # cells over which the hull's normals are taken
EXPOSED = (4.0, 251.0)  # grey values that are neither black nor burnt out
FEWEST_SEEN, FEWEST_PLACES = 3, 30  # photos of a place, and places in a photo, that say something
ROUNDS = 10  # of alternating medians
BRIGHTER = np.log(1.12)  # of the upper tenth of the photos over the typical one
APART = np.log(1.25)  # of the upper quarter over the lower


def uneven_brightness(
    photos: Sequence[UInt8[np.ndarray, "_h _w 3"]],
    masks: Sequence[Bool[np.ndarray, "_h _w"]],
    intrinsics: Float64[np.ndarray, "V 3 3"],
    scene_from_camera: Float64[np.ndarray, "V 4 4"],
) -> Iterator[Finding]:
    """A note if some photos show the object much brighter than others do."""
    places, normals = _surface(masks, intrinsics, scene_from_camera)
    views = zip(photos, masks, intrinsics, scene_from_camera, strict=True)
    logs = [_log_grey(*view, places, normals) for view in views]
    gains = _gains(np.array(logs))
    if len(gains) < FEWEST_SEEN:
        return
    darkest, darker, typical, brighter, brightest = np.quantile(gains, [0.1, 0.25, 0.5, 0.75, 0.9])
    if brightest - typical > BRIGHTER or brighter - darker > APART:
        yield Finding(
            "uneven-brightness",
            "note",
            f"the same places on the object are {np.exp(brightest - darkest):.2g} times as bright"
            " in some photos as in others, expected nearly the same: automatic exposure, or a light"
            " that moved",
            "take photos with fixed exposure and white balance under a still light; else expect"
            " low PSNR of held-out views and bumps on smooth walls",
        )


def _surface(
    masks: Sequence[Bool[np.ndarray, "_h _w"]],
    intrinsics: Float64[np.ndarray, "V 3 3"],
    scene_from_camera: Float64[np.ndarray, "V 4 4"],
) -> tuple[Float64[np.ndarray, "N 3"], Float64[np.ndarray, "N 3"]]:
    """Points on the hull in the region of interest, and normals there that point outward."""
    points, _ = grid(-np.ones(3), np.ones(3))
    side = round(len(points) ** (1 / 3))
    inside = carve(points, masks, intrinsics, scene_from_camera).reshape(side, side, side)
    smooth = np.asarray(ndimage.gaussian_filter(inside.astype(np.float64), SMOOTH))
    rim = inside & ~np.asarray(ndimage.binary_erosion(inside), bool)
    normals = -np.moveaxis(np.array(np.gradient(smooth)), 0, -1)[rim]
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    return points[rim.ravel()], normals / np.maximum(length, 1e-12)


def _log_grey(
    photo: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    K: Float64[np.ndarray, "3 3"],
    pose: Float64[np.ndarray, "4 4"],
    places: Float64[np.ndarray, "N 3"],
    normals: Float64[np.ndarray, "N 3"],
) -> Float64[np.ndarray, " N"]:
    """Logarithm of the grey value at each place; NaN where the photo does not show it well."""
    towards = pose[:3, 3] - places
    facing = np.sum(towards * normals, axis=1) > FACING * np.linalg.norm(towards, axis=1)
    shown, row, column = shown_pixels(K @ pose[:3, :3].T @ -towards.T, mask.shape)
    grey = photo[row, column] @ LUMA
    exposed = (grey > EXPOSED[0]) & (grey < EXPOSED[1])
    logs = np.full(len(places), np.nan)
    seen = shown & facing & mask[row, column] & exposed
    logs[seen] = np.log(grey[seen])
    return logs


def _gains(logs: Float64[np.ndarray, "V N"]) -> Float[np.ndarray, " W"]:
    """Logarithms of the gains of the photos that say something, by alternating medians."""
    logs = logs[:, np.isfinite(logs).sum(axis=0) >= FEWEST_SEEN]
    logs = logs[np.isfinite(logs).sum(axis=1) >= FEWEST_PLACES]
    logs = logs[:, np.isfinite(logs).any(axis=0)]
    gains = np.zeros(len(logs))
    for _ in range(ROUNDS if logs.size else 0):
        albedo = np.nanmedian(logs - gains[:, None], axis=0)
        gains = np.nanmedian(logs - albedo, axis=1)
    return gains
