"""What readers of several layouts share: lines, numbers and cameras as files spell them."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.capture import View, image_path
from neural_sdf.photos.files.findings import Finding, listed
from neural_sdf.photos.files.folder import (
    LARGEST,
    MOST_BYTES,
    encoding,
    parse_json,
    read_bytes,
    read_text,
    unreadable,
)
from neural_sdf.photos.files.masks import as_mask
from neural_sdf.photos.files.names import find_files, folded, list_files

MOST_PIXELS = 2**31  # of a side
LOWER_TOLERANCE = 1e-6  # pixels, of the zeros in K
# Folders of pictures that are called like photos and are none.
OTHERS = re.compile(r"(?:.*[^a-z])?(?:depth|normal|thumb(?:nail)?|preview|semantic)s?(?:[^a-z].*)?")


class Named(NamedTuple):
    """Files that a camera file names.

    Attributes:
        paths: of the files, in the order of the names; where none is, where it should be.
        findings: names that are spelled otherwise in the folder.
    """

    paths: list[Path]
    findings: tuple[Finding, ...]


def named_photos(folder: Path, names: Sequence[Path], where: str) -> Named:
    """The photos of a set that are named, as `find_files` finds them.

    Args:
        folder: of the set.
        names: inside it.
        where: they were written; for messages.
    """
    return _named(folder, names, where, lambda file: not as_mask(folder, file))


def named_masks(folder: Path, names: Sequence[Path], where: str) -> Named:
    """As `named_photos`, of masks."""
    return _named(folder, names, where, lambda file: as_mask(folder, file) is not None)


def _named(
    folder: Path, names: Sequence[Path], where: str, is_meant: Callable[[Path], bool]
) -> Named:
    if all((folder / name).is_file() for name in names):
        return Named([folder / name for name in names], ())
    files = [file for file in list_files(folder) if is_meant(file) and not _is_other(file, folder)]
    found = find_files(folder, names, files)
    paths = [found.get(name, folder / name) for name in names]
    if not found:
        return Named(paths, ())
    pairs = [
        f"{name.as_posix()} is {to.relative_to(folder).as_posix()}" for name, to in found.items()
    ]
    note = Finding(
        "respelled-files",
        "note",
        f"{len(found)} of {len(names)} files have another name in {folder} than in {where}:"
        f" {listed(sorted(pairs))}; expected the same, and took the only ones that can be meant",
        "mend the names if others are meant",
    )
    return Named(paths, (note,))


def _is_other(file: Path, folder: Path) -> bool:
    """Whether a file is neither a photo nor a mask, by the folders that it lies in."""
    return any(OTHERS.fullmatch(folded(part)) for part in file.relative_to(folder).parts[:-1])


def text_lines(path: Path, expected: str, most: int = MOST_BYTES) -> Iterator[tuple[int, str]]:
    """Lines of a text file with their numbers from 1.

    One at a time, as the list of a file's worth of empty lines takes gigabytes.

    Args:
        path: of the file.
        expected: what should be in it, for messages.
        most: bytes that it may have.

    Raises:
        Mistake: if it cannot be read, or is no text.
    """
    content = read_bytes(path, expected, most)
    try:
        yield from enumerate(io.TextIOWrapper(io.BytesIO(content), encoding(content)), start=1)
    except UnicodeDecodeError as error:
        raise unreadable(path, error, expected) from error


def json_frames(path: Path) -> dict[str, Any]:
    """A json document with a list of frames that is not empty.

    Raises:
        Mistake: if it is none.
    """
    expected = "a json object with a list 'frames'"
    text = read_text(path, expected)
    try:
        document = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise unreadable(path, error, expected) from error
    frames = document.get("frames") if isinstance(document, dict) else None
    if not isinstance(frames, list) or not frames:
        raise unreadable(path, "it has no frames", expected)
    for i, frame in enumerate(frames):
        if not isinstance(frame, dict):
            where = f"frame {i} of {path.name} in {path.parent}"
            raise Mistake(f"{where} is {frame!r:.40}; expected a json object")
    return document


def numbers(words: Sequence[str], count: int, where: str) -> Float64[np.ndarray, " N"]:
    """The numbers that words spell.

    Args:
        words: as written; split no further than one more than the count, for memory's sake.
        count: how many are expected.
        where: they were written; for messages.

    Raises:
        Mistake: if there are more or fewer, or one is not a finite number.
    """
    if len(words) != count:
        few = f"only {len(words)}" if len(words) < count else f"more than {count}"
        raise Mistake(f"{where} has {few} entries; expected {count} numbers; mend the file")
    try:
        values = [float(word) for word in words]
    except ValueError as error:
        reason = str(error).replace("\n", " ")[:80]
        raise Mistake(f"{where}: {reason}; expected {count} numbers; mend the file") from error
    return finite(values, where)


def finite(values: Sequence[float], where: str) -> Float64[np.ndarray, " N"]:
    """The values as an array.

    Raises:
        Mistake: if one is NaN, infinite or absurdly large.
    """
    strange = [value for value in values if not abs(value) <= LARGEST]
    if strange:
        raise Mistake(
            f"{where} holds {strange[0]:.4g}; expected numbers of at most {LARGEST:.0e}; mend the"
            " file"
        )
    return np.array(values, dtype=np.float64)


def whole_number(word: str, where: str, meaning: str) -> int:
    """The whole number, zero or more, that a word spells.

    Raises:
        Mistake: if it spells none.
    """
    if not (word.isascii() and word.isdecimal() and len(word) <= 20):
        raise Mistake(f"{where} has {word!r:.40}; expected {meaning}, a whole number; mend it")
    return int(word)


def side(value: Any, where: str) -> int:
    """A photo's width or height out of json, pixels.

    Raises:
        Mistake: if it is no whole positive number.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and 1 <= value < MOST_PIXELS and value == round(value)):
        raise Mistake(f"{where} is {value!r:.40}; expected a whole number of pixels; mend it")
    return int(value)


