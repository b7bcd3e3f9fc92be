"""The camera of one frame of a transforms file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.findings import listed
from neural_sdf.photos.files.folder import LARGEST
from neural_sdf.photos.files.lens import lens_or_none
from neural_sdf.photos.files.lens_models import Fisheye, Lens, OpenCV, Polynomial
from neural_sdf.photos.formats.entries import half_pixel_intrinsics, matrix, side

SMALLEST_ANGLE = 1e-6  # of a view, radians
OPENCV_FROM_OPENGL = np.array([1.0, -1.0, -1.0, 1.0])  # of the camera axes: columns of the pose
CAMERA_MODELS = (
    *("PINHOLE", "SIMPLE_PINHOLE", "OPENCV", "SIMPLE_RADIAL", "RADIAL", "FULL_OPENCV"),
    "OPENCV_FISHEYE",
)


class Frame(NamedTuple):
    """One entry of a json file, with the file's own keys behind its own.

    Attributes:
        origin: where it was written.
        settings: its keys.
        image: the photo's path in the folder of the set, as written.
        mask: the mask's, None where the frame names none.
        split: "train", "test", or "unused".
    """

    origin: str
    settings: Mapping[str, Any]
    image: Path
    mask: Path | None
    split: str


def refuse_unsupported(frames: Sequence[Frame]) -> None:
    """Stops at cameras that are no lens before a plane."""
    strange = [
        f"{frame.origin} has camera_model {model!r:.40}"
        for frame in frames
        if (model := _model(frame)) not in CAMERA_MODELS
    ]
    if strange:
        raise Mistake(
            f"{listed(strange)}; expected one of {list(CAMERA_MODELS)}; make photos of one of those"
            " first, e.g. with colmap image_undistorter, and write their new intrinsics"
        )


def declared_size(frame: Frame) -> tuple[int, int] | None:
    """(height, width) that a frame declares, which scripts that shrink photos leave with fractions.

    None if it declares none.

    Raises:
        Mistake: if they are no pixels.
    """
    if not {"w", "h"} <= frame.settings.keys():
        return None
    sides = [_number(frame, key) for key in "hw"]
    height, width = (
        side(x if x is None else float(round(x)), f"{key} of {frame.origin}")
        for x, key in zip(sides, "hw", strict=True)
    )
    return height, width


def intrinsics(frame: Frame, height: int, width: int) -> Float64[np.ndarray, "3 3"]:
    """K from focal lengths in pixels or angles of view.

    Where not given, fl_y is fl_x and the principal point the photo's centre, as the tools that
    write such files mean it.
    """
    given = frame.settings.get("intrinsic_matrix")
    if given is not None:
        return _matrix(frame, given)
    fx = _focal(frame, "x", width)
    if fx is None:
        raise Mistake(
            f"{frame.origin} has no focal length; expected 'fl_x' in pixels or 'camera_angle_x' in"
            " radians, in the frame or for the whole file; add it"
        )
    fy, cx, cy = _focal(frame, "y", height), _number(frame, "cx"), _number(frame, "cy")
    return np.array(
        [
            [fx, _number(frame, "sk_x") or 0.0, width / 2 if cx is None else cx],
            [0.0, fx if fy is None else fy, height / 2 if cy is None else cy],
            [0.0, 0.0, 1.0],
        ]
    )


def _matrix(frame: Frame, given: Any) -> Float64[np.ndarray, "3 3"]:
    """K of `intrinsic_matrix`, 3 by 3 or larger; NeuS2 counts from the first pixel's centre."""
    where = f"intrinsic_matrix of {frame.origin}"
    K = half_pixel_intrinsics(matrix(given, (3, 3), where).ravel(), where)
    if not _is_opencv(frame):
        K[:2, 2] -= 0.5
    return K


def _focal(frame: Frame, axis: str, extent: int) -> float | None:
    """Focal length in pixels: extent / (2 tan(angle / 2))."""
    focal, angle = _number(frame, f"fl_{axis}"), _number(frame, f"camera_angle_{axis}")
    if focal is not None or angle is None:
        return focal
    if not SMALLEST_ANGLE < angle < np.pi:
        raise Mistake(
            f"{frame.origin} has camera_angle_{axis} = {angle}; expected radians between 0 and pi"
        )
    return extent / (2 * np.tan(angle / 2))


def lens_of(frame: Frame) -> Lens | None:
    """The lens of a frame.

    In nerfstudio k4 multiplies r⁸, in OpenCV it stands in the denominator with k5 and k6. The
    first is meant by a k4 alone, unless the model is FULL_OPENCV.
    """
    given = {key: _number(frame, key) or 0.0 for key in OpenCV._fields}
    if _model(frame) == "OPENCV_FISHEYE":
        return Fisheye(*(given[key] for key in Fisheye._fields))
    is_rational = _model(frame) == "FULL_OPENCV" or given["k5"] or given["k6"]
    if given["k4"] and not is_rational:
        return Polynomial(*(given[key] for key in Polynomial._fields))
    return lens_or_none(OpenCV(**given))


def _model(frame: Frame) -> Any:
    given = frame.settings.get("camera_model", "OPENCV")
    return "OPENCV_FISHEYE" if frame.settings.get("is_fisheye") else given


def pose_of(frame: Frame) -> Float64[np.ndarray, "4 4"]:
    """world_from_camera, OpenCV axes; a matrix of 3 by 4 is completed."""
    value = frame.settings.get("transform_matrix")
    try:
        pose = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        pose = np.empty(0)
    if pose.shape == (3, 4):
        pose = np.vstack([pose, [0.0, 0.0, 0.0, 1.0]])
    if pose.shape != (4, 4) or (np.abs(pose[np.isfinite(pose)]) > LARGEST).any():
        raise Mistake(
            f"{frame.origin} has transform_matrix {value!r:.40}; expected 4 rows of 4 numbers, or"
            " 3; mend it"
        )
    return pose if _is_opencv(frame) else pose * OPENCV_FROM_OPENGL


def _is_opencv(frame: Frame) -> bool:
    """Whether a file is NeuS2's, whose poses have OpenCV axes."""
    return frame.settings.get("from_na") is True


def _number(frame: Frame, key: str) -> float | None:
    value = frame.settings.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > LARGEST:
        raise Mistake(f"{frame.origin} has {key} = {value!r:.40}; expected a number; mend it")
    return float(value)
