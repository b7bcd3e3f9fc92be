"""A `Scene` becomes a folder of photos again, in a layout that other tools read."""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import itertools
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image

from neural_sdf.data.capture import Capture, ImageFile, View, image_path
from neural_sdf.data.formats import FORMATS
from neural_sdf.data.region import write_region
from neural_sdf.data.scene import Scene, view_pixels
from neural_sdf.geometry import Similarity, transform_points

# What a file's name cannot hold everywhere: on Windows, in UTF-8, or as a path in a camera file.
AWKWARD = re.compile(r'[\x00-\x1f<>:"/\\|?*\ud800-\udfff]|^\s+')

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)


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
        ValueError: if the layout has no writer or cannot hold a camera, or the folder is not empty.
    """
    writers = [name for name, form in FORMATS.items() if form.write is not None]
    if layout not in writers:
        raise ValueError(
            f"layout {layout!r} cannot be written; expected one of {writers}; set --to"
        )
    folder = new_folder(folder)
    with scratch_beside(folder) as scratch:
        partial = scratch / folder.name
        _write(scene, partial, layout)
        for name, content in (beside or {}).items():
            (partial / name).write_bytes(content)
        if folder.exists():  # empty; Windows renames onto nothing only
            folder.rmdir()
        partial.rename(folder)


def new_folder(folder: str | Path) -> Path:
    """The whole path of a folder that may be written: one that is not there yet, or is empty.

    Raises:
        ValueError: if there is something.
    """
    folder = Path(folder).expanduser().resolve()
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ValueError(
            f"output {folder} is there already; expected a new folder, or an empty one; set"
            " --output to a new folder"
        )
    return folder


@contextlib.contextmanager
def scratch_beside(folder: Path) -> Iterator[Path]:
    """A folder on the same disk for what is not finished, which is gone in the end.

    Raises:
        ValueError: if the disk is full or may not be written to.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
            yield Path(scratch)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise ValueError(
            f"output {folder} cannot be written: {error.strerror}; expected a place with room for"
            " the photos; choose another by --output"
        ) from error


def world_from_camera(scene: Scene) -> Float64[np.ndarray, "V 4 4"]:
    """Rigid OpenCV poses of a scene's views in the photos' own world; undoes `load.normalise`."""
    frame = Similarity(*(np.asarray(part, np.float64) for part in scene.world_from_scene))
    poses = np.array(scene.scene_from_camera, np.float64)
    poses[:, :3, :3] = frame.rotation @ poses[:, :3, :3]
    poses[:, :3, 3] = transform_points(frame, poses[:, :3, 3])
    return poses


def in_scene_frame(scene: Scene) -> Scene:
    """The scene with its own frame as the world: cameras about the unit sphere."""
    return scene._replace(world_from_scene=Similarity(np.array(1.0), np.eye(3), np.zeros(3)))


def _write(scene: Scene, folder: Path, layout: str) -> None:
    """Everything, into a folder that nobody reads yet."""
    form = FORMATS[layout]
    assert form.write is not None
    views = _views(scene, folder, layout)
    for name in form.folders if scene.source.has_masks else form.folders[:1]:
        (folder / name).mkdir(parents=True)
    with ThreadPoolExecutor() as pool:  # encoding releases the interpreter's lock
        list(pool.map(functools.partial(_write_images, scene), *zip(*views.items(), strict=True)))
    form.write(folder, Capture(tuple(views.values()), scene.world_from_scene))
    if layout != "idr":  # which has the region among its cameras
        write_region(folder, scene.world_from_scene)


def _views(scene: Scene, folder: Path, layout: str) -> dict[int, View]:
    """By their position in the scene, and in file order."""
    order = np.argsort(scene.source.indices).tolist()
    photos, masks = FORMATS[layout].folders
    # idr's reader names a view by the photo alone, the others by its folder too.
    prefix = "" if layout == "idr" else f"{photos}_"
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
    assert view.size is not None
    pixels = view_pixels(scene, i)
    here = slice(pixels.start, pixels.stop)
    _write_png(view.image, np.asarray(scene.rgb[here]).reshape(*view.size, 3))
    if view.mask is not None:
        _write_png(view.mask, 255 * np.asarray(scene.mask[here], np.uint8).reshape(view.size))


def _write_png(image: ImageFile, values: UInt8[np.ndarray, "h w *c"]) -> None:
    # Through memory, so that a full disk is an error of this package's own call (see `launch`).
    content = io.BytesIO()
    Image.fromarray(values).save(content, "png")
    image_path(image).write_bytes(content.getvalue())
