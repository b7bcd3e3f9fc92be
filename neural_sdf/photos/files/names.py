"""Files that are in a folder under a trivially other spelling than a camera file gives them.

Photos move from one computer to another and keep their cameras: paths are absolute, begin where
the converter ran, or end in the suffix that the photos had before. What is meant is settled where
one file alone can be; and only files of the set's own folder ever are.
"""

from __future__ import annotations

import os
import re
import unicodedata
import urllib.parse
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePath

from neural_sdf.photos.files.folder import PHOTO_SUFFIXES, is_photo

DEEPEST = 8  # folders below that of the set
MOST_FILES = 200_000


def list_files(folder: Path) -> list[Path]:
    """The image files of a folder and of its folders, sorted; links to folders are followed."""
    found: list[Path] = []
    for place, folders, files in os.walk(folder, followlinks=True):
        inner = Path(place)
        if len(inner.relative_to(folder).parts) >= DEEPEST or len(found) > MOST_FILES:
            folders.clear()
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [inner / name for name in files if is_photo(Path(name))]
    return sorted(found)


def find_files(
    folder: Path, names: Sequence[PurePath], files: Sequence[Path]
) -> dict[PurePath, Path]:
    """The file that each name means, of those that no file has as it is written.

    A name means a file of the same stem (whatever the case, the suffix or the normal form of its
    letters) that lies in the folder, the one with most of the name's own folders; where some names
    are right as they are, in one of their folders. It means none where there is more than one such
    file, or where another name means the same.

    Args:
        folder: of the set.
        names: inside the folder, with or without suffix; folders too many in front do no harm.
        files: the image files of the folder that may be meant.
    """
    exact = {name: folder / name for name in names if (folder / name).is_file()}
    places = {path.parent for path in exact.values()}
    by_stem = defaultdict(list)
    for file in files:
        if not places or file.parent in places:
            by_stem[stem(file)].append(file.relative_to(folder))
    found = dict(exact)
    for name in set(names) - exact.keys():
        meant = closest(name, by_stem.get(stem(name), []))
        if meant is not None:
            found[name] = folder / meant
    times = Counter(found.values())
    return {n: file for n, file in found.items() if n not in exact and times[file] == 1}


def near_misses(folder: Path, name: PurePath, files: Sequence[Path]) -> list[str]:
    """Files of a folder that a name may have meant, by their paths in it."""
    return [file.relative_to(folder).as_posix() for file in files if stem(file) == stem(name)]


def closest(name: PurePath, others: Sequence[PurePath]) -> PurePath | None:
    """Of paths of the same stem, the one that is most like a name; None if more than one is."""
    scores = [_likeness(name, other) for other in others]
    best = max(scores, default=None)
    return others[scores.index(best)] if best is not None and scores.count(best) == 1 else None


def _likeness(name: PurePath, other: PurePath) -> tuple[int, bool, bool]:
    """How many folders before the file are alike, and whether the file's name and suffix are."""
    ours, theirs = map(folded, reversed(name.parts[:-1])), map(folded, reversed(other.parts[:-1]))
    alike = 0
    for mine, its in zip(ours, theirs, strict=False):
        if mine != its:
            break
        alike += 1
    return alike, name.name == other.name, name.suffix.lower() == other.suffix.lower()


def stem(path: PurePath) -> str:
    """The file's name without the suffix of an image, whichever, as names are compared."""
    ends = (*PHOTO_SUFFIXES, ".tif", ".tiff", ".bmp", ".webp", ".heic", ".dng", ".exr")
    is_image = path.suffix.lower() in ends
    return folded(path.stem if is_image else path.name)


def counted(path: PurePath) -> tuple[tuple[str | int, ...], PurePath]:
    """What paths are sorted by for numbers in them to go 1, 2, 10 and not 1, 10, 2."""
    words = re.split(r"(\d+)", folded(path.with_suffix("").as_posix()))
    return tuple(int(word) if i % 2 else word for i, word in enumerate(words)), path


def last_number(path: PurePath) -> int | None:
    """The last number in a file's name without its suffix; None where it has none."""
    found = re.findall(r"\d+", path.stem)
    return int(found[-1]) if found else None


def folded(word: str) -> str:
    """A name as it is compared: case, normal form and a browser's %20 make no difference."""
    return unicodedata.normalize("NFC", urllib.parse.unquote(word)).casefold()
