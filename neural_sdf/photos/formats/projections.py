"""Plain projection matrices: one text file for each photo.

A file holds P = λ K [R | t], λ ≠ 0, world to pixel with OpenCV axes: 12 numbers, or 16 of which the
last four are not needed, after a word as in PMVS ("CONTOUR") or none; `#` begins a comment. Pixels
are counted from the centre of the first, so that 0.5 is added to the principal point.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float64

from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.capture import Capture, Format, View, view_name
from neural_sdf.photos.files.folder import inside, list_photos, photo_folder
from neural_sdf.photos.formats.entries import in_order, numbers, text_lines
from neural_sdf.photos.formats.projection import decompose_projection

EXPECTED = "12 or 16 numbers, after one word or none"
PLACES = ("cameras", "calib", "cams", "projections", "txt", "pmvs/txt")
PARAMETERS = ("CONTOUR2", "CONTOUR3")  # in PMVS: 12 numbers that are no matrix


def is_projections(folder: Path) -> bool:
    """Whether a folder holds this layout, by the content of a file."""
    place = _find_place(folder)
    if place is None:
        return False
    try:
        _read_projection(_matrix_files(place)[0])
    except ValueError:
        return False
    return True


def read_projections(folder: Path, cameras: str) -> Capture:
    """Views of a folder of matrices in the order of their photos' names.

    A photo and its matrix have the same stem; if no two have, they are paired in sorted order.

    Args:
        folder: holds the photos and a folder of matrices.
        cameras: the folder of matrices; if empty, one of the usual names.

    Raises:
        Mistake: if a file holds no projection of a camera, or numbers of files do not match, or
            if the matrices or the photos are missing.
    """
    place = _find_place(folder)
    if cameras:
        place = inside(folder, cameras, "folder of cameras (<cameras>)")
    files = [] if place is None else _matrix_files(place)
    if place is None or not files:
        raise Mistake(
            f"{folder / cameras} holds no projection matrices; expected .txt files in"
            f" {cameras or ', '.join(PLACES)}; set <cameras>"
        )
    views = []
    for file, image in zip(files, _paired(folder, place, files), strict=True):
        origin = file.relative_to(folder).as_posix()
        camera = _camera(_read_projection(file), file)
        views.append(View(view_name(folder, image), origin, image, None, *camera))
    return Capture(in_order(folder, views, place))


def _find_place(folder: Path) -> Path | None:
    """The first of the usual folders that holds files of matrices, by their names."""
    return next((folder / name for name in PLACES if _matrix_files(folder / name)), None)


def _matrix_files(place: Path) -> list[Path]:
    """Text files of a folder in sorted order."""
    return sorted(place.glob("*.txt"))


def _paired(folder: Path, place: Path, files: list[Path]) -> list[Path]:
    """The photo of each file: of the same stem, or else in sorted order."""
    photos = photo_folder(folder if place == folder else place.parent) or photo_folder(folder)
    if photos is None:
        raise Mistake(
            f"{folder} holds no image; expected {len(files)} files, .png or .jpg, in images/, one"
            f" for each matrix in {place}; add the photos"
        )
    images = list_photos(photos)
    by_stem = {image.stem: image for image in images}
    if any(file.stem in by_stem for file in files):
        like = images[0].suffix
        return [by_stem.get(file.stem, photos / f"{file.stem}{like}") for file in files]
    if len(images) != len(files):
        raise Mistake(
            f"{photos} holds {len(images)} images for {len(files)} matrices in {place}; expected"
            " files of the same stem, or as many; add the missing photo or matrix"
        )
    return images


def _read_projection(path: Path) -> Float64[np.ndarray, "3 4"]:
    words: list[str] = []
    for _, line in text_lines(path, EXPECTED):
        words += line.partition("#")[0].split(None, 17)
        if len(words) > 17:
            break
    if words and words[0] in PARAMETERS:
        raise Mistake(
            f"{path} holds the parameters of a camera; expected its matrix, after 'CONTOUR'; write"
            " the matrix"
        )
    if words and words[0].isidentifier():
        del words[0]
    values = numbers(words, 16 if len(words) > 12 else 12, str(path))
    return values[:12].reshape(3, 4)


def _camera(
    projection: Float64[np.ndarray, "3 4"], path: Path
) -> tuple[Float64[np.ndarray, "3 3"], Float64[np.ndarray, "4 4"]]:
    """K with half-pixel centres and world_from_camera."""
    if np.linalg.norm(projection[2, :3]) < 1e-30:  # else dividing by K[2, 2] may overflow
        raise Mistake(
            f"{path} has zeros in its third row; expected a projection matrix; mend the file"
        )
    intrinsics, world_from_camera = decompose_projection(projection, str(path))
    if np.abs(intrinsics - np.eye(3)).max() < 1e-3:
        raise Mistake(
            f"{path} is a pose without intrinsics; expected K [R | t]; multiply it by K, in pixels"
        )
    intrinsics[:2, 2] += 0.5
    return intrinsics, world_from_camera


PROJECTIONS = Format(
    "3 by 4 matrices in cameras/, calib/, cams/, projections/ or txt/",
    is_projections,
    read_projections,
)
