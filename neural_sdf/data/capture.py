"""What a photo format's reader returns: cameras and file names, before any pixel is read.

A reader is one function `read(folder, cameras) -> Capture` in a module of its own, listed in
`load.FORMATS`. It converts its format's conventions to the project's (OpenCV axes, pixel centres at
+0.5, float64) and checks only what the format itself says; what every capture must satisfy is
checked here, and asked for by `load.load_scene`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from neural_sdf.geometry import Similarity

RIGID_TOLERANCE = 1e-3  # of RᵀR from the identity; a file rounded to four decimals passes
MOST_FAULTS = 5  # faults of one kind spelled out in a message


class View(NamedTuple):
    """One photo with its camera.

    Attributes:
        name: short and without slashes, so that it can name a file.
        origin: where the camera was written ("frame 3 of transforms.json"); for messages.
        image: the photo.
        mask: grey image, bright on the object; None where it is the photo's own alpha channel.
        intrinsics: K of the full-size photo in pixels, half-pixel centres, [3, 3].
        world_from_camera: rigid OpenCV pose in the photos' own world, [4, 4].
        size: (height, width) that the format declares, None where it declares none.
        is_test: whether the layout keeps this view for testing.
    """

    name: str
    origin: str
    image: Path
    mask: Path | None
    intrinsics: Float64[np.ndarray, "3 3"]
    world_from_camera: Float64[np.ndarray, "4 4"]
    size: tuple[int, int] | None = None
    is_test: bool = False


class Capture(NamedTuple):
    """All views of a scene in the order of their files.

    Attributes:
        views: in file order, which `data.holdout_*` counts from 0.
        world_from_scene: takes the unit sphere to the region of interest, None where the layout
            does not say.
    """

    views: tuple[View, ...]
    world_from_scene: Similarity | None = None


class Format(NamedTuple):
    """A layout of photo sets.

    Attributes:
        looks_for: the files that tell it from others, in words; for messages.
        recognises: whether a folder holds this layout.
        read: the views of a folder; the second argument names the camera file, in layouts that
            leave a choice.
    """

    looks_for: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path, str], Capture]


def refuse_faults(faults: Sequence[str], remedy: str) -> None:
    """Stops at the border with all faults of one kind in one line.

    Raises:
        ValueError: if there is any fault.
    """
    if not faults:
        return
    more = f" and {len(faults) - MOST_FAULTS} more like it" if len(faults) > MOST_FAULTS else ""
    raise ValueError("; ".join(faults[:MOST_FAULTS]) + more + "; " + remedy)


def require_files(folder: Path, files: Sequence[tuple[str, Path]], remedy: str) -> None:
    """Stops if files are missing, and names every one of them.

    Args:
        folder: the scene's folder.
        files: (where it is asked for, path) of each file.
        remedy: how to mend it.

    Raises:
        FileNotFoundError: if any is missing.
    """
    missing = [(origin, path) for origin, path in files if not path.is_file()]
    if missing:
        listed = ", ".join(f"{path.relative_to(folder)} ({origin})" for origin, path in missing)
        raise FileNotFoundError(
            f"{len(missing)} of {len(files)} files are missing in {folder}: {listed}; {remedy}"
        )


def pose_fault(pose: Float64[np.ndarray, "4 4"]) -> str | None:
    """Why a world_from_camera is not rigid, with the offending number; None if it is."""
    if not np.isfinite(pose).all():
        return f"the pose holds {pose[~np.isfinite(pose)][0]}, expected finite numbers"
    if np.abs(pose[3] - [0, 0, 0, 1]).max() > RIGID_TOLERANCE:
        row = ", ".join(f"{value:.4g}" for value in pose[3] + 0.0)  # no -0
        return f"the pose's last row is [{row}], expected [0, 0, 0, 1] (is the matrix transposed?)"
    rotation = pose[:3, :3]
    lengths = np.linalg.norm(rotation, axis=0)
    worst = lengths[np.argmax(np.abs(lengths - 1))]
    if abs(worst - 1) > RIGID_TOLERANCE:
        return f"the pose's rotation has a column of length {worst:.4g}, expected 1 (no scale)"
    skewness = np.abs(rotation.T @ rotation - np.eye(3)).max()
    if skewness > RIGID_TOLERANCE:
        return f"the pose's axes have a cosine of {skewness:.4g} between them, expected 0"
    if np.linalg.det(rotation) < 0:
        return "the pose's rotation has determinant -1 (a mirror image), expected +1"
    return None


def intrinsics_fault(intrinsics: Float64[np.ndarray, "3 3"], height: int, width: int) -> str | None:
    """Why K cannot be the camera of a photo of this size; None if it can."""
    if not np.isfinite(intrinsics).all():
        value = intrinsics[~np.isfinite(intrinsics)][0]
        return f"the intrinsics hold {value}, expected finite numbers"
    fx, fy, cx, cy = intrinsics[[0, 1, 0, 1], [0, 1, 2, 2]]
    if min(fx, fy) <= 0:
        return f"the focal lengths are fx {fx:.6g}, fy {fy:.6g}, expected positive pixels"
    if not (0 <= cx <= width and 0 <= cy <= height):
        return (
            f"the principal point ({cx:.6g}, {cy:.6g}) is outside the photo of {width}x{height},"
            " expected inside"
        )
    return None
