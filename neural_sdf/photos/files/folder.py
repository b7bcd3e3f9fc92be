"""Files of a scene's folder: names stay inside it, and what is read has a bound."""

from __future__ import annotations

import codecs
import json
import os
import re
from pathlib import Path
from typing import Any

from neural_sdf.mistake import Mistake, file_mistakes

PHOTO_SUFFIXES = (".png", ".jpg", ".jpeg")
PHOTO_FOLDERS = ("image", "images", "rgb", "blended_images", "visualize")
LONGEST_PATH = 1024  # characters
LONGEST_NAME = 240  # bytes of a file's name, so that a suffix may follow
MOST_BYTES = 2**26  # of a file of cameras: a hundred thousand frames of json
MOST_MODEL_BYTES = 2**30  # of a file that holds points, too
MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # as PowerShell's > begins a file
COMMENTS = ("//", "/*", "#")
LARGEST = 1e30  # of any number; far beyond any camera, and products of a few do not overflow


def find_set(path: str | Path) -> Path:
    """The folder of a photo set: a path, or the name of a prepared dataset.

    A dataset, `name` or `name:1.0.0`, is looked for in `datasets_folder()`; of several versions the
    latest is taken. What is neither is left as it is.

    Raises:
        Mistake: a path that cannot be, since it is too long.
    """
    folder, is_there = _at_home(path)
    name, _, version = str(path).partition(":")
    if is_there or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        return folder
    found = datasets_folder().glob(f"{name}/{version or '*'}")
    versions = [place for place in found if re.fullmatch(r"\d+\.\d+\.\d+", place.name)]
    return max(versions, key=lambda place: [int(n) for n in place.name.split(".")], default=folder)


def lasting_path(path: str | Path) -> str:
    """A set's path that means the same from another folder; the name of a dataset stays one.

    Raises:
        Mistake: as `find_set`.
    """
    folder, is_there = _at_home(path)
    return str(folder.absolute() if str(path) and is_there else path)


def _at_home(path: str | Path) -> tuple[Path, bool]:
    """A path that may begin with ~, and whether it is there."""
    folder = Path(os.path.expanduser(path))  # noqa: PTH111 (Path's fails without such a user)
    with file_mistakes("path"):
        return folder, folder.exists()


def datasets_folder() -> Path:
    """Where datasets are prepared and looked for, as TensorFlow Datasets has it."""
    return Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def inside(folder: Path, name: Any, what: str) -> Path:
    """A path that a camera file names, which must stay in the scene's folder; links are followed.

    Args:
        folder: of the scene.
        name: as written in the file; relative, or absolute into that folder, with slashes of either
            kind.
        what: where it was written; for messages.

    Raises:
        Mistake: if it is no path, or leads out of the folder.
    """
    plain = plain_path(folder, name, what)
    if leads_out(plain):
        raise Mistake(
            f"{what} is {name!r:.200}, which is outside {folder}; expected a path relative to that"
            " folder and inside it; move the files there and write their paths so"
        )
    return folder / plain


def inner_path(folder: Path, name: Any, what: str) -> Path:
    """As `inside`, of a file that may be meant by its path on another computer.

    What leads there and not into the folder (a drive, a root, folders above) is left out.
    """
    plain = plain_path(folder, name, what)
    parts = [part for part in plain.parts if part not in ("..", plain.anchor)]
    if parts and re.fullmatch("[A-Za-z]:", parts[0]):
        del parts[0]
    if not parts:
        raise Mistake(f"{what} in {folder} is {name!r:.40}; expected the path of a file")
    return Path(*parts)


def plain_path(folder: Path, name: Any, what: str) -> Path:
    """A path without detours: relative to the folder if it leads there.

    Raises:
        Mistake: if it is none, or too long.
    """
    if not isinstance(name, str) or not name.isprintable() or len(name) > LONGEST_PATH:
        raise Mistake(f"{what} in {folder} is {name!a:.40}; expected the path of a file")
    plain = Path(os.path.normpath(name.replace("\\", "/")))
    too_long = max((len(os.fsencode(part)) for part in plain.parts), default=0) > LONGEST_NAME
    if not plain.parts or too_long:
        raise Mistake(f"{what} in {folder} is {name!r:.40}; expected the path of a file")
    for whole in (folder.absolute(), folder.resolve()):
        if plain.is_relative_to(whole) and plain != whole:
            return plain.relative_to(whole)
    return plain


def leads_out(plain: Path) -> bool:
    """Whether a path without detours leads out of the folder that it is put to."""
    return plain.is_absolute() or ".." in plain.parts or ":" in plain.parts[0]


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
        content = read_bytes(path, expected)
        return content.decode(encoding(content))
    except UnicodeDecodeError as error:
        raise unreadable(path, error, expected) from error


def encoding(content: bytes) -> str:
    """How a text is encoded: UTF-16 if it begins with its mark of the byte order, else UTF-8."""
    return "utf-16" if content.startswith(MARKS) else "utf-8-sig"


def parse_json(text: str) -> Any:
    """A json document.

    Raises:
        ValueError: if it is none; says what stands where.
        RecursionError: if it is nested too deeply.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        there = text[error.pos : error.pos + 40].partition("\n")[0].rstrip()
        reason = error.msg
        if there.startswith(COMMENTS):
            reason = "expected json, which has no comments"
        raise ValueError(
            f"line {error.lineno} column {error.colno}: {there!r}, {reason}"
        ) from error


def unreadable(path: Path, error: Exception | str, expected: str) -> Mistake:
    """The error for a file of cameras that is not what it should be."""
    reason = str(error).replace("\n", " ")[:200]
    return Mistake(f"camera file {path} cannot be read ({reason}); expected {expected}; mend it")


def list_photos(folder: Path) -> list[Path]:
    """The photos of a folder in sorted order; none if it is not there."""
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if is_photo(file))


def photo_folder(folder: Path) -> Path | None:
    """The folder of photos: one of the usual names, else the folder itself; None without photos.

    Where all of those are without photos, `images_2`, `images_4` and their like stand in for
    `images`, the larger photos first.
    """
    candidates = [*(folder / name for name in PHOTO_FOLDERS), *_reduced_folders(folder), folder]
    return next((place for place in candidates if list_photos(place)), None)


def _reduced_folders(folder: Path) -> list[Path]:
    """Folders of photos made smaller by a factor, the smallest factor first."""
    factors = {}
    for place in folder.glob("images_*"):
        factor = place.name.removeprefix("images_")
        if factor.isascii() and factor.isdecimal():
            factors[place] = int(factor)
    return sorted(factors, key=lambda place: factors[place])


def is_photo(file: Path) -> bool:
    """By its name; hidden files are other programs' notes (macOS has one for each photo)."""
    return file.suffix.lower() in PHOTO_SUFFIXES and not file.name.startswith(".")
