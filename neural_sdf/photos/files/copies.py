"""Files of the same bytes under several names."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence

from neural_sdf.photos.files.capture import ImageFile, Stored

FIRST = 2**16  # bytes that tell nearly all files of one size apart


def digest(image: ImageFile) -> str:
    """SHA-256 of a file."""
    if isinstance(image, Stored):
        return hashlib.sha256(image.content).hexdigest()
    with image.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def first_copies(images: Sequence[ImageFile]) -> dict[ImageFile, ImageFile]:
    """The first of the images with the same bytes as each; reads those of one size alone.

    Args:
        images: files that are there.
    """
    groups = [list(dict.fromkeys(images))]
    for key in (_size, _beginning, digest):
        groups = [part for group in groups for part in _parted(group, key)]
    return {image: group[0] for group in groups for image in group}


def _parted(group: list[ImageFile], key: Callable[[ImageFile], Hashable]) -> list[list[ImageFile]]:
    if len(group) < 2:
        return [group]
    parts = defaultdict(list)
    for image in group:
        try:
            parts[key(image)].append(image)
        except OSError:  # a later check tells
            parts[image].append(image)
    return list(parts.values())


def _size(image: ImageFile) -> int:
    return len(image.content) if isinstance(image, Stored) else image.stat().st_size


def _beginning(image: ImageFile) -> bytes:
    if isinstance(image, Stored):
        return image.content[:FIRST]
    with image.open("rb") as file:
        return file.read(FIRST)
