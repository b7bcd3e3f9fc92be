"""Image files, decoded.

Any 8-bit image becomes RGB: grey is expanded and a palette looked up. Of 16-bit values the high
byte is kept. Transparency is straight alpha on the stored values: rgb · a + background · (1 − a).
Files whose meaning would have to be guessed (CMYK, float) are refused. `mask_values` has what a
mask means.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import ExifTags, Image, ImageOps

from neural_sdf.machine.files import as_png
from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.capture import Header, ImageFile, Stored

EIGHT_BIT = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
UNITS = {2: 25.4, 3: 10.0, 4: 1.0, 5: 1e-3}  # mm, of EXIF's resolution units
SAME_SIZE = {2: "mirrored", 3: "turned by half", 4: "upside down and mirrored"}
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow's "grey value"


class ImageError(Mistake):
    """An image file that cannot be used; `code` is that of the finding it makes."""

    def __init__(self, code: str, message: str) -> None:
        """Says the message."""
        super().__init__(message)
        self.code = code


def read_header(path: ImageFile) -> Header:
    """Size and transparency of an image file.

    Raises:
        ImageError: if the file is not an image, or of a kind that is refused.
    """
    with opened(path) as image:
        return Header(image.height, image.width, has_alpha(image), _orientation(image))


def read_upright(path: Path) -> UInt8[np.ndarray, "H W c"]:
    """`read_pixels` of a photo for which no camera is known yet, turned as its EXIF says.

    Raises:
        ImageError: if the file cannot be used.
    """
    with opened(path) as image:
        return decoded(ImageOps.exif_transpose(image))


class Shown(NamedTuple):
    """What a photo's file says before its pixels, of the photo as it is to be shown.

    Attributes:
        size: (height, width), pixels.
        maker: make and model of the camera, None where EXIF does not say.
        focal: focal length, mm, or None.
        film_focal: focal length in 35 mm film, mm, or None.
        plane_focal: focal length in pixels of the photo, by the size of those on the sensor
            ("focal plane resolution"), or None.
    """

    size: tuple[int, int]
    maker: tuple[str | None, str | None]
    focal: float | None
    film_focal: float | None
    plane_focal: float | None


def read_shown(path: Path) -> Shown:
    """Size and EXIF of a photo for which no camera is known yet.

    Raises:
        ImageError: if the file is not an image, or of a kind that is refused.
    """
    with opened(path) as image:
        tags = image.getexif()
        settings = tags.get_ifd(ExifTags.IFD.Exif)
        is_lying = tags.get(ExifTags.Base.Orientation, 1) >= 5
        return Shown(
            (image.width, image.height) if is_lying else (image.height, image.width),
            (tags.get(ExifTags.Base.Make), tags.get(ExifTags.Base.Model)),
            _length(settings.get(ExifTags.Base.FocalLength)),
            _length(settings.get(ExifTags.Base.FocalLengthIn35mmFilm)),
            _plane_focal(settings, image.width),
        )


def _plane_focal(settings: Mapping[int, Any], width: int) -> float | None:
    """Focal length, mm, times pixels per mm of the sensor, in pixels of a photo of a width.

    The resolution is that of the photo as it was taken, whose width EXIF has beside it.
    """
    focal, per_unit = (
        _length(settings.get(tag))
        for tag in (ExifTags.Base.FocalLength, ExifTags.Base.FocalPlaneXResolution)
    )
    unit = UNITS.get(settings.get(ExifTags.Base.FocalPlaneResolutionUnit, 2))
    if focal is None or per_unit is None or unit is None:
        return None
    taken = _length(settings.get(ExifTags.Base.ExifImageWidth)) or width
    return focal * per_unit / unit * width / taken


def _length(value: Any) -> float | None:
    """A positive number out of EXIF, where 0 stands for unknown; None for anything else."""
    try:
        length = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return length if 0 < length < float("inf") else None


def photo_file(path: ImageFile, as_shown: bool | None = None) -> bytes:
    """A photo as a PNG or JPEG of 8-bit RGB or RGBA with the pixels that `read_pixels` reads.

    The file's own content where it is one.

    Raises:
        ImageError: if it cannot be used.
    """
    with opened(path) as image:
        image.load()
        is_plain = image.format in ("PNG", "JPEG") and image.mode in ("RGB", "RGBA")
        if is_plain and "transparency" not in image.info and _orientation(image) == 1:
            return path.content if isinstance(path, Stored) else path.read_bytes()
    return as_png(read_pixels(path, as_shown))


def read_pixels(path: ImageFile, as_shown: bool | None = None) -> UInt8[np.ndarray, "H W c"]:
    """The values as stored: RGB, or RGBA where the image has transparency.

    Args:
        path: of the file.
        as_shown: whether they are turned as EXIF says; None where nobody knows.

    Raises:
        ImageError: if the file cannot be used, or is to be turned and nobody knows.
    """
    with opened(path) as image:
        pixels = decoded(image)
        orientation = _orientation(image)  # after the pixels, behind which a PNG may carry EXIF
        if orientation == 1 or as_shown is False:
            return pixels
        if as_shown is None:
            raise rotated(path, orientation)
        return decoded(ImageOps.exif_transpose(image))


def whole_size(path: ImageFile, as_shown: bool | None = None) -> tuple[int, int]:
    """(height, width) of a photo whose file is whole, as `read_pixels` would have it.

    That takes a small part of the time; of a PNG, its checksums stand for what they are of.

    Args:
        path: as for `read_pixels`.
        as_shown: as for `read_pixels`.

    Raises:
        ImageError: as `read_pixels`.
    """
    with opened(path) as image:
        height, width = image.height, image.width
        if not (image.format == "PNG" and _is_whole_png(path)):
            image.draft(None, (1, 1))  # decodes an eighth of a JPEG, along each side
            image.load()
        orientation = _orientation(image)
        if orientation != 1 and as_shown is None:
            raise rotated(path, orientation)
    is_lying = as_shown is True and orientation >= 5
    return (width, height) if is_lying else (height, width)


def _is_whole_png(path: ImageFile) -> bool:
    """Whether all chunks have their checksums, and none but pixels is behind the header's."""
    content = path.content if isinstance(path, Stored) else path.read_bytes()
    at, seen_pixels = 8, False
    while at + 12 <= len(content):
        (length,), kind = struct.unpack_from(">I", content, at), content[at + 4 : at + 8]
        body = memoryview(content)[at + 4 : at + 8 + length]
        at += 12 + length
        if at > len(content) or zlib.crc32(body) != struct.unpack_from(">I", content, at - 4)[0]:
            return False
        if kind == b"IEND":
            return seen_pixels
        if seen_pixels and kind != b"IDAT":
            return False  # EXIF may stand there, which Pillow reads with the pixels
        seen_pixels |= kind == b"IDAT"
    return False


