"""The layout of LLFF: `images/` and `poses_bounds.npy`.

A row of the array is a 3 by 5 matrix and the near and far depth, which are not needed. The columns
of the matrix are the camera's axes down, right and backwards in the world, its position, and
(height, width, focal length); the principal point is the photo's centre (Mildenhall et al. 2019).
"""

from __future__ import annotations

import io
import tokenize
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.capture import Capture, Format, View, view_name
from neural_sdf.photos.files.folder import list_photos, photo_folder, read_bytes, unreadable
from neural_sdf.photos.formats.entries import finite, in_order

CAMERAS = "poses_bounds.npy"
EXPECTED = "an npy of numbers of shape (photos, 17)"


def is_llff(folder: Path) -> bool:
    """Whether a folder holds this layout."""
    return (folder / CAMERAS).is_file()


def read_llff(folder: Path, cameras: str) -> Capture:
    """Views of an LLFF folder; photos in sorted order are those of the rows.

    Args:
        folder: holds the array and `images`, or photos made smaller in `images_4` and the like.
        cameras: not used, the layout fixes the names.

    Raises:
        Mistake: if the array is not as the format has it, or not of as many photos, or
            if the array or the photos are missing.
    """
    del cameras
    path = folder / CAMERAS
    if not path.is_file():
        raise Mistake(
            f"camera file {CAMERAS!r} is not in {folder}; expected {EXPECTED}; set <path>"
        )
    rows = _read_rows(path)
    place = photo_folder(folder) or folder / "images"
    images = list_photos(place)
    if not images:
        raise Mistake(
            f"{place} holds no image; expected {len(rows)} files, .png or .jpg, one for"
            f" each pose of {CAMERAS}; add the photos"
        )
    if len(images) != len(rows):
        raise Mistake(
            f"{place} holds {len(images)} images for {len(rows)} poses of {CAMERAS};"
            " expected one for each pose, in sorted order; add the missing photo or pose"
        )
    views = [
        _view(folder, image, row, f"row {i} of {CAMERAS}")
        for i, (image, row) in enumerate(zip(images, rows, strict=True))
    ]
    return Capture(in_order(folder, views, path))


def _read_rows(path: Path) -> Float64[np.ndarray, "V 17"]:
    """The array; its shape is compared with the file's length before memory is taken for it."""
    content = read_bytes(path, EXPECTED)
    stream = io.BytesIO(content)
    try:
        major, _ = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0
        shape, by_columns, dtype = (
            read_header(stream) if major == 1 else np.lib.format.read_array_header_2_0(stream)
        )
    except (ValueError, TypeError, SyntaxError, OverflowError) as error:
        raise unreadable(path, error, EXPECTED) from error
    except (RecursionError, MemoryError, tokenize.TokenError) as error:
        raise unreadable(path, error, EXPECTED) from error
    if dtype not in (np.float32, np.float64) or len(shape) != 2 or shape[1] != 17:
        raise unreadable(path, f"it is {dtype} of shape {shape}", EXPECTED)
    body = content[stream.tell() :]
    if shape[0] < 1 or len(body) != shape[0] * 17 * dtype.itemsize:
        raise unreadable(path, f"{len(body)} bytes for shape {shape}", EXPECTED)
    values = np.frombuffer(body, dtype).reshape(-1, 17, order="F" if by_columns else "C")
    return values.astype(np.float64)


def _view(folder: Path, image: Path, row: Float64[np.ndarray, "17"], origin: str) -> View:
    matrix = finite(row[:15].tolist(), f"{origin} in {folder}").reshape(3, 5)
    down, right, backwards, position = matrix.T[:4]
    height, width, focal = matrix[:, 4]
    if min(height, width) < 1 or height % 1 or width % 1:
        raise Mistake(
            f"{origin} in {folder} has height {height:.6g} and width {width:.6g}; expected whole"
            " numbers of pixels; mend the file"
        )
    pose = np.eye(4)
    pose[:3] = np.stack([right, down, -backwards, position], axis=1)
    intrinsics = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    size = (int(height), int(width))
    return View(view_name(folder, image), origin, image, None, intrinsics, pose, size)


LLFF = Format("poses_bounds.npy", is_llff, read_llff)
