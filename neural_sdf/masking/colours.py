"""Which colours are the object's: counted inside and outside an outline.

The log-ratio of the two shares of a colour says which side a pixel is likelier on (Bibby and Reid
2008, equation 9, with even priors). It may be counted with an outline that is far too wide: if a
share s of the inside is object, then log((s p_object + (1 − s) p_around) / p_around) is positive
just where p_object > p_around.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float32, Int, UInt8
from scipy import ndimage

BIN = 8  # grey levels a side: noise of a few levels stays in a bin or its neighbour
BINS = 256 // BIN
RARE = 1e-6  # added to shares: a colour seen in fewer pixels of a million says nothing
MOST = 3.0  # log-ratio: one pixel outvotes no more than a few others


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


def _bins(photo: UInt8[np.ndarray, "h w 3"]) -> Int[np.ndarray, "h w"]:
    return (photo // BIN).astype(np.int32) @ np.array([BINS**2, BINS, 1], np.int32)
