"""COLMAP's files in text."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.folder import MOST_MODEL_BYTES
from neural_sdf.photos.formats.colmap_entries import (
    EXPECTED,
    Camera,
    Image,
    camera_entry,
    image_entry,
    num_params,
    point_array,
)
from neural_sdf.photos.formats.entries import numbers, text_lines, whole_number


def _entries(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are neither blank nor a comment."""
    for number, line in text_lines(path, EXPECTED, MOST_MODEL_BYTES):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line.strip()


def cameras_text(path: Path) -> Iterator[tuple[int, Camera]]:
    """Cameras with their ids.

    Raises:
        Mistake: if the file is not as COLMAP writes it.
    """
    for line_number, line in _entries(path):
        where = f"line {line_number} of {path}"
        words = line.split(None, 4 + 12)
        if len(words) < 5:
            raise Mistake(
                f"{where} is {line!r:.40}; expected ID MODEL WIDTH HEIGHT PARAMS; mend it"
            )
        number = whole_number(words[0], where, "the id of a camera")
        model, where = words[1], f"camera {number} (line {line_number}) of {path}"
        count = num_params(model, where)
        width, height = (whole_number(word, where, "width and height") for word in words[2:4])
        values = numbers(words[4:], count, where).tolist()
        yield number, camera_entry(model, width, height, values, where)


def images_text(path: Path) -> Iterator[Image]:
    """The images in the file's order; each has a second line, of observations, which may be empty.

    Raises:
        Mistake: if the file is not as COLMAP writes it.
    """
    lines = text_lines(path, EXPECTED, MOST_MODEL_BYTES)
    for line_number, line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        where = f"line {line_number} of {path}"
        words = line.strip().split(None, 9)
        if len(words) < 10:
            raise Mistake(
                f"{where} is {line.strip()!r:.40}; expected IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID"
                " NAME, and a line of observations after each; mend the file"
            )
        number = whole_number(words[0], where, "the id of an image")
        camera = whole_number(words[8], where, "the id of a camera")
        yield image_entry(number, numbers(words[1:8], 7, where), camera, words[9], path)
        _refuse_image(*next(lines, (0, "")), path)


def _refuse_image(line_number: int, line: str, path: Path) -> None:
    """Stops at an image where observations should be: some tools leave out their empty line."""
    words = line.rsplit(None, 3)
    if words and not (len(words) >= 3 and words[-1].lstrip("-").isdecimal()):
        raise Mistake(
            f"line {line_number} of {path} is {line.strip()!r:.40}; expected observations X Y"
            " POINT3D_ID of the image before it, or an empty line; add an empty line after each"
            " image"
        )


def points_text(path: Path) -> Float64[np.ndarray, "N 3"] | None:
    """The points; None if there are none.

    Raises:
        Mistake: if the file is not as COLMAP writes it.
    """
    coordinates = array("d")
    for line_number, line in _entries(path):
        where = f"line {line_number} of {path}"
        coordinates.extend(numbers(line.split(None, 4)[1:4], 3, where).tolist())
    return point_array(coordinates, path)
