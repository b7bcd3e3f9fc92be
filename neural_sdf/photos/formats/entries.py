"""What readers of several layouts share: lines, numbers and cameras as files spell them."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.capture import View, image_path
from neural_sdf.photos.files.folder import LARGEST, MOST_BYTES, find_masks, read_bytes, unreadable

LOWER_TOLERANCE = 1e-6  # pixels, of the zeros in K


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
    content = io.BytesIO(read_bytes(path, expected, most))
    try:
        yield from enumerate(io.TextIOWrapper(content, "utf-8-sig"), start=1)
    except UnicodeDecodeError as error:
        raise unreadable(path, error, expected) from error


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
    """Views in the order of their files' names, with their masks.

    Args:
        folder: of the scene.
        views: still without masks.
        path: where the cameras were written; for messages.

    Raises:
        Mistake: if there are none, or two of one name.
    """
    if not views:
        raise Mistake(f"{path} holds no cameras; expected one for each photo; add them")
    views = sorted(views, key=lambda view: image_path(view.image))
    by_name = sorted(views, key=lambda view: view.name)
    for one, other in itertools.pairwise(by_name):
        if one.name == other.name:
            raise Mistake(
                f"{one.origin} and {other.origin} in {folder} are both of a photo {one.name!r:.80};"
                " expected one camera for each photo; remove one or rename its photo"
            )
    masks = find_masks(folder, [image_path(view.image) for view in views])
    return tuple(v._replace(mask=mask) for v, mask in zip(views, masks, strict=True))
