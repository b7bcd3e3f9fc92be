"""The layout of IDR and NeuS: `image/`, `mask/` and `cameras.npz`.

Per view i the npz holds `world_mat_i` = [K [R | t]; 0 0 0 1], world to pixel with OpenCV axes, and
`scale_mat_i`, unit sphere to world. In DVR's and UNISURF's files `world_mat_i` is the pose alone
and `camera_mat_i` has K. The principal point counts from the centre of the first pixel
(Yariv et al. 2020 lift integer pixel coordinates), so that 0.5 is added to it here.
"""

from __future__ import annotations

import io
import lzma
import math
import re
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from neural_sdf.geometry import Similarity
from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.capture import Capture, Format, View
from neural_sdf.photos.files.folder import LARGEST, inside, list_photos, read_bytes, unreadable
from neural_sdf.photos.files.images import read_header
from neural_sdf.photos.files.masks import in_order
from neural_sdf.photos.formats.entries import half_pixel_intrinsics
from neural_sdf.photos.formats.projection import decompose_projection

DEFAULT = ("cameras.npz", "cameras_sphere.npz")
EXPECTED = "an npz of plain arrays world_mat_i and scale_mat_i"
MOST_MATRIX_BYTES = 4096  # of a 4 by 4 matrix in an archive: 128 bytes and a header
UNREADABLE = (  # what a damaged archive or array in it makes
    *(OSError, ValueError, EOFError, KeyError, MemoryError, RuntimeError, OverflowError),
    *(SyntaxError, struct.error, tokenize.TokenError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
MEMBERS = r"(world|scale|camera)_mat_\d+\.npy"
NO_INTRINSICS = 1e-3  # of K from the identity
SIMILARITY_TOLERANCE = 1e-4  # relative, of scale_mat from a similarity and between views


def is_idr(folder: Path) -> bool:
    """Whether a folder holds this layout."""
    return (folder / "image").is_dir() and any(folder.glob("*.npz"))


def read_idr(folder: Path, cameras: str) -> Capture:
    """Views of an IDR or NeuS folder; images are paired with matrices in sorted order.

    As many masks as images are paired with them by their numbers, else in order. Where there are
    fewer files than matrices and the files' names are the views' numbers, they are paired by
    number, and the others are expected but missing. Without a `mask` folder the masks are the
    photos' alpha channels; without `scale_mat` the region of interest is left open.

    Args:
        folder: holds `image` and, mostly, `mask`.
        cameras: name of the npz in the folder; if empty `cameras.npz`, else `cameras_sphere.npz`.

    Raises:
        Mistake: if numbers of files do not match, or a matrix is not what it should be, or
            if the npz or the photos are missing.
    """
    path = _camera_file(folder, cameras)
    arrays = _read_npz(path)
    count = sum(key.startswith("world_mat_") for key in arrays)
    world_mats = _per_view(arrays, "world_mat", count, path)
    images = _paired(folder / "image", count, path)
    place = folder / "mask"
    masks = _masks(place, images, path) if list_photos(place) else [None] * count
    views = []
    for i, (image, mask) in enumerate(zip(images, masks, strict=True)):
        origin = f"world_mat_{i} of {path.name}"
        intrinsics, world_from_camera = decompose_projection(world_mats[i][:3], origin)
        if np.abs(intrinsics - np.eye(3)).max() < NO_INTRINSICS:
            intrinsics = _camera_mat(arrays, i, image, path)
        else:
            intrinsics[:2, 2] += 0.5
        views.append(View(image.stem, origin, image, mask, intrinsics, world_from_camera))
    return Capture(tuple(views), _world_from_scene(arrays, count, path))


def _camera_mat(
    arrays: dict[str, np.ndarray], i: int, image: Path, path: Path
) -> Float64[np.ndarray, "3 3"]:
    """K of DVR's and UNISURF's files, whose world_mat is a pose alone.

    `camera_mat_i` is K in units that take the photo to [-1, 1] (Niemeyer et al. 2020).
    """
    if f"camera_mat_{i}" not in arrays:
        raise Mistake(
            f"world_mat_{i} of {path} is a pose without intrinsics; expected K [R | t], or a"
            f" camera_mat_{i} beside it; multiply it by K, in pixels"
        )
    height, width = read_header(image)[:2] if image.is_file() else (1, 1)
    pixels = np.array([[width / 2, 0, width / 2], [0, height / 2, height / 2], [0, 0, 1]])
    K = pixels @ _matrix_of(arrays, f"camera_mat_{i}", path)[:3, :3]
    where = f"camera_mat_{i} of {path}"
    return half_pixel_intrinsics(K.ravel(), where) - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]


def write_idr(folder: Path, capture: Capture) -> None:
    """`cameras.npz` of a capture whose photos and masks lie in `image` and `mask`."""
    arrays = {}
    frame = capture.world_from_scene
    for i, view in enumerate(capture.views):
        K = view.intrinsics - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]
        world_mat = np.eye(4)
        world_mat[:3] = K @ np.linalg.inv(view.world_from_camera)[:3]
        arrays[f"world_mat_{i}"] = world_mat
        if frame is not None:
            scale_mat = np.eye(4)
            scale_mat[:3, :3] = frame.scale * np.asarray(frame.rotation)
            scale_mat[:3, 3] = frame.translation
            arrays[f"scale_mat_{i}"] = scale_mat
    np.savez(folder / "cameras.npz", **arrays)


