"""Cameras in json: the layouts of Blender and NeRF, of nerfstudio and of instant-ngp.

The first has `transforms_train.json` and its like for each split, the others one `transforms.json`.
Poses are camera to world with OpenGL axes (x right, y up, z backward). Principal points count from
the corner of the first pixel, as in the whole project. Keys of a frame overrule those of the file;
`applied_transform` only says where the poses came from and changes nothing. The distortion of the
lens is OpenCV's (k1 to k6, p1, p2).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.capture import (
    Capture,
    Format,
    Header,
    ImageFile,
    View,
    image_path,
    refuse_skew,
    view_name,
)
from neural_sdf.photos.files.findings import listed
from neural_sdf.photos.files.folder import (
    LARGEST,
    PHOTO_SUFFIXES,
    find_masks,
    inside,
    read_text,
    unreadable,
)
from neural_sdf.photos.files.images import read_header
from neural_sdf.photos.files.lens import Lens, lens_or_none

MOST_PIXELS = 2**31  # of a side
SMALLEST_ANGLE = 1e-6  # of a view, radians
EXPECTED = "a json object with a list 'frames'"
OPENCV_FROM_OPENGL = np.array([1.0, -1.0, -1.0, 1.0])  # of the camera axes: columns of the pose
CAMERA_MODELS = ("PINHOLE", "SIMPLE_PINHOLE", "OPENCV", "SIMPLE_RADIAL", "RADIAL", "FULL_OPENCV")


class Frame(NamedTuple):
    """One entry of a json file, with the file's own keys behind its own."""

    origin: str
    settings: Mapping[str, Any]
    image: Path
    mask: Path | None
    is_test: bool


def is_transforms(folder: Path) -> bool:
    """Whether a folder holds this layout."""
    return any((folder / name).is_file() for name in ("transforms_train.json", "transforms.json"))


def read_transforms(folder: Path, cameras: str) -> Capture:
    """Views of a folder with `transforms_train.json` or, without it, `transforms.json`.

    Views of `transforms_test.json`, or of `test_filenames`, are the test split; those of
    `transforms_val.json`, or of `val_filenames`, are not used. Masks are those that the frames
    name, else those of a folder of masks. The order is that of the frames in the split files, and
    of the sorted file names in a single file.

    Args:
        folder: holds the json files; no path in them may leave it.
        cameras: not used, the layout fixes the names.

    Raises:
        Mistake: if the json is not as the format has it, or asks for what is not supported.
    """
    del cameras
    if (folder / "transforms_train.json").is_file():
        frames = _read_frames(folder, "transforms_train.json")
        if (folder / "transforms_test.json").is_file():
            test = _read_frames(folder, "transforms_test.json")
            frames += [frame._replace(is_test=True) for frame in test]
    else:
        frames = sorted(_read_frames(folder, "transforms.json"), key=lambda frame: frame.image)
    _refuse_unsupported(frames)
    if not any(frame.mask for frame in frames):
        masks = find_masks(folder, [frame.image for frame in frames])
        frames = [f._replace(mask=mask) for f, mask in zip(frames, masks, strict=True)]
    return Capture(tuple(_view(folder, frame) for frame in frames))


def _read_frames(folder: Path, name: str) -> list[Frame]:
    """The frames of one json file that are for training or testing."""
    document = _read_json(folder / name)
    common = {key: value for key, value in document.items() if key != "frames"}
    test, val = (_file_names(document, key) for key in ("test_filenames", "val_filenames"))
    frames = []
    for i, entry in enumerate(document["frames"]):
        origin = f"frame {i} of {name}"
        if not isinstance(entry, dict):
            raise Mistake(f"{origin} in {folder} is {entry!r:.40}; expected a json object")
        image = _with_suffix(inside(folder, entry.get("file_path"), f"file_path of {origin}"))
        if os.path.relpath(image, folder) in val:
            continue
        mask = entry.get("mask_path")
        mask = None if mask is None else inside(folder, mask, f"mask_path of {origin}")
        is_test = os.path.relpath(image, folder) in test
        frames.append(Frame(origin, {**common, **entry}, image, mask, is_test))
    return frames


def _read_json(path: Path) -> dict[str, Any]:
    """The document, with a list of frames that is not empty."""
    text = read_text(path, EXPECTED)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise unreadable(path, error, EXPECTED) from error
    frames = document.get("frames") if isinstance(document, dict) else None
    if not isinstance(frames, list) or not frames:
        raise unreadable(path, "it has no frames", EXPECTED)
    return document


def _with_suffix(path: Path) -> Path:
    """The image meant by a path that may lack its extension; .png where nothing is found."""
    if path.suffix.lower() in PHOTO_SUFFIXES or path.is_file():
        return path
    candidates = [path.with_name(path.name + suffix) for suffix in PHOTO_SUFFIXES]
    return next((file for file in candidates if file.is_file()), candidates[0])


