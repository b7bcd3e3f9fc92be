"""COLMAP's files in binary, little-endian."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path

from neural_sdf.geometry import SparsePoints
from neural_sdf.photos.files.folder import MOST_MODEL_BYTES, read_bytes, unreadable
from neural_sdf.photos.formats.colmap_entries import (
    EXPECTED,
    Camera,
    Image,
    camera_entry,
    image_entry,
    num_params,
    sparse_points,
)
from neural_sdf.photos.formats.entries import finite

MOST_NAME = 4096  # bytes
BINARY_MODELS = (
    *("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "OPENCV_FISHEYE"),
    *("FULL_OPENCV", "FOV", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "THIN_PRISM_FISHEYE"),
    *("RAD_TAN_THIN_PRISM_FISHEYE", "SIMPLE_DIVISION", "DIVISION", "SIMPLE_FISHEYE", "FISHEYE"),
    *("EUCM", "EQUIRECTANGULAR"),
)


def cameras_binary(path: Path) -> Iterator[tuple[int, Camera]]:
    """Cameras with their ids.

    Raises:
        Mistake: if the file is not as COLMAP writes it.
    """
    stream = io.BytesIO(read_bytes(path, EXPECTED, MOST_MODEL_BYTES))
    for _ in range(_count(stream, 40, path)):
        number, model, width, height = _unpack(stream, "IiQQ", path)
        where = f"camera {number} of {path}"
        is_known = 0 <= model < len(BINARY_MODELS)
        name = BINARY_MODELS[model] if is_known else f"number {model}"
        values = finite(_unpack(stream, f"{num_params(name, where)}d", path), where).tolist()
        yield number, camera_entry(name, width, height, values, where)
    _refuse_rest(stream, path)


def images_binary(path: Path) -> Iterator[Image]:
    """The images in the file's order.

    Raises:
        Mistake: if the file is not as COLMAP writes it.
    """
    stream = io.BytesIO(read_bytes(path, EXPECTED, MOST_MODEL_BYTES))
    for _ in range(_count(stream, 73, path)):
        number, *values, camera = _unpack(stream, "I7dI", path)
        name = _read_name(stream, f"image {number}", path)
        yield image_entry(number, finite(values, f"image {number} of {path}"), camera, name, path)
        _skip(stream, 24 * _unpack(stream, "Q", path)[0], path)  # observations
    _refuse_rest(stream, path)


def points_binary(path: Path) -> SparsePoints | None:
    """The points; None if there are none.

    Raises:
        Mistake: if the file is not as COLMAP writes it.
    """
    stream = io.BytesIO(read_bytes(path, EXPECTED, MOST_MODEL_BYTES))

    def entries() -> Iterator[tuple[tuple[float, ...], float, int]]:
        for _ in range(_count(stream, 51, path)):
            _, *place, _, _, _, error, views = _unpack(stream, "Q3d3BdQ", path)
            _skip(stream, 8 * views, path)  # the images that see it
            yield tuple(place), error, views
        _refuse_rest(stream, path)

    return sparse_points(entries(), path)


def _left(stream: io.BytesIO) -> int:
    return stream.getbuffer().nbytes - stream.tell()


def _unpack(stream: io.BytesIO, layout: str, path: Path) -> tuple:
    """The next values of a stream."""
    size = struct.calcsize(f"<{layout}")
    if size > _left(stream):
        raise unreadable(path, "it ends too early", EXPECTED)
    return struct.unpack(f"<{layout}", stream.read(size))


def _count(stream: io.BytesIO, least: int, path: Path) -> int:
    """The number of entries, of at least so many bytes each, that are to follow."""
    (count,) = _unpack(stream, "Q", path)
    if count * least > _left(stream):
        raise unreadable(path, f"{count} entries in {_left(stream)} bytes", EXPECTED)
    return count


def _skip(stream: io.BytesIO, size: int, path: Path) -> None:
    if size > _left(stream):
        raise unreadable(path, "it ends too early", EXPECTED)
    stream.seek(size, io.SEEK_CUR)


def _refuse_rest(stream: io.BytesIO, path: Path) -> None:
    if _left(stream):
        raise unreadable(path, f"{_left(stream)} bytes after the last entry", EXPECTED)


def _read_name(stream: io.BytesIO, what: str, path: Path) -> str:
    """Text that ends in a zero byte."""
    start = stream.tell()
    name, end, _ = stream.read(MOST_NAME).partition(b"\0")
    if not end:
        raise unreadable(path, f"the name of {what} has no end", EXPECTED)
    stream.seek(start + len(name) + 1)
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise unreadable(path, error, EXPECTED) from error
