"""COLMAP's sparse models, in text or binary: cameras, images and points3D.

An image has the map from world to camera, OpenCV axes, as a quaternion (w, x, y, z) and a
translation. Principal points count from the corner of the first pixel, as in the whole project.
Distortion is OpenCV's. Newer files beside them (rigs, frames) say nothing more and are not read.
"""

from __future__ import annotations

import io
import struct
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.capture import (
    Capture,
    View,
    image_path,
    pose_from_extrinsics,
    refuse_skew,
    view_name,
)
from neural_sdf.photos.files.folder import (
    LARGEST,
    MOST_MODEL_BYTES,
    inside,
    photo_folder,
    read_bytes,
    unreadable,
)
from neural_sdf.photos.files.lens import Lens, lens_or_none
from neural_sdf.photos.formats.entries import finite, in_order, numbers, text_lines, whole_number
from neural_sdf.photos.formats.idr import is_idr
from neural_sdf.photos.formats.transforms import is_transforms

PLACES = ("sparse/0", "sparse", "colmap/sparse/0", "")
EXPECTED = "a file of a COLMAP model"
MOST_PIXELS = 2**31  # of a side
MOST_NAME = 4096  # bytes
# Numbers of focal lengths and of distortion coefficients, with the principal point between them.
MODELS = {
    "SIMPLE_PINHOLE": (1, 0),
    "PINHOLE": (2, 0),
    "SIMPLE_RADIAL": (1, 1),
    "RADIAL": (1, 2),
    "OPENCV": (2, 4),
    "FULL_OPENCV": (2, 8),
}
BINARY_MODELS = (
    *("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "OPENCV_FISHEYE"),
    *("FULL_OPENCV", "FOV", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "THIN_PRISM_FISHEYE"),
    "RAD_TAN_THIN_PRISM_FISHEYE",
)


class Camera(NamedTuple):
    """One entry of the cameras; fields as in `View`."""

    size: tuple[int, int]
    intrinsics: Float64[np.ndarray, "3 3"]
    lens: Lens | None


class Image(NamedTuple):
    """One entry of the images, where `camera` is the id of its camera."""

    origin: str
    world_from_camera: Float64[np.ndarray, "4 4"]
    camera: int
    name: str


def is_colmap(folder: Path) -> bool:
    """Whether a folder holds this layout.

    Where cameras were made from a model that still lies beside them, it is the layout of those.
    """
    return find_model(folder) is not None and not is_transforms(folder) and not is_idr(folder)


def find_model(folder: Path) -> Path | None:
    """The folder of the model in a scene's folder, in one of the usual places."""
    return next((folder / name for name in PLACES if _suffix(folder / name)), None)


def _suffix(model: Path) -> str | None:
    """Of the model's files; binary ones come first, as in COLMAP."""
    for suffix in (".bin", ".txt"):
        if all((model / f"{name}{suffix}").is_file() for name in ("cameras", "images")):
            return suffix
    return None


def read_colmap(folder: Path, cameras: str) -> Capture:
    """Views of a folder with a sparse model, in the order of their file names.

    Args:
        folder: holds `images` and the model.
        cameras: the folder of the model; if empty, one of the usual places.

    Raises:
        Mistake: if a file is not as the format has it, or a camera is not supported.
        Mistake: if the cameras or images of the model are missing.
    """
    model = find_model(folder)
    if cameras:
        model = inside(folder, cameras, "folder of the model (<cameras>)")
    suffix = None if model is None else _suffix(model)
    if model is None or suffix is None:
        raise Mistake(
            f"COLMAP model is not in {folder / cameras}; expected cameras and images, .bin or .txt,"
            f" in {cameras or 'sparse/0 or sparse'}; set <cameras> or"
            " <format>"
        )
    binary = suffix == ".bin"
    paths = [model / f"{name}{suffix}" for name in ("cameras", "images", "points3D")]
    known = _unique((_cameras_binary if binary else _cameras_text)(paths[0]), paths[0])
    photos = folder / "images"
    if not photos.is_dir():
        photos = photo_folder(folder) or photos
    entries = (_images_binary if binary else _images_text)(paths[1])
    views = [_view(folder, photos, image, known) for image in entries]
    points = None
    if paths[2].is_file():
        points = (_points_binary if binary else _points_text)(paths[2])
    return Capture(in_order(folder, views, paths[1]), points=points)


def _unique(entries: Iterator[tuple[int, Camera]], path: Path) -> dict[int, Camera]:
    known: dict[int, Camera] = {}
    for number, camera in entries:
        if number in known:
            raise Mistake(
                f"{path} has camera {number} twice; expected each id once; remove one of them"
            )
        known[number] = camera
    return known


def _view(folder: Path, photos: Path, image: Image, known: dict[int, Camera]) -> View:
    if image.camera not in known:
        raise Mistake(
            f"{image.origin} in {folder} has camera {image.camera}; expected one of"
            f" {sorted(known)[:8]}; add it to the cameras"
        )
    camera = known[image.camera]
    path = inside(photos, image.name, f"the name of {image.origin}")
    return View(
        view_name(folder, path),
        image.origin,
        path,
        None,
        camera.intrinsics.copy(),
        image.world_from_camera,
        camera.size,
        lens=camera.lens,
    )


# Entries of either kind of file.


def _num_params(model: str, where: str) -> int:
    if model not in MODELS:
        raise Mistake(
            f"{where} has model {model!r:.40}; expected one of {list(MODELS)}; undistort the photos"
            " with colmap image_undistorter"
        )
    return sum(MODELS[model]) + 2


def _camera(model: str, width: int, height: int, values: Sequence[float], where: str) -> Camera:
    if not (1 <= width < MOST_PIXELS and 1 <= height < MOST_PIXELS):
        raise Mistake(
            f"{where} has {width} by {height} pixels; expected 1 to {MOST_PIXELS - 1}; mend it"
        )
    num_focal, _ = MODELS[model]
    fx, fy = values[0], values[num_focal - 1]
    cx, cy, *coefficients = values[num_focal:]
    intrinsics = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], np.float64)
    return Camera((height, width), intrinsics, lens_or_none(*coefficients))


