"""The layout of the Middlebury sets: photos and one `*_par.txt` of their cameras.

The first line is the number of photos, every other `name k11..k33 r11..r33 t1 t2 t3` of P =
K [R | t], world to pixel with OpenCV axes (Seitz et al. 2006). Where pixels are counted from is not
stated; the centre of the first is taken as (0, 0), so that 0.5 is added to the principal point.
"""

from __future__ import annotations

from pathlib import Path

from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.capture import Capture, Format, View, pose_from_extrinsics, view_name
from neural_sdf.photos.files.folder import inner_path, inside
from neural_sdf.photos.formats.entries import (
    half_pixel_intrinsics,
    in_order,
    named_photos,
    numbers,
    text_lines,
    whole_number,
)

EXPECTED = "a count and lines of a file name and 21 numbers"


def is_middlebury(folder: Path) -> bool:
    """Whether a folder holds this layout."""
    return len(list(folder.glob("*_par.txt"))) == 1


def read_middlebury(folder: Path, cameras: str) -> Capture:
    """Views of a Middlebury folder in the order of their file names.

    Args:
        folder: holds the photos and the file of cameras.
        cameras: name of the file; if empty, the only `*_par.txt`.

    Raises:
        Mistake: if the file is not as the format has it, or if it is missing.
    """
    path = _camera_file(folder, cameras)
    lines = ((number, line.split(None, 22)) for number, line in text_lines(path, EXPECTED))
    lines = ((number, words) for number, words in lines if words)
    number, first = next(lines, (1, []))
    count = whole_number(" ".join(first), f"line {number} of {path}", "the number of photos")
    entries = list(lines)
    names = [
        inner_path(folder, words[0], f"the photo in line {n} of {path}") for n, words in entries
    ]
    photos = named_photos(folder, names, path.name)
    views = [
        _view(folder, path, number, words, image)
        for (number, words), image in zip(entries, photos.paths, strict=True)
    ]
    if len(views) != count:
        raise Mistake(
            f"{path} says {count} photos and has cameras of {len(views)}; expected as many; add the"
            " missing lines or mend the count"
        )
    return Capture(in_order(folder, views, path), findings=photos.findings)


def _camera_file(folder: Path, cameras: str) -> Path:
    present = sorted(file.name for file in folder.glob("*_par.txt"))
    if not cameras and len(present) > 1:
        raise Mistake(f"{folder} holds {present}; expected one *_par.txt; name it in <cameras>")
    name = cameras or "".join(present) or "*_par.txt"
    path = inside(folder, name, "camera file (<cameras>)")
    if not path.is_file():
        raise Mistake(
            f"camera file {name!r} is not in {folder}; expected a *_par.txt, of which there are"
            f" {present or 'none'}; set <cameras>"
        )
    return path


def _view(folder: Path, path: Path, number: int, words: list[str], image: Path) -> View:
    """The camera of one line, K [R | t]."""
    where = f"line {number} of {path}"
    values = numbers(words[1:], 21, where)
    rotation, translation = values[9:18].reshape(3, 3), values[18:]
    return View(
        view_name(folder, image),
        f"line {number} of {path.name}",
        image,
        None,
        half_pixel_intrinsics(values[:9], where),
        pose_from_extrinsics(rotation, translation),
    )


MIDDLEBURY = Format("one *_par.txt", is_middlebury, read_middlebury)
