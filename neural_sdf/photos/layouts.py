"""Which layout a folder has, and its cameras by the reader of that layout."""

from __future__ import annotations

from pathlib import Path

from neural_sdf.photos.files.capture import Capture
from neural_sdf.photos.files.folder import find_set
from neural_sdf.photos.formats import FORMATS
from neural_sdf.scenes.cup import SHOOTS


def recognise(path: str | Path, format: str) -> str:
    """The name in `FORMATS` of a folder's layout.

    Raises:
        ValueError: if the format is unknown or not to be recognised.
        FileNotFoundError: if the folder is missing.
    """
    if format != "auto" and format not in FORMATS:
        raise ValueError(
            f"photo format {format!r} is unknown; expected one of"
            f" {['auto', *SHOOTS, *FORMATS]}; set config.data.format"
        )
    folder = find_set(path)
    if not str(path) or not folder.is_dir():
        raise FileNotFoundError(
            f"photo folder {str(path)!r} is {'a file' if folder.is_file() else 'not there'};"
            " expected a folder of photos with cameras, or the name of a dataset; set"
            " config.data.path"
        )
    if format != "auto":
        return format  # some folders hold several layouts; the reader tells what it misses
    names = [name for name, form in FORMATS.items() if form.recognises(folder)]
    if len(names) != 1:
        layouts = "; ".join(f"{name}: {form.looks_for}" for name, form in FORMATS.items())
        raise ValueError(
            f"photo folder {folder} has the files of {' and '.join(names) or 'no known format'};"
            f" expected those of one ({layouts}); set config.data.path or config.data.format"
        )
    return names[0]


def read_capture(path: str | Path, *, format: str, cameras: str) -> Capture:
    """The cameras of a folder, by the reader of its layout.

    Args:
        path: of the folder, or name of a prepared dataset.
        format: as in `Settings`.
        cameras: as in `Settings`.

    Raises:
        ValueError: as `recognise`, or if the reader cannot make sense of a file.
        FileNotFoundError: if the folder or its camera file is missing.
    """
    name = recognise(path, format)
    return FORMATS[name].read(find_set(path), cameras)