def rotated(path: ImageFile, orientation: int) -> ImageError:
    """The error for a photo to be shown turned: its camera may mean it before or after that."""
    if orientation in SAME_SIZE:
        untold = (
            f" ({SAME_SIZE[orientation]}); expected 1: the size is the same before and after, and"
            " nothing tells which pixels the camera and the mask mean; if those of the file as it"
            " is stored, delete the tag, e.g. with exiftool -Orientation=; if those that are shown,"
            " write the file anew as it is shown, without the tag"
        )
    else:
        untold = (
            "; expected 1, or a camera that declares unequal width and height, which tell whether"
            " it means the pixels before or after the turn; turn the pixels as the camera has them"
            " and delete the tag, e.g. with exiftool -Orientation="
        )
    return ImageError("exif-rotation", f"image {path} has EXIF orientation {orientation}{untold}")


def alpha_of(pixels: UInt8[np.ndarray, "H W c"]) -> Float32[np.ndarray, "H W"] | None:
    """Opacity in [0, 1]; None for pixels without."""
    return pixels[..., 3] / np.float32(255) if pixels.shape[2] == 4 else None


def on_background(
    pixels: UInt8[np.ndarray, "H W c"], background: float
) -> Float32[np.ndarray, "H W 3"]:
    """RGB in [0, 255], where transparency is laid on a grey in [0, 1]."""
    alpha = alpha_of(pixels)
    if alpha is None:
        return pixels.astype(np.float32)
    rgb = pixels[..., :3] * alpha[..., None]
    return rgb + np.float32(255 * background) * (1 - alpha[..., None])


def decoded(image: Image.Image) -> UInt8[np.ndarray, "H W c"]:
    """Pixels of an opened file: RGB, or RGBA where the image has transparency."""
    if image.mode in EIGHT_BIT:
        return np.asarray(image.convert("RGBA" if has_alpha(image) else "RGB"))
    high_byte = (np.asarray(image) >> 8).astype(np.uint8)
    return np.repeat(high_byte[..., None], 3, axis=-1)


def has_alpha(image: Image.Image) -> bool:
    """Whether an opened file has transparency."""
    return "A" in image.getbands() or "transparency" in image.info


@contextmanager
def opened(path: ImageFile) -> Iterator[Image.Image]:
    """An image file of a kind that is read; whatever Pillow meets inside it names the file."""
    try:
        file = io.BytesIO(path.content) if isinstance(path, Stored) else path
        with Image.open(file) as image:
            if not _is_read(image):
                raise ImageError(
                    "colour-mode",
                    f"image {path} has the colour mode {image.mode}; expected 8-bit RGB or grey;"
                    " write it anew as PNG",
                )
            yield image
    except ImageError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError, struct.error) as error:
        raise _unreadable(path, error) from error
    except (Image.DecompressionBombError, OverflowError, zlib.error) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: ImageFile, error: Exception) -> ImageError:
    # Pillow's own sentence for a file that is no image ends with its path; say it once.
    reason = str(error).replace(f" {str(path)!r}", "")
    return ImageError(
        "unreadable-images",
        f"image {path} cannot be read: {reason}; expected a whole PNG or JPEG file of 8-bit RGB or"
        " grey, with or without alpha; write the file anew",
    )


def _is_read(image: Image.Image) -> bool:
    # Pillow before 11 opens a 16-bit grey PNG with mode I.
    sixteen_bit = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")
    return image.mode in EIGHT_BIT or sixteen_bit


def _orientation(image: Image.Image) -> int:
    """How the photo is to be shown: 1 as it is, to 8."""
    if image.format == "PNG" and "exif" not in image.info:
        return 1  # getexif would decode all pixels to look behind them
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    return orientation if orientation in range(1, 9) else 1
