"""Masks from a plain background: whatever differs from the one colour at the photos' borders.

The distances of all pixels from that colour have two hills, background and object, and a valley
between them, in which the threshold lies.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int, UInt8
from scipy import ndimage
from skimage.filters import threshold_otsu

from neural_sdf.mistake import Mistake

BORDER = 0.02  # width of the strip that shows the background, as share of a photo's longer side
SMOOTHING = 3.0  # of the count of distances, grey levels: more than the steps of an 8-bit file
FLAT = 1.25  # times the least count: what still is the valley's floor
DEPTH = 0.5  # the valley's floor over the lower hill, at most: else there are no two hills
CUT_OFF = 0.25  # share of all borders that may show the object
SPREADS = 3.0  # from the background to the threshold, at least, as for a three-sigma test
RARE = 1e-6  # share of all pixels that counts as none
CLEFT = 1 / 320  # half the width of a shadow that is closed, as share of a photo's longer side
HOLE, SPECK = 0.002, 0.02  # filled, and removed, if smaller: shares of the object, of its main part
SQUARE = np.ones((3, 3), bool)


def plain_background(
    photos: Sequence[UInt8[np.ndarray, "_h _w 3"]],
) -> list[Bool[np.ndarray, "_h _w"]]:
    """Masks of an object before a plain background, whose colour is that of the photos' borders.

    Each photo has its own background colour, since exposures differ; all have one threshold.

    Args:
        photos: sizes may differ.

    Raises:
        Mistake: if the background is not plain.
    """
    distances = [background_distance(photo) for photo in photos]
    threshold = plain_threshold(distances)
    if threshold is None:
        raise Mistake(
            f"the background of the {len(photos)} photos is not plain: the colours of their borders"
            " spread as far as those of the object; expected one colour at the borders of all"
            " photos that the object does not have; set <masks>=hull, or make masks elsewhere and"
            " give their folder"
        )
    return [_mask(distance, threshold) for distance in distances]


def background_distance(photo: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w"]:
    """Largest difference, over the channels, from the median colour of the photo's border.

    The median stands as long as the object covers less than half of the border.
    """
    background = np.rint(np.median(photo[_border(photo.shape[:2])], axis=0))
    return np.abs(photo - background.astype(np.int16)).max(axis=-1).astype(np.uint8)


def plain_threshold(distances: Sequence[UInt8[np.ndarray, "_h _w"]]) -> float | None:
    """Least distance of the object's colours from the background's; None if that is not plain.

    The near end of the valley's floor between the means of Otsu's (1979) two classes. His own
    threshold lies too far, where the object's colours spread more than the background's; the near
    end keeps dark sides of the object.

    Args:
        distances: of the pixels of all photos, as `background_distance` gives them.
    """
    counts = np.sum([np.bincount(image.ravel(), minlength=256) for image in distances], axis=0)
    if np.count_nonzero(counts) < 2:
        return None
    levels = np.arange(256)
    split = threshold_otsu(hist=(counts, levels))
    means = [
        int(np.average(levels[side], weights=counts[side]))
        for side in (levels <= split, levels > split)
    ]
    smooth = ndimage.gaussian_filter1d(counts.astype(np.float64), SMOOTHING, mode="nearest")
    between = np.arange(means[0], means[1] + 1)
    floor = smooth[between].min()
    threshold = between[smooth[between] <= FLAT * floor + RARE * counts.sum()][0]
    lower_hill = min(smooth[:threshold].max(initial=0), smooth[threshold:].max())
    border = np.concatenate([image[_border(image.shape)] for image in distances])
    calm = SPREADS * np.quantile(border, 1 - CUT_OFF) <= threshold
    return float(threshold) if calm and floor < DEPTH * lower_hill else None


def cleaned(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Without small holes and specks; a hole at the photo's border may go on outside it."""
    holes = parts_of(~mask)
    sizes = np.bincount(holes.ravel())
    small = sizes < HOLE * mask.sum()
    small[0] = False
    small[np.unique(np.concatenate([holes[[0, -1]].ravel(), holes[:, [0, -1]].ravel()]))] = False
    parts = parts_of(mask | small[holes])
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return (sizes >= max(1.0, SPECK * sizes.max()))[parts]


def _mask(distance: UInt8[np.ndarray, "h w"], threshold: float) -> Bool[np.ndarray, "h w"]:
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
    return cleaned(mask)


def _border(size: tuple[int, ...]) -> Bool[np.ndarray, "h w"]:
    width = max(1, round(BORDER * max(size)))
    border = np.ones(size, bool)
    border[width:-width, width:-width] = False
    return border


def parts_of(mask: Bool[np.ndarray, "h w"]) -> Int[np.ndarray, "h w"]:
    """Number of the connected part that each pixel is in, 0 outside the mask."""
    parts = np.empty(mask.shape, np.int32)
    ndimage.label(mask, output=parts)
    return parts
