"""Which layout a folder has, and its cameras by the reader of that layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.capture import Capture
from neural_sdf.photos.files.findings import Finding
from neural_sdf.photos.files.folder import find_set
from neural_sdf.photos.formats import FORMATS
from neural_sdf.scenes.cup import SHOOTS


def recognise(path: str | Path, format: str) -> Iterator[str]:
    """The names in `FORMATS` of a folder's layouts, looked for in turn; it is read as the first.

    Args:
        path: of the folder, or name of a prepared dataset.
        format: as in `Settings`; the answer itself, unless it is "auto".

    Raises:
        Mistake: if the format is unknown or not to be recognised, or if the folder is missing.
    """
    if format != "auto" and format not in FORMATS:
        raise Mistake(
            f"photo format {format!r} is unknown; expected one of"
            f" {['auto', *SHOOTS, *FORMATS]}; set <format>"
        )
    folder = find_set(path)
    if not str(path) or not folder.is_dir():
        raise Mistake(
            f"photo folder {str(path)!r} is {'a file' if folder.is_file() else 'not there'};"
            " expected a folder of photos with cameras, or the name of a dataset; set"
            " <path>"
        )
    if format != "auto":
        yield format  # the reader tells what it misses
        return
    names = (name for name, form in FORMATS.items() if form.recognises(folder))
    first = next(names, None)
    if first is None:
        layouts = "; ".join(f"{name}: {form.looks_for}" for name, form in FORMATS.items())
        raise Mistake(
            f"photo folder {folder} has the files of no known format; expected those of one"
            f" ({layouts}); set <path> or <format>"
        )
    yield first
    yield from names


def several_layouts(names: Sequence[str]) -> Iterator[Finding]:
    """A folder with the files of more than one layout, of which the first was read."""
    first, *others = names
    if others:
        yield Finding(
            "several-layouts",
            "note",
            f"the folder has the files of {' and '.join(names)}, and is read as {first}",
            f"set <format>={others[0]} if its cameras are meant",
        )


def read_capture(path: str | Path, *, format: str, cameras: str) -> Capture:
    """The cameras of a folder, by the reader of its layout.

    Args:
        path: of the folder, or name of a prepared dataset.
        format: as in `Settings`.
        cameras: as in `Settings`.

    Raises:
        Mistake: as `recognise`, or if the reader cannot make sense of a file, or
            if the folder or its camera file is missing.
    """
    name = next(recognise(path, format))
    return FORMATS[name].read(find_set(path), cameras)
