"""The layout of BlendedMVS and MVSNet: `cams/*_cam.txt` and `blended_images/`.

A file is the word `extrinsic` with [R t; 0 0 0 1], world to camera with OpenCV axes, the word
`intrinsic` with K, and a range of depths, which is not needed. K counts from the centre of the
first pixel: MVSNet's code (Yao et al. 2018) multiplies it with integer pixel coordinates, so that
0.5 is added to the principal point here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float64

from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.capture import Capture, Format, View, pose_from_extrinsics, view_name
from neural_sdf.photos.files.folder import inside, list_photos, read_text
from neural_sdf.photos.formats.entries import half_pixel_intrinsics, in_order, numbers

EXPECTED = "'extrinsic', a 4 by 4 matrix, 'intrinsic' and a 3 by 3 matrix"
ENDING = "_cam.txt"
PLACES = ("blended_images", "images", "image")


def is_blended_mvs(folder: Path) -> bool:
    """Whether a folder holds this layout."""
    return any((folder / "cams").glob(f"*{ENDING}"))


def read_blended_mvs(folder: Path, cameras: str) -> Capture:
    """Views of a BlendedMVS folder in the order of their file names.

    The photo of `<stem>_cam.txt` is `<stem>.jpg` or `.png`; the `_masked` ones are not used.

    Args:
        folder: holds the folders of photos and cameras.
        cameras: the folder of cameras; if empty `cams`.

    Raises:
        Mistake: if a file is not as the format has it, or if there is none.
    """
    place = inside(folder, cameras or "cams", "folder of cameras (<cameras>)")
    files = sorted(place.glob(f"*{ENDING}"))
    if not files:
        raise Mistake(
            f"{place} holds no camera file; expected *{ENDING}, one for each photo; set <cameras>"
        )
    photos = next(
        (folder / name for name in PLACES if (folder / name).is_dir()), folder / PLACES[0]
    )
    by_stem = {photo.stem: photo for photo in list_photos(photos)}
    views = []
    for file in files:
        stem = file.name.removesuffix(ENDING)
        image = by_stem.get(stem, photos / f"{stem}.jpg")
        origin = file.relative_to(folder).as_posix()
        views.append(View(view_name(folder, image), origin, image, None, *_read_camera(file)))
    return Capture(in_order(folder, views, place))


def _read_camera(
    path: Path,
) -> tuple[Float64[np.ndarray, "3 3"], Float64[np.ndarray, "4 4"]]:
    """K and world_from_camera of one file."""
    words = read_text(path, EXPECTED).split(None, 27)
    if len(words) < 27 or words[0] != "extrinsic" or words[17] != "intrinsic":
        raise Mistake(
            f"camera file {path} is {' '.join(words[:2])!r:.40}...; expected {EXPECTED}; mend it"
        )
    extrinsic = numbers(words[1:17], 16, f"'extrinsic' of {path}").reshape(4, 4)
    if (extrinsic[3] != [0, 0, 0, 1]).any():
        raise Mistake(
            f"'extrinsic' of {path} ends in {extrinsic[3].tolist()}; expected 0 0 0 1 (is it"
            " transposed?); mend the file"
        )
    where = f"'intrinsic' of {path}"
    intrinsics = half_pixel_intrinsics(numbers(words[18:27], 9, where), where)
    return intrinsics, pose_from_extrinsics(extrinsic[:3, :3], extrinsic[:3, 3])


BLENDED_MVS = Format("cams/*_cam.txt", is_blended_mvs, read_blended_mvs)
