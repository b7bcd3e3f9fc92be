"""Entries of COLMAP's files, as both kinds of file hold them."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from neural_sdf.geometry import SparsePoints, standard_errors
from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.capture import pose_from_extrinsics
from neural_sdf.photos.files.folder import LARGEST
from neural_sdf.photos.files.lens import lens_or_none
from neural_sdf.photos.files.lens_models import (
    Division,
    EnhancedUnified,
    FieldOfView,
    Fisheye,
    Lens,
    OpenCV,
    ThinPrismFisheye,
)
from neural_sdf.photos.formats.entries import MOST_PIXELS

EXPECTED = "a file of a COLMAP model"


class Model(NamedTuple):
    """How many focal lengths and coefficients a camera has, and of which lens.

    The principal point stands between them; coefficients that are not given are zero.
    """

    num_focal: int
    num_coefficients: int
    lens: type[Lens]


MODELS = {
    "SIMPLE_PINHOLE": Model(1, 0, OpenCV),
    "PINHOLE": Model(2, 0, OpenCV),
    "SIMPLE_RADIAL": Model(1, 1, OpenCV),
    "RADIAL": Model(1, 2, OpenCV),
    "OPENCV": Model(2, 4, OpenCV),
    "FULL_OPENCV": Model(2, 8, OpenCV),
    "OPENCV_FISHEYE": Model(2, 4, Fisheye),
    "SIMPLE_RADIAL_FISHEYE": Model(1, 1, Fisheye),
    "RADIAL_FISHEYE": Model(1, 2, Fisheye),
    "SIMPLE_FISHEYE": Model(1, 0, Fisheye),
    "FISHEYE": Model(2, 0, Fisheye),
    "THIN_PRISM_FISHEYE": Model(2, 8, ThinPrismFisheye),
    "FOV": Model(2, 1, FieldOfView),
    "SIMPLE_DIVISION": Model(1, 1, Division),
    "DIVISION": Model(2, 1, Division),
    "EUCM": Model(2, 2, EnhancedUnified),
}


class Camera(NamedTuple):
    """One entry of the cameras; fields as in `View`."""

    size: tuple[int, int]
    intrinsics: Float64[np.ndarray, "3 3"]
    lens: Lens | None


class Image(NamedTuple):
    """One entry of the images, with the id of its camera and the length of its quaternion."""

    origin: str
    world_from_camera: Float64[np.ndarray, "4 4"]
    camera: int
    name: str
    length: float


def num_params(model: str, where: str) -> int:
    """How many numbers a camera of a model has.

    Raises:
        Mistake: if the model is not supported.
    """
    if model not in MODELS:
        raise Mistake(
            f"{where} has model {model!r:.40}; expected one of {list(MODELS)}; make photos of one"
            " of those, e.g. with colmap image_undistorter"
        )
    return MODELS[model].num_focal + 2 + MODELS[model].num_coefficients


def camera_entry(
    model: str, width: int, height: int, values: Sequence[float], where: str
) -> Camera:
    """The entry of a camera.

    Args:
        model: name in `MODELS`.
        width: of its photos, pixels.
        height: of its photos, pixels.
        values: focal lengths, principal point and distortion, in COLMAP's order.
        where: it was written; for messages.

    Raises:
        Mistake: if the size cannot be.
    """
    if not (1 <= width < MOST_PIXELS and 1 <= height < MOST_PIXELS):
        raise Mistake(
            f"{where} has {width} by {height} pixels; expected 1 to {MOST_PIXELS - 1}; mend it"
        )
    num_focal, _, lens = MODELS[model]
    fx, fy = values[0], values[num_focal - 1]
    cx, cy, *coefficients = values[num_focal:]
    intrinsics = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], np.float64)
    return Camera((height, width), intrinsics, lens_or_none(lens(*coefficients)))


def image_entry(
    number: int, values: Float64[np.ndarray, "7"], camera: int, name: str, path: Path
) -> Image:
    """The entry of an image.

    Args:
        number: its id.
        values: quaternion (w, x, y, z) and translation, world to camera.
        camera: id of its camera.
        name: of its photo.
        path: where it was written; for messages.

    Raises:
        Mistake: if the quaternion is zero.
    """
    origin = f"image {number} of {path.name}"
    length = np.linalg.norm(values[:4])
    if length < 1e-9:
        raise Mistake(
            f"{origin} in {path.parent} has a zero quaternion; expected a rotation; mend the file"
        )
    from scipy.spatial.transform import Rotation  # late: it takes a tenth of a second

    rotation = Rotation.from_quat(values[:4], scalar_first=True).as_matrix()
    pose = pose_from_extrinsics(rotation, values[4:])
    return Image(origin, pose, camera, name, float(length))


def sparse_points(
    entries: Iterable[tuple[Iterable[float], float, int]], path: Path
) -> SparsePoints | None:
    """The points of a file; None if there are none.

    Args:
        entries: of each point its place, its mean reprojection error in pixels, and the number of
            photos that see it. COLMAP writes -1 for an error that it does not know.
        path: of the file.

    Raises:
        Mistake: if one is not finite.
    """
    coordinates, errors = array("d"), array("d")
    for place, error, views in entries:
        coordinates.extend(place)
        errors.append(error / max(views, 1) ** 0.5)
    places = np.array(coordinates, np.float64).reshape(-1, 3)
    if not (np.abs(places) <= LARGEST).all():
        raise Mistake(f"{path} has a point that is not finite; expected numbers; remove it")
    errors = standard_errors(np.array(errors, np.float64))
    return SparsePoints(places, errors) if len(places) else None