def _world_from_scene(
    arrays: dict[str, np.ndarray], num_views: int, path: Path
) -> Similarity | None:
    """The similarity of the scale matrices, which must be one; None where there are none."""
    if not any(key.startswith("scale_mat_") for key in arrays):
        return None
    matrices = np.stack(_per_view(arrays, "scale_mat", num_views, path))
    first = matrices[0]
    linear, scale = first[:3, :3], np.cbrt(np.linalg.det(first[:3, :3]))
    if not (np.isfinite(first).all() and scale > 0):
        raise Mistake(
            f"scale_mat_0 of {path} has scale {scale:.4g}; expected the positive radius of the"
            " region of interest; mend the file"
        )
    gram = linear.T @ linear / scale**2
    spread = max(np.abs(gram - np.eye(3)).max(), np.abs(matrices - first)[:, :3].max() / scale)
    if not spread <= SIMILARITY_TOLERANCE:
        raise Mistake(
            f"the scale_mat of {path} differ between views or along their axes by {spread:.4g} of"
            " the radius; expected one similarity for all views; set it alike in every view"
        )
    return Similarity(np.array(scale), linear / scale, first[:3, 3])


def _camera_file(folder: Path, cameras: str) -> Path:
    present = sorted(file.name for file in folder.glob("*.npz"))
    names = [cameras] if cameras else [*(n for n in DEFAULT if n in present), DEFAULT[0]]
    path = inside(folder, names[0], "camera file (<cameras>)")
    if not path.is_file():
        raise Mistake(
            f"camera file {names[0]!r} is not in {folder}; expected an npz file, of"
            f" which there are {present or 'none'}; set <cameras>"
        )
    return path


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    """The matrices of the npz; never unpickles, and unpacks nothing larger than a matrix."""
    content = io.BytesIO(read_bytes(path, EXPECTED))
    try:
        with zipfile.ZipFile(content) as archive:
            names = [
                n
                for n in archive.namelist()
                if re.fullmatch(r"(world|scale|camera)_mat_\d+\.npy", n)
            ]
            large = [n for n in names if archive.getinfo(n).file_size > MOST_MATRIX_BYTES]
            if large:
                raise Mistake(f"{large[0]} is {archive.getinfo(large[0]).file_size} bytes long")
            return {name.removesuffix(".npy"): _matrix(archive, name) for name in names}
    except UNREADABLE as error:
        raise unreadable(path, error, EXPECTED) from error


def _matrix(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """A member, of which no more is unpacked than a matrix has, whatever its headers declare."""
    with archive.open(name) as member:
        content = member.read(MOST_MATRIX_BYTES)
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise Mistake(f"{name} is of the npy version {version}")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if math.prod(shape) * dtype.itemsize > len(content):
        raise Mistake(f"{name} is cut off: {dtype} of shape {shape}")
    return np.load(io.BytesIO(content), allow_pickle=False)


def _per_view(
    arrays: dict[str, np.ndarray], name: str, num_views: int, path: Path
) -> list[Float64[np.ndarray, "4 4"]]:
    """The matrices `name_0` ... of all views."""
    keys = [f"{name}_{i}" for i in range(num_views)]
    absent = [key for key in keys if key not in arrays]
    if absent or not keys:
        raise Mistake(
            f"{path} holds no {absent[0] if absent else name + '_0'}; expected one {name} for each"
            " view, counted from 0; add the missing camera"
        )
    return [_matrix_of(arrays, key, path) for key in keys]


def _matrix_of(arrays: dict[str, np.ndarray], key: str, path: Path) -> Float64[np.ndarray, "4 4"]:
    """The matrix of a key; the last row, 0 0 0 1, may be left out."""
    if arrays[key].shape not in ((4, 4), (3, 4)) or arrays[key].dtype.kind not in "fiu":
        raise Mistake(
            f"{key} of {path} is {arrays[key].dtype} of shape {arrays[key].shape}; expected"
            " numbers of shape (4, 4) or (3, 4); mend the file"
        )
    matrix = np.eye(4)
    with np.errstate(over="ignore"):
        matrix[: len(arrays[key])] = arrays[key]
    if (np.abs(matrix) > LARGEST).any():
        raise Mistake(
            f"{key} of {path} holds more than {LARGEST:.0e}; expected the numbers of a camera;"
            " mend the file"
        )
    return matrix


def _paired(place: Path, count: int, path: Path) -> list[Path]:
    """The file of each view: in sorted order, or by number where some are missing."""
    files = list_photos(place)
    if not files:
        raise Mistake(
            f"{place} holds no image; expected {count} files, .png or .jpg, one for each camera of"
            f" {path.name}; add the photos"
        )
    if len(files) == count:
        return files
    by_number = {
        int(file.stem): file for file in files if file.stem.isdecimal() and file.stem.isascii()
    }
    if len(files) > count or len(by_number) < len(files) or max(by_number) >= count:
        raise Mistake(
            f"{place} holds {len(files)} images for {count} cameras of {path.name}; expected one"
            " for each camera, in sorted order or named by its number; add what is missing"
        )
    like = files[0]
    absent = (like.with_name(f"{i:0{len(like.stem)}d}{like.suffix}") for i in range(count))
    return [by_number.get(i, path) for i, path in enumerate(absent)]


def _masks(place: Path, images: Sequence[Path], path: Path) -> Sequence[Path]:
    """The mask of each image: its own where there are as many, else that of the matrix."""
    files = list_photos(place)
    if len(files) == len(images):
        return in_order(images, files)
    return _paired(place, len(images), path)


IDR = Format(
    "image/ and an npz of cameras",
    is_idr,
    read_idr,
    write_idr,
    ("image", "mask"),
    names_folder=False,
    holds_region=True,
)