def _file_names(document: dict[str, Any], key: str) -> set[str]:
    names = document.get(key, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Mistake(f"{key} is {names!r:.40}; expected a list of file names; mend the json")
    return {os.path.normpath(name) for name in names}


def _refuse_unsupported(frames: list[Frame]) -> None:
    """Stops at lenses that are not pinholes with OpenCV's distortion."""
    strange = [
        f"{frame.origin} has camera_model {model!r}"
        for frame in frames
        if (model := _model(frame)) not in CAMERA_MODELS
    ]
    if strange:
        raise Mistake(
            f"{listed(strange)}; expected one of {list(CAMERA_MODELS)}; undistort the photos first,"
            " e.g. with colmap image_undistorter, and write their new intrinsics"
        )


def _model(frame: Frame) -> Any:
    return (
        "fisheye"
        if frame.settings.get("is_fisheye")
        else frame.settings.get("camera_model", "OPENCV")
    )


def _view(folder: Path, frame: Frame) -> View:
    size = (_pixels(frame, "h"), _pixels(frame, "w")) if _declares_size(frame) else None
    pose = _pose(frame) * OPENCV_FROM_OPENGL
    header = None if size else _header(frame.image)
    height, width = size or (header[:2] if header else (1, 1))
    return View(
        view_name(folder, frame.image),
        frame.origin,
        frame.image,
        frame.mask,
        _intrinsics(frame, height, width),
        pose,
        size,
        frame.is_test,
        lens_or_none(*(_number(frame, key) or 0.0 for key in Lens._fields)),
        header,
    )


def _header(image: Path) -> Header | None:
    """Of a photo; None where it cannot be read, which a later check tells."""
    try:
        return read_header(image)
    except ValueError:
        return None


def _declares_size(frame: Frame) -> bool:
    return "w" in frame.settings and "h" in frame.settings


def _pixels(frame: Frame, key: str) -> int:
    value = _number(frame, key)
    if value is None or not (1 <= value < MOST_PIXELS and value == round(value)):
        raise Mistake(f"{frame.origin} has {key} = {value}; expected a whole number of pixels")
    return int(value)


def _intrinsics(frame: Frame, height: int, width: int) -> Float64[np.ndarray, "3 3"]:
    """K from focal lengths in pixels or angles of view.

    Where not given, fl_y is fl_x and the principal point the photo's centre, as the tools that
    write such files mean it.
    """
    fx = _focal(frame, "x", width)
    if fx is None:
        raise Mistake(
            f"{frame.origin} has no focal length; expected 'fl_x' in pixels or 'camera_angle_x' in"
            " radians, in the frame or for the whole file; add it"
        )
    fy, cx, cy = _focal(frame, "y", height), _number(frame, "cx"), _number(frame, "cy")
    return np.array(
        [
            [fx, 0.0, width / 2 if cx is None else cx],
            [0.0, fx if fy is None else fy, height / 2 if cy is None else cy],
            [0.0, 0.0, 1.0],
        ]
    )


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


def _number(frame: Frame, key: str) -> float | None:
    value = frame.settings.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > LARGEST:
        raise Mistake(f"{frame.origin} has {key} = {value!r:.40}; expected a number; mend it")
    return float(value)


def _pose(frame: Frame) -> Float64[np.ndarray, "4 4"]:
    """The frame's matrix, OpenGL axes; a 3 by 4 one is completed."""
    value = frame.settings.get("transform_matrix")
    try:
        matrix = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        matrix = np.empty(0)
    if matrix.shape == (3, 4):
        matrix = np.vstack([matrix, [0.0, 0.0, 0.0, 1.0]])
    if matrix.shape != (4, 4) or (np.abs(matrix[np.isfinite(matrix)]) > LARGEST).any():
        raise Mistake(
            f"{frame.origin} has transform_matrix {value!r:.40}; expected 4 rows of 4 numbers, or"
            " 3; mend it"
        )
    return matrix


def write_transforms(folder: Path, capture: Capture) -> None:
    """`transforms.json` of a capture whose photos lie in the folder, with OpenGL axes.

    Raises:
        Mistake: if a camera has skew, which the format cannot hold.
    """
    refuse_skew(capture.views, "transforms")
    test = [_relative(folder, view.image) for view in capture.views if view.is_test]
    train = [_relative(folder, view.image) for view in capture.views if not view.is_test]
    splits = {"train_filenames": train, "test_filenames": test} if test else {}
    document = {**splits, "frames": [_frame(folder, view) for view in capture.views]}
    (folder / "transforms.json").write_text(json.dumps(document, indent=1) + "\n")


def _frame(folder: Path, view: View) -> dict[str, Any]:
    (fx, _, cx), (_, fy, cy), _ = view.intrinsics.tolist()
    size = {} if view.size is None else {"w": view.size[1], "h": view.size[0]}
    lens = {} if view.lens is None else {"camera_model": "OPENCV", **view.lens._asdict()}
    return {
        "file_path": _relative(folder, view.image),
        **({} if view.mask is None else {"mask_path": _relative(folder, view.mask)}),
        "fl_x": fx,
        "fl_y": fy,
        "cx": cx,
        "cy": cy,
        **size,
        **lens,
        "transform_matrix": (view.world_from_camera * OPENCV_FROM_OPENGL).tolist(),
    }


def _relative(folder: Path, image: ImageFile) -> str:
    return image_path(image).relative_to(folder).as_posix()


TRANSFORMS = Format(
    "transforms_train.json or transforms.json",
    is_transforms,
    read_transforms,
    write_transforms,
    holds_split=True,
)
