"""Which layout a folder has, and its cameras by the reader of that layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.capture import Capture, image_path
from neural_sdf.photos.files.findings import Finding, listed
from neural_sdf.photos.files.folder import find_set
from neural_sdf.photos.files.masks import Masks, find_masks, shows_background
from neural_sdf.photos.formats import FORMATS
from neural_sdf.scenes.synthetic import SHOOTS


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
    folder = find_set(path)
    return with_masks(folder, _with_names(folder, FORMATS[name].read(folder, cameras)))


def with_masks(folder: Path, capture: Capture) -> Capture:
    """A capture with the masks that its layout does not name, found in the set's folder."""
    views = list(capture.views)
    bare = [i for i, v in enumerate(views) if v.mask is None and isinstance(v.image, Path)]
    if not bare:
        return capture
    images = [image_path(views[i].image) for i in bare]
    files = (file for v in views for file in (v.image, v.mask))
    taken = {file for file in files if isinstance(file, Path)}
    masks = find_masks(folder, images, taken)
    for i, mask in zip(bare, masks.paths, strict=True):
        is_inverted = mask is not None and shows_background(mask.relative_to(folder))
        views[i] = views[i]._replace(mask=mask, mask_shows_background=is_inverted)
    told = _unused_masks(folder, masks)
    return capture._replace(views=tuple(views), findings=(*capture.findings, *told))


def _unused_masks(folder: Path, masks: Masks) -> Iterator[Finding]:
    """Files that are masks by their names, and no photo's."""
    if not masks.unused:
        return
    told = []
    for path in masks.unused:
        photos = [p.relative_to(folder).as_posix() for p in masks.doubtful.get(path, ())]
        whose = f" (of {' or '.join(photos[:3])}?)" * bool(photos)
        told.append(f"{path.relative_to(folder).as_posix()}{whose}")
    yield Finding(
        "unused-masks",
        "note" if all(masks.paths) else "warning",
        f"{len(masks.unused)} files that are masks by their names are not used: {listed(told)};"
        " expected a mask to be called like one photo, and to lie in a folder of the same name"
        " where photos lie in several",
        "rename those that should be used",
    )


def _with_names(folder: Path, capture: Capture) -> Capture:
    """Views of names of their own: where two are alike, with their photos' suffixes or numbers."""
    views, taken = list(capture.views), set()
    times = Counter(view.name for view in views)
    for i, view in enumerate(views):
        name, suffix = view.name, Path(str(view.image)).suffix
        if times[name] > 1 and suffix:
            name = f"{name}_{suffix.removeprefix('.')}"
        number = 2
        while name in taken:
            name, number = f"{view.name}_{number}", number + 1
        taken.add(name)
        views[i] = view._replace(name=name)
    return capture._replace(views=tuple(views))
