"""What a mask file means by its values, which tools write in many ways.

| file | the object is |
|---|---|
| with transparency that varies: a cut-out | what is opaque |
| two values, whichever: 0 and 1, 0 and 255, black and a colour | the higher |
| a palette of colours, a few values below half, a few colours and black: labels | all but label 0 |
| anything else | what is brighter than half |
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Integer
from PIL import Image

from neural_sdf.photos.files.capture import ImageFile
from neural_sdf.photos.files.images import LUMA, decoded, has_alpha, opened

LABELS = 16  # different values that labels have at most
WHOLE = 255


def read_mask(path: ImageFile) -> Bool[np.ndarray, "H W"]:
    """True on what a mask file shows.

    Raises:
        ImageError: if the file cannot be used.
    """
    with opened(path) as image:
        if has_alpha(image):
            return _of_transparent(decoded(image))
        if image.mode == "P":
            return _of_palette(image)
        if image.mode in ("RGB", "1", "L"):
            return _of_opaque(np.asarray(image if image.mode == "RGB" else image.convert("L")))
        values = np.asarray(image)  # of 16 bits, or 8 in a file for 16
        return _of_values(values if values.max() <= WHOLE else values >> 8)


def _of_transparent(pixels: Integer[np.ndarray, "H W 4"]) -> Bool[np.ndarray, "H W"]:
    """By alpha, unless that is everywhere the same, or lies around black and white."""
    alpha, opaque = pixels[..., 3], pixels[pixels[..., 3] > WHOLE // 2][:, :3]
    is_drawn = len(opaque) > 0 and set(np.unique(opaque).tolist()) == {0, WHOLE}
    if alpha.min() < alpha.max() and not is_drawn:
        return alpha > WHOLE // 2
    return _of_opaque(pixels[..., :3]) & (alpha > WHOLE // 2 if is_drawn else True)


def _of_palette(image: Image.Image) -> Bool[np.ndarray, "H W"]:
    """By index where the colours are colours, by brightness where they are greys."""
    rgb = np.asarray(image.convert("RGB"))
    return _of_opaque(rgb) if _is_grey(rgb) else np.asarray(image) > 0


def _of_opaque(pixels: Integer[np.ndarray, "H W *c"]) -> Bool[np.ndarray, "H W"]:
    if pixels.ndim == 2 or _is_grey(pixels):
        return _of_values(pixels if pixels.ndim == 2 else pixels[..., 0])
    packed = pixels.astype(np.int32) @ np.array([2**16, 2**8, 1], np.int32)
    colours = _few(packed)
    is_labels = colours is not None and (len(colours) == 2 or colours[0] == 0)
    return packed > colours[0] if is_labels and colours is not None else _bright(pixels @ LUMA)


def _of_values(grey: Integer[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    values = _few(grey)
    if values is not None and len(values) == 2:
        return grey == values[1]
    if values is not None and values[0] == 0 and values[-1] <= WHOLE // 2:
        return grey > 0
    return _bright(grey)


def _bright(grey: np.ndarray) -> Bool[np.ndarray, "H W"]:
    return grey > WHOLE / 2


def _few(values: Integer[np.ndarray, "H W"]) -> Integer[np.ndarray, " n"] | None:
    """The values of labels in ascending order; None if there are too many to be labels."""
    found = np.unique(values[:: max(1, len(values) // 64)])  # most masks are told by some rows
    if len(found) > LABELS:
        return None
    found = np.unique(values)
    return found if len(found) <= LABELS else None


def _is_grey(rgb: Integer[np.ndarray, "H W 3"]) -> bool:
    return bool((rgb[..., 0] == rgb[..., 1]).all() and (rgb[..., 1] == rgb[..., 2]).all())
