"""What a mask file means by its values, which tools write in many ways.

| file | the object is |
|---|---|
| with transparency that varies: a cut-out | what is opaque |
| two values, whichever: 0 and 1, 0 and 255, black and a colour | the higher |
| a palette of colours, a few values below half, a few colours and black: labels | all but label 0 |
| anything else | what is brighter than half |

Colours are counted by Pillow, which is quicker than NumPy.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool
from PIL import Image

from neural_sdf.photos.files.capture import ImageFile
from neural_sdf.photos.files.images import EIGHT_BIT, has_alpha, opened

LABELS = 16  # different values that labels have at most
WHOLE = 255
TURNS = {  # by EXIF's orientations, which `ImageOps.exif_transpose` keeps to itself
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_mask(path: ImageFile) -> Bool[np.ndarray, "H W"]:
    """True on what a mask file shows.

    Raises:
        ImageError: if the file cannot be used.
    """
    with opened(path) as image:
        if image.mode not in EIGHT_BIT:
            return _of_opaque(_of_one_byte(image))
        if has_alpha(image):
            return _of_transparent(image.convert("RGBA"))
        if image.mode == "P":
            return _of_palette(image)
        return _of_opaque(image if image.mode == "RGB" else image.convert("L"))


def turned(mask: Bool[np.ndarray, "H W"], orientation: int) -> Bool[np.ndarray, "h w"]:
    """A mask as an orientation of EXIF has it shown."""
    turn = TURNS.get(orientation)
    return mask if turn is None else np.asarray(Image.fromarray(mask).transpose(turn), bool)


def _of_one_byte(image: Image.Image) -> Image.Image:
    """Values of 16 bits by their high bytes, but for those of 8 in a file for 16."""
    values = np.asarray(image)
    return Image.fromarray((values if values.max() <= WHOLE else values >> 8).astype(np.uint8))


def _of_transparent(image: Image.Image) -> Bool[np.ndarray, "H W"]:
    """By alpha, unless that is everywhere the same, or lies around black and white."""
    pixels = np.asarray(image)
    alpha, opaque = pixels[..., 3], pixels[pixels[..., 3] > WHOLE // 2][:, :3]
    is_drawn = len(opaque) > 0 and set(np.unique(opaque).tolist()) == {0, WHOLE}
    if alpha.min() < alpha.max() and not is_drawn:
        return alpha > WHOLE // 2
    return _of_opaque(image.convert("RGB")) & (alpha > WHOLE // 2 if is_drawn else True)


def _of_palette(image: Image.Image) -> Bool[np.ndarray, "H W"]:
    """By index where the colours are colours, by brightness where they are greys."""
    rgb = image.convert("RGB")
    return _of_opaque(rgb) if _are_grey(_colours(rgb, WHOLE + 1)) else np.asarray(image) > 0


def _of_opaque(image: Image.Image) -> Bool[np.ndarray, "H W"]:
    """Of RGB or grey: all but the darkest where values are labels, else what is bright."""
    colours = _colours(image, LABELS)
    if not _are_labels(colours):
        return np.asarray(image.convert("L")) > WHOLE // 2
    bands = image.split()[: 1 if _are_grey(colours) else None]
    unlike = [np.asarray(band) != value for band, value in zip(bands, colours[0], strict=False)]
    return np.logical_or.reduce(unlike)


def _colours(image: Image.Image, most: int) -> list[tuple[int, ...]]:
    """The colours of RGB or grey in ascending order; none if there are too many."""
    found = image.getcolors(most) or []
    return sorted(tuple(np.atleast_1d(colour).tolist()) for _, colour in found)


def _are_labels(colours: list[tuple[int, ...]]) -> bool:
    if len(colours) <= 2:
        return len(colours) == 2
    return not any(colours[0]) and not (_are_grey(colours) and max(colours[-1]) > WHOLE // 2)


def _are_grey(colours: list[tuple[int, ...]]) -> bool:
    return all(min(colour) == max(colour) for colour in colours)