def matrix(value: Any, shape: tuple[int, int], where: str) -> Float64[np.ndarray, "rows columns"]:
    """A matrix out of json, of at least a shape, cut to it.

    Raises:
        Mistake: if it is none.
    """
    try:
        array = np.array(value, np.float64)[: shape[0], : shape[1]]
    except (TypeError, ValueError, IndexError, OverflowError):
        array = np.empty((0, 0))
    if array.shape != shape:
        raise Mistake(
            f"{where} is {value!r:.40}; expected {shape[0]} rows of {shape[1]} numbers; mend it"
        )
    return finite(array.ravel().tolist(), where).reshape(shape)


def half_pixel_intrinsics(
    values: Float64[np.ndarray, "9"], where: str
) -> Float64[np.ndarray, "3 3"]:
    """K with K[2, 2] = 1 and half-pixel centres, of one that counts from the first pixel's centre.

    Args:
        values: K row by row, to a positive factor.
        where: they were written; for messages.

    Raises:
        Mistake: if K is not upper triangular with a positive last entry.
    """
    K = values.reshape(3, 3)
    last = K[2, 2]
    if not (last > 1e-9 and np.abs(K[[1, 2, 2], [0, 0, 1]]).max() <= LOWER_TOLERANCE * last):
        raise Mistake(
            f"{where} has K {K.tolist()!r:.120}; expected rows (fx, skew, cx), (0, fy, cy),"
            " (0, 0, 1); mend the file"
        )
    K = np.triu(K) / last
    K[:2, 2] += 0.5
    return K


def in_order(folder: Path, views: Sequence[View], path: Path) -> tuple[View, ...]:
    """Views in the order of their files' names.

    Args:
        folder: of the scene.
        views: in any order.
        path: where the cameras were written; for messages.

    Raises:
        Mistake: if there are none, or two of one photo.
    """
    if not views:
        raise Mistake(f"{path} holds no cameras; expected one for each photo; add them")
    views = sorted(views, key=lambda view: image_path(view.image))
    for one, other in itertools.pairwise(views):
        if one.image == other.image:
            raise Mistake(
                f"{one.origin} and {other.origin} in {folder} are both of a photo {one.name!r:.80};"
                " expected one camera for each photo; remove one or rename its photo"
            )
    return tuple(views)
