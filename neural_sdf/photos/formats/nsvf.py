"""The layout of NSVF: `rgb/`, `pose/`, `intrinsics.txt` and `bbox.txt`.

`pose/NAME.txt` is camera to world with OpenCV axes. `intrinsics.txt` holds K, or begins with focal
length and principal point; it counts from the corner of the first pixel, as the photos' renderer
does. `bbox.txt` is the object's box and the size of a voxel. Names that begin with 0_, 1_ and 2_
are for training, validation, which is not used, and testing (Liu et al. 2020).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from neural_sdf.geometry import Similarity
from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.capture import Capture, Format, View, view_name
from neural_sdf.photos.files.folder import list_photos, read_text
from neural_sdf.photos.formats.entries import half_pixel_intrinsics, in_order, numbers

INTRINSICS, BOX = "intrinsics.txt", "bbox.txt"
EXPECTED = "numbers"


def is_nsvf(folder: Path) -> bool:
    """Whether a folder holds this layout."""
    return (folder / INTRINSICS).is_file() and any((folder / "pose").glob("*.txt"))


def read_nsvf(folder: Path, cameras: str) -> Capture:
    """Views of an NSVF folder in the order of their photos' names.

    Args:
        folder: holds the folders and files of the layout.
        cameras: not used, the layout fixes the names.

    Raises:
        Mistake: if a file is not as the format has it.
    """
    del cameras
    K = _intrinsics(folder / INTRINSICS)
    photos = {photo.stem: photo for photo in list_photos(folder / "rgb")}
    files = sorted((folder / "pose").glob("*.txt"))
    has_splits = all(re.match("[012]_", file.name) for file in files)
    views = []
    for file in files:
        if has_splits and file.name.startswith("1_"):
            continue
        photo = photos.get(file.stem, folder / "rgb" / f"{file.stem}.png")
        origin = file.relative_to(folder).as_posix()
        is_test = has_splits and file.name.startswith("2_")
        view = View(view_name(folder, photo), origin, photo, None, K.copy(), _pose(file))
        views.append(view._replace(is_test=is_test))
    return Capture(in_order(folder, views, folder / "pose"), _region(folder / BOX))


def _words(path: Path, most: int) -> list[str]:
    """The first words of a file, one more than the most at most."""
    return read_text(path, EXPECTED).split(None, most + 1)[: most + 1]


def _pose(path: Path) -> Float64[np.ndarray, "4 4"]:
    pose = np.eye(4)
    words = _words(path, 16)
    pose[:3] = numbers(words, 16 if len(words) > 12 else 12, str(path))[:12].reshape(3, 4)
    return pose


def _intrinsics(path: Path) -> Float64[np.ndarray, "3 3"]:
    words = _words(path, 16)
    if len(words) == 16:
        values = numbers(words, 16, str(path)).reshape(4, 4)[:3, :3]
    elif len(words) == 9:
        values = numbers(words, 9, str(path)).reshape(3, 3)
    else:  # f, cx, cy and what is not needed
        focal, cx, cy = numbers(words[:3], 3, str(path))
        values = np.array([[focal, 0, cx], [0, focal, cy], [0, 0, 1]])
    K = half_pixel_intrinsics(values.ravel(), str(path))
    K[:2, 2] -= 0.5
    return K


def _region(path: Path) -> Similarity | None:
    """The sphere through the box's corners; None without a box."""
    if not path.is_file():
        return None
    lower, upper = numbers(_words(path, 7)[:6], 6, str(path)).reshape(2, 3)
    if (upper <= lower).any():
        raise Mistake(
            f"{path} has a box from {lower.tolist()} to {upper.tolist()}; expected its lower and"
            " then its upper corner; mend or delete it"
        )
    radius = np.array(np.linalg.norm(upper - lower) / 2)
    return Similarity(radius, np.eye(3), (lower + upper) / 2)


NSVF = Format("pose/*.txt and intrinsics.txt", is_nsvf, read_nsvf)