def _image(
    number: int, values: Float64[np.ndarray, "7"], camera: int, name: str, path: Path
) -> Image:
    """The entry of an image; `values` are its quaternion and translation."""
    origin = f"image {number} of {path.name}"
    length = np.linalg.norm(values[:4])
    if length < 1e-9:
        raise Mistake(
            f"{origin} in {path.parent} has a zero quaternion; expected a rotation; mend the file"
        )
    rotation = Rotation.from_quat(values[:4], scalar_first=True).as_matrix()
    return Image(origin, pose_from_extrinsics(rotation, values[4:]), camera, name)


def _points(coordinates: array, path: Path) -> Float64[np.ndarray, "N 3"] | None:
    """The points of a flat array; None if there are none."""
    points = np.array(coordinates, np.float64).reshape(-1, 3)
    if not (np.abs(points) <= LARGEST).all():
        raise Mistake(f"{path} has a point that is not finite; expected numbers; remove it")
    return points if len(points) else None


# Text.


def _entries(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are neither blank nor a comment."""
    for number, line in text_lines(path, EXPECTED, MOST_MODEL_BYTES):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line.strip()


def _cameras_text(path: Path) -> Iterator[tuple[int, Camera]]:
    for line_number, line in _entries(path):
        where = f"line {line_number} of {path}"
        words = line.split(None, 4 + 12)
        if len(words) < 5:
            raise Mistake(
                f"{where} is {line!r:.40}; expected ID MODEL WIDTH HEIGHT PARAMS; mend it"
            )
        number = whole_number(words[0], where, "the id of a camera")
        model, where = words[1], f"camera {number} (line {line_number}) of {path}"
        count = _num_params(model, where)
        width, height = (whole_number(word, where, "width and height") for word in words[2:4])
        values = numbers(words[4:], count, where).tolist()
        yield number, _camera(model, width, height, values, where)


def _images_text(path: Path) -> Iterator[Image]:
    """Every image has a second line, of its observations, which may be empty."""
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
        yield _image(number, numbers(words[1:8], 7, where), camera, words[9], path)
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


def _points_text(path: Path) -> Float64[np.ndarray, "N 3"] | None:
    coordinates = array("d")
    for line_number, line in _entries(path):
        where = f"line {line_number} of {path}"
        coordinates.extend(numbers(line.split(None, 4)[1:4], 3, where).tolist())
    return _points(coordinates, path)


# Binary, little-endian.


def _cameras_binary(path: Path) -> Iterator[tuple[int, Camera]]:
    stream = io.BytesIO(read_bytes(path, EXPECTED, MOST_MODEL_BYTES))
    for _ in range(_count(stream, 48, path)):
        number, model, width, height = _unpack(stream, "IiQQ", path)
        where = f"camera {number} of {path}"
        is_known = 0 <= model < len(BINARY_MODELS)
        name = BINARY_MODELS[model] if is_known else f"number {model}"
        values = finite(_unpack(stream, f"{_num_params(name, where)}d", path), where).tolist()
        yield number, _camera(name, width, height, values, where)
    _refuse_rest(stream, path)


def _images_binary(path: Path) -> Iterator[Image]:
    stream = io.BytesIO(read_bytes(path, EXPECTED, MOST_MODEL_BYTES))
    for _ in range(_count(stream, 73, path)):
        number, *values, camera = _unpack(stream, "I7dI", path)
        name = _read_name(stream, f"image {number}", path)
        yield _image(number, finite(values, f"image {number} of {path}"), camera, name, path)
        _skip(stream, 24 * _unpack(stream, "Q", path)[0], path)  # observations
    _refuse_rest(stream, path)


def _points_binary(path: Path) -> Float64[np.ndarray, "N 3"] | None:
    stream = io.BytesIO(read_bytes(path, EXPECTED, MOST_MODEL_BYTES))
    coordinates = array("d")
    for _ in range(_count(stream, 51, path)):
        entry = _unpack(stream, "Q3d3BdQ", path)
        coordinates.extend(entry[1:4])
        _skip(stream, 8 * entry[-1], path)  # the images that see it
    _refuse_rest(stream, path)
    return _points(coordinates, path)


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


# Writing.


def write_colmap(folder: Path, capture: Capture) -> None:
    """`sparse/0/` in text, of a capture whose photos lie in `images` and whose sizes are known.

    Cameras are PINHOLE, or OPENCV and FULL_OPENCV with distortion.

    Raises:
        Mistake: if the format cannot hold a camera (skew), a photo lies elsewhere, or there is a
            binary model, which would be read instead.
    """
    photos, model = folder / "images", folder / "sparse" / "0"
    _refuse_unwritable(capture.views, photos, model)
    ids: dict[tuple, int] = {}
    cameras, images = [], []
    for i, view in enumerate(capture.views, start=1):
        key = (view.size, view.intrinsics.tobytes(), view.lens)
        if key not in ids:
            ids[key] = len(ids) + 1
            cameras.append(f"{ids[key]} {_camera_line(view)}\n")
        name = image_path(view.image).relative_to(photos).as_posix()
        images.append(f"{i} {_pose_line(view)} {ids[key]} {name}\n\n")
    points = [] if capture.points is None else capture.points.tolist()
    lines = [f"{i} {_spelled(point)} 128 128 128 0\n" for i, point in enumerate(points, start=1)]
    model.mkdir(parents=True, exist_ok=True)
    for name, head, body in (
        ("cameras", "ID MODEL WIDTH HEIGHT PARAMS", cameras),
        ("images", "ID QW QX QY QZ TX TY TZ CAMERA_ID NAME, then a line of observations", images),
        ("points3D", "ID X Y Z R G B ERROR TRACK", lines),
    ):
        (model / f"{name}.txt").write_text(f"# {head}\n" + "".join(body))


def _refuse_unwritable(views: Sequence[View], photos: Path, model: Path) -> None:
    """Stops at what would not be read as it was written."""
    refuse_skew(views, "COLMAP")
    strange = [
        view.name
        for view in views
        if view.size is None or photos not in image_path(view.image).parents
    ]
    if strange:
        raise Mistake(
            f"view {strange[0]!r} has no size or its photo is not in {photos}; expected both; copy"
            " the photo there"
        )
    if _suffix(model) == ".bin":
        raise Mistake(
            f"{model} holds a binary model, which is read rather than text; expected none; move it"
            " away"
        )


def _spelled(values: Sequence[float]) -> str:
    """Numbers with all their digits."""
    return " ".join(repr(float(value)) for value in values)


def _camera_line(view: View) -> str:
    (fx, _, cx), (_, fy, cy), _ = view.intrinsics.tolist()
    height, width = view.size or (0, 0)
    lens = view.lens or ()
    model = "PINHOLE" if not lens else "FULL_OPENCV" if any(lens[4:]) else "OPENCV"
    coefficients = lens[: MODELS[model][1]]
    return f"{model} {width} {height} {_spelled([fx, fy, cx, cy, *coefficients])}"


def _pose_line(view: View) -> str:
    """The map from world to camera; its translation is that of the quaternion as it is read."""
    camera_from_world = Rotation.from_matrix(view.world_from_camera[:3, :3].T)
    translation = -camera_from_world.apply(view.world_from_camera[:3, 3])
    return _spelled([*camera_from_world.as_quat(canonical=True, scalar_first=True), *translation])
