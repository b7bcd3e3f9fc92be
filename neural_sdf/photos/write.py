"""A `Scene` becomes a folder of photos again, in a layout that other tools read."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from neural_sdf.machine.files import as_png, new_folder, scratch_beside
from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.capture import Capture, Format, View, image_path
from neural_sdf.photos.formats import FORMATS
from neural_sdf.photos.outlines.region import write_region
from neural_sdf.scenes.frame import world_from_camera
from neural_sdf.scenes.scene import Scene, view_mask, view_photo

# What a file's name cannot hold everywhere: on Windows, in UTF-8, or as a path in a camera file.
AWKWARD = re.compile(r'[\x00-\x1f<>:"/\\|?*\ud800-\udfff]|^\s+')


def write_scene(
    scene: Scene, folder: str | Path, layout: str, beside: Mapping[str, bytes] | None = None
) -> None:
    """Photos, masks, cameras and region of a scene, as a folder that `load_scene` reads back alike.

    Photos are written as the scene has them: reduced, and without lens distortion. The folder
    appears whole at the end, or not at all. Which views are held out stands in transforms files
    only; for the other layouts the same must be asked for again.

    Args:
        scene: what is written, in the photos' own world.
        folder: where to; new or empty.
        layout: name in `FORMATS` of a layout with a writer.
        beside: more files, name and content, that belong to the scene.

    Raises:
        Mistake: if the layout has no writer or cannot hold a camera, or the folder is not empty.
    """
    require_writer(layout)
    folder = new_folder(folder)
    with scratch_beside(folder) as scratch:
        partial = scratch / folder.name
        _write(scene, partial, layout)
        for name, content in (beside or {}).items():
            (partial / name).write_bytes(content)
        if folder.exists():  # empty; Windows renames onto nothing only
            folder.rmdir()
        partial.rename(folder)


def require_writer(layout: str) -> None:
    """Stops at a layout that is only read.

    Raises:
        Mistake: if there is no writer of that name; lists those that there are.
    """
    writers = [name for name, form in FORMATS.items() if form.write is not None]
    if layout not in writers:
        raise Mistake(f"layout {layout!r} cannot be written; expected one of {writers}; set <to>")


def _write(scene: Scene, folder: Path, layout: str) -> None:
    """Everything, into a folder that nobody reads yet."""
    form = FORMATS[layout]
    assert form.write is not None
    views = _views(scene, folder, form)
    for name in form.folders if scene.source.has_masks else form.folders[:1]:
        (folder / name).mkdir(parents=True)
    with ThreadPoolExecutor() as pool:  # encoding releases the interpreter's lock
        list(pool.map(functools.partial(_write_images, scene), *zip(*views.items(), strict=True)))
    capture = Capture(tuple(views.values()), scene.world_from_scene, scene.source.points)
    form.write(folder, capture)
    if not form.holds_region:
        write_region(folder, scene.world_from_scene)


def _views(scene: Scene, folder: Path, form: Format) -> dict[int, View]:
    """By their position in the scene, and in file order."""
    order = np.argsort(scene.source.indices).tolist()
    photos, masks = form.folders
    prefix = f"{photos}_" if form.names_folder else ""
    files = file_names([scene.source.names[i] for i in order], prefix)
    poses = world_from_camera(scene)
    return {
        i: View(
            name=scene.source.names[i],
            origin="the scene",
            image=folder / photos / file,
            mask=folder / masks / file if scene.source.has_masks else None,
            intrinsics=np.asarray(scene.intrinsics[i], np.float64),
            world_from_camera=poses[i],
            size=(int(scene.sizes[i][0]), int(scene.sizes[i][1])),
            is_test=i >= int(scene.num_train),
        )
        for i, file in zip(order, files, strict=True)
    }


def file_names(names: Sequence[str], prefix: str) -> list[str]:
    """A file name for each view, whose sorted order is that of the views, as all readers sort.

    Args:
        names: of the views, in file order.
        prefix: left out where a name begins with it, since the reader puts it before all names.
    """
    files = [f"{AWKWARD.sub('_', name.removeprefix(prefix))}.png" for name in names]
    rising = all(Path(one) < Path(other) for one, other in itertools.pairwise(files))
    if rising and len({file.casefold() for file in files}) == len(files):
        return files
    digits = len(str(len(files) - 1))
    return [f"{i:0{digits}d}_{file}" for i, file in enumerate(files)]


def _write_images(scene: Scene, i: int, view: View) -> None:
    """Photo and mask of the scene's view `i`."""
    image_path(view.image).write_bytes(as_png(view_photo(scene, i)))
    if view.mask is not None:
        image_path(view.mask).write_bytes(as_png(np.uint8(255) * view_mask(scene, i)))
