"""Which colours are the object's: by their distance from a plain background, or by counting them.

A plain background is one colour with little spread, so that the distances of all pixels from it
have two hills, background and object, and a valley between them. Where the background is not plain,
colours are counted inside and outside an outline; the log-ratio of the two shares says which side
a pixel is likelier on (Bibby and Reid 2008, equation 9, with even priors). It may be counted with
an outline that is far too wide: if a share s of the inside is object, then
log((s p_object + (1 − s) p_around) / p_around) is positive just where p_object > p_around.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float32, Int, UInt8
from scipy import ndimage
from skimage.filters import threshold_otsu

BORDER = 0.02  # width of the strip that shows the background, as share of a photo's longer side
SMOOTHING = (
    3.0  # of the count of distances, grey levels of 255: more than the steps of an 8-bit file
)
FLAT = 1.25  # times the least count: what still is the valley's floor
DEPTH = 0.5  # the valley's floor over the lower hill, at most: else there are no two hills
CUT_OFF = 0.25  # share of all borders that may show the object
SPREADS = 3.0  # from the background to the threshold, at least, as for a three-sigma test

BIN = 8  # grey levels a side: noise of a few levels stays in a bin or its neighbour
BINS = 256 // BIN
RARE = 1e-6  # added to shares: a colour seen in fewer pixels of a million says nothing
MOST = 3.0  # log-ratio: one pixel outvotes no more than a few others


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


def colour_ratios(
    photos: Sequence[UInt8[np.ndarray, "_h _w 3"]], masks: Sequence[Bool[np.ndarray, "_h _w"]]
) -> Float32[np.ndarray, " colours"]:
    """log(share of a colour inside the masks / outside) of every bin of colours, within ± MOST."""
    inside, outside = np.zeros(BINS**3), np.zeros(BINS**3)
    for photo, mask in zip(photos, masks, strict=True):
        bins = _bins(photo)
        inside += np.bincount(bins[mask], minlength=BINS**3)
        outside += np.bincount(bins[~mask], minlength=BINS**3)
    shares = [
        ndimage.gaussian_filter(count.reshape(BINS, BINS, BINS), 1.0, mode="nearest") / count.sum()
        for count in (inside, outside)
    ]
    ratios = np.log((shares[0] + RARE) / (shares[1] + RARE))
    return np.clip(ratios, -MOST, MOST).ravel().astype(np.float32)


def object_evidence(
    photo: UInt8[np.ndarray, "h w 3"], ratios: Float32[np.ndarray, " colours"], blur: float
) -> Float32[np.ndarray, "h w"]:
    """Log-ratio of each pixel's colour, positive on the object; blurred by so many pixels."""
    return ndimage.gaussian_filter(ratios[_bins(photo)], blur)


def _border(size: tuple[int, ...]) -> Bool[np.ndarray, "h w"]:
    width = max(1, round(BORDER * max(size)))
    border = np.ones(size, bool)
    border[width:-width, width:-width] = False
    return border


def _bins(photo: UInt8[np.ndarray, "h w 3"]) -> Int[np.ndarray, "h w"]:
    return (photo // BIN).astype(np.int32) @ np.array([BINS**2, BINS, 1], np.int32)
