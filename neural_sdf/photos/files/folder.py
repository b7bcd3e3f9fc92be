"""Files of a scene's folder: names stay inside it, and what is read has a bound."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neural_sdf.mistake import Mistake

PHOTO_SUFFIXES = (".png", ".jpg", ".jpeg")
PHOTO_FOLDERS = ("image", "images", "rgb", "blended_images", "visualize")
MASK_FOLDERS = ("mask", "masks", "silhouettes")
LONGEST_PATH = 1024  # characters
LONGEST_NAME = 240  # bytes of a file's name, so that a suffix may follow
MOST_BYTES = 2**26  # of a file of cameras: a hundred thousand frames of json
MOST_MODEL_BYTES = 2**30  # of a file that holds points, too
LARGEST = 1e30  # of any number; far beyond any camera, and products of a few do not overflow


def find_set(path: str | Path) -> Path:
    """The folder of a photo set: a path, or the name of a prepared dataset.

    A dataset, `name` or `name:1.0.0`, is looked for in `datasets_folder()`; of several versions the
    latest is taken. What is neither is left as it is.
    """
    folder = Path(path).expanduser()
    name, _, version = str(path).partition(":")
    if folder.exists() or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        return folder
    found = datasets_folder().glob(f"{name}/{version or '*'}")
    versions = [place for place in found if re.fullmatch(r"\d+\.\d+\.\d+", place.name)]
    return max(versions, key=lambda place: [int(n) for n in place.name.split(".")], default=folder)


def datasets_folder() -> Path:
    """Where datasets are prepared and looked for, as TensorFlow Datasets has it."""
    return Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def inside(folder: Path, name: Any, what: str) -> Path:
    """A path that a camera file names, which must stay in the scene's folder; links are followed.

    Args:
        folder: of the scene.
        name: as written in the file; relative, with slashes of either kind.
        what: where it was written; for messages.

    Raises:
        Mistake: if it is no path, absolute, or leads out of the folder.
    """
    if not isinstance(name, str) or not name.isprintable() or len(name) > LONGEST_PATH:
        raise Mistake(f"{what} in {folder} is {name!a:.40}; expected the path of a file")
    plain = Path(os.path.normpath(name.replace("\\", "/")))
    too_long = max((len(os.fsencode(part)) for part in plain.parts), default=0) > LONGEST_NAME
    if not plain.parts or too_long:
        raise Mistake(f"{what} in {folder} is {name!r:.40}; expected the path of a file")
    if plain.is_absolute() or ".." in plain.parts or ":" in plain.parts[0]:
        raise Mistake(
            f"{what} is {name!r:.200}, which is outside {folder}; expected a path relative to that"
            " folder and inside it; move the files there and write their paths so"
        )
    return folder / plain


def read_bytes(path: Path, expected: str, most: int = MOST_BYTES) -> bytes:
    """A whole file of cameras.

    Args:
        path: of the file.
        expected: what should be in it, for messages.
        most: bytes that it may have.

    Raises:
        Mistake: if it cannot be read, or is too large to be a file of cameras.
    """
    try:
        size = path.stat().st_size
        if size > most:
            raise Mistake(f"{size} bytes, expected {most} or fewer")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise unreadable(path, error, expected) from error


def read_text(path: Path, expected: str) -> str:
    """A whole text file of cameras.

    Args:
        path: of the file.
        expected: what should be in it, for messages.

    Raises:
        Mistake: as `read_bytes`, or if it is no text.
    """
    try:
        return read_bytes(path, expected).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise unreadable(path, error, expected) from error


def unreadable(path: Path, error: Exception | str, expected: str) -> Mistake:
    """The error for a file of cameras that is not what it should be."""
    reason = str(error).replace("\n", " ")[:200]
    return Mistake(f"camera file {path} cannot be read ({reason}); expected {expected}; mend it")


def list_photos(folder: Path) -> list[Path]:
    """The photos of a folder in sorted order; none if it is not there."""
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if _is_photo(file))


def photo_folder(folder: Path) -> Path | None:
    """The folder of photos: one of the usual names, else the folder itself; None without photos."""
    candidates = [*(folder / name for name in PHOTO_FOLDERS), folder]
    return next((place for place in candidates if list_photos(place)), None)


def find_masks(folder: Path, images: Sequence[Path]) -> Sequence[Path | None]:
    """The mask of each photo: of the same name in a folder of masks, or `photo.jpg.png` (COLMAP).

    Where the folder has exactly as many masks as there are photos, and none has a photo's name,
    they are paired in sorted order. A photo without a mask, where others have one, gets the path
    where its mask is expected. Without a folder of masks there is None for each.
    """
    places = (folder / name for name in MASK_FOLDERS)
    place = next((place for place in places if _all_photos(place)), None)
    if place is None:
        return [None] * len(images)
    return pair_masks(place, [_without_folder(image.relative_to(folder)) for image in images])


def pair_masks(place: Path, inner: Sequence[Path]) -> list[Path]:
    """As `find_masks`, of a folder of masks and the photos' paths inside their own folder."""
    masks = _all_photos(place)
    by_name = {mask.relative_to(place).with_suffix("").as_posix(): mask for mask in masks}
    names = [[name.with_suffix("").as_posix(), name.as_posix(), name.stem] for name in inner]
    found = [next((by_name[n] for n in these if n in by_name), None) for these in names]
    if not any(found) and len(masks) == len(inner):
        order = sorted(range(len(inner)), key=lambda i: inner[i])
        paired = dict(zip(order, masks, strict=True))
        return [paired[i] for i in range(len(inner))]
    doubled = any(name.as_posix() in by_name for name in inner)  # photo.jpg.png
    expected = [name.as_posix() if doubled else name.with_suffix("").as_posix() for name in inner]
    return [
        mask if mask is not None else place / f"{name}.png"
        for name, mask in zip(expected, found, strict=True)
    ]


def _all_photos(folder: Path) -> list[Path]:
    """The photos of a folder and of its folders, sorted."""
    return sorted(file for file in folder.rglob("*") if _is_photo(file))


def _is_photo(file: Path) -> bool:
    """By its name; hidden files are other programs' notes (macOS has one for each photo)."""
    return file.suffix.lower() in PHOTO_SUFFIXES and not file.name.startswith(".")


def _without_folder(path: Path) -> Path:
    """A photo's path inside its folder of photos."""
    return Path(*path.parts[1:]) if path.parts[0] in PHOTO_FOLDERS and path.parts[1:] else path
