"""COLMAP's files in text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from neural_sdf.geometry import SparsePoints
from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.folder import MOST_MODEL_BYTES
from neural_sdf.photos.formats.colmap_entries import (
    EXPECTED,
    Camera,
    Image,
    camera_entry,
    image_entry,
    num_params,
    sparse_points,
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
    """The images in the file's order.

    Each has a second line, of observations, which may be empty; some tools leave it out.

    Raises:
        Mistake: if the file is not as COLMAP writes it.
    """
    after_image = False
    for line_number, line in text_lines(path, EXPECTED, MOST_MODEL_BYTES):
        is_second, after_image = after_image, False
        if line.lstrip().startswith("#") or (is_second and _is_observations(line)):
            continue
        if not line.strip():
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
        after_image = True


def _is_observations(line: str) -> bool:
    """Whether a line may be X Y POINT3D_ID of some points, or none; an image's ends in a name."""
    words = line.rsplit(None, 3)
    is_image = len(line.split(None, 10)) == 10  # whose name may be a number
    return not words or (len(words) >= 3 and words[-1].lstrip("-").isdecimal() and not is_image)


def points_text(path: Path) -> SparsePoints | None:
    """The points; None if there are none.

    Raises:
        Mistake: if the file is not as COLMAP writes it.
    """

    def entries() -> Iterator[tuple[list[float], float, int]]:
        for line_number, line in _entries(path):
            where = f"line {line_number} of {path}"
            place = numbers(line.split(None, 4)[1:4], 3, where).tolist()
            # X Y Z, a colour, the error, and two numbers of each photo; other tools end earlier.
            rest = line.split()[4:]
            yield place, _error(rest[3], where) if len(rest) > 3 else -1.0, len(rest[4:]) // 2

    return sparse_points(entries(), path)


def _error(word: str, where: str) -> float:
    """Any number, also one that means that none is known."""
    try:
        return float(word)
    except ValueError:
        return float(numbers([word], 1, where)[0])  # which says what is wrong with it
