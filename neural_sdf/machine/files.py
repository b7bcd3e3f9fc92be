"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from neural_sdf.mistake import Mistake

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)


def replace_file(path: Path, data: bytes) -> None:
    """Puts `data` at `path`, through a temporary name beside it, so that no reader sees a part.

    Raises:
        Mistake: if the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        raise Mistake(
            f"cannot write '{path}': {error.strerror}", remedy="choose another place"
        ) from error
    finally:
        if partial.exists():
            partial.unlink()


def require_writable(workdir: Path) -> None:
    """Refuses a folder that cannot be made or written in, before long work; leaves no trace.

    Raises:
        Mistake: says why.
    """
    made = [place for place in (workdir, *workdir.parents) if not place.exists()]
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=workdir).close()
    except OSError as error:
        raise Mistake(
            f"workdir {workdir} cannot be written ({error.strerror}); expected a folder that you "
            "may write in",
            setting="workdir",
        ) from error
    finally:
        for place in made:
            if place.exists():
                place.rmdir()


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a dictionary as a JSON file, whole or not at all; errors as `replace_file`."""
    replace_file(path, (json.dumps(content, indent=2) + "\n").encode())


def write_png(path: Path, pixels: UInt8[np.ndarray, "H W *c"]) -> None:
    """Writes pixels as a PNG file, whole or not at all; errors as `replace_file`."""
    replace_file(path, as_png(pixels))


def as_png(pixels: UInt8[np.ndarray, "H W *c"]) -> bytes:
    """Pixels as the content of a PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def new_folder(folder: str | Path) -> Path:
    """The whole path of a folder that may be written: one that is not there yet, or is empty.

    Raises:
        Mistake: if there is something.
    """
    folder = Path(folder).expanduser().resolve()
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise Mistake(
            f"output {folder} is there already; expected a new folder, or an empty one",
            setting="output",
        )
    return folder


@contextlib.contextmanager
def scratch_beside(folder: Path) -> Iterator[Path]:
    """A folder on the same disk for what is not finished, which is gone in the end.

    Raises:
        Mistake: if the disk is full or may not be written to.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
            yield Path(scratch)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise Mistake(
            f"output {folder} cannot be written: {error.strerror}; expected a place with room for"
            " the photos",
            setting="output",
        ) from error
