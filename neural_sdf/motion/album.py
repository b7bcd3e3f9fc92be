"""A folder of plain photos, as a phone or a camera leaves them: no cameras are known.

Photos are turned as their EXIF says, reduced to a size that can be worked with, and sorted into
groups that one camera with one focal length has taken, which then share their intrinsics.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Bool, UInt8
from scipy import ndimage

from neural_sdf.machine.files import as_png
from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.capture import same_shape
from neural_sdf.photos.files.findings import listed, names
from neural_sdf.photos.files.folder import PHOTO_SUFFIXES, list_photos
from neural_sdf.photos.files.images import (
    ImageError,
    alpha_of,
    on_background,
    read_shown,
    read_upright,
)
from neural_sdf.photos.files.mask_values import read_mask
from neural_sdf.photos.files.masks import pair_masks
from neural_sdf.photos.files.reduction import box_average
from neural_sdf.photos.files.views import fitted
from neural_sdf.photos.write import file_names

FEWEST = 3  # photos that cameras can be found for
LEAST_SIDE = 100  # pixels; in less no points are found again
RIM = 0.01  # of a photo's longer side, beyond a mask
FEATURES_INSIDE = "inside"  # folder of masks for the worker, named as COLMAP wants them
FILM = math.hypot(36, 24)  # diagonal that "focal length in 35 mm film" speaks of, mm

T = TypeVar("T")
R = TypeVar("R")


class Photo(NamedTuple):
    """One plain photo.

    Attributes:
        name: of the file, without suffix where that says enough.
        path: of the file.
        size: (height, width) as shown, pixels.
        camera: which camera took it, at which size and focal length; photos of the same share
            their intrinsics.
        focal: focal length by EXIF, pixels; None where EXIF does not say.
        mask: the file of its mask, if a folder of masks was given.
    """

    name: str
    path: Path
    size: tuple[int, int]
    camera: tuple[Any, ...]
    focal: float | None
    mask: Path | None = None


def read_album(folder: Path, masks: Path | None = None) -> list[Photo]:
    """The photos of a folder in the order of their names, before any pixel is read.

    Args:
        folder: of the photos; other files in it are left alone.
        masks: a folder with a mask for each photo, of the same name or in the same order.

    Raises:
        Mistake: if there are too few, or some cannot be read; all of them are named, or
            if a folder is not there.
    """
    _require_folder(folder, "images")
    paths = list_photos(folder)
    if len(paths) < FEWEST:
        others = sorted({p.suffix for p in folder.iterdir() if p.suffix and p not in paths})
        beside = f", and files with the suffixes {', '.join(others)}" if others else ""
        if any(p.is_dir() for p in folder.iterdir()):
            beside += ", and folders, which are not looked into"
        raise Mistake(
            f"folder {folder} holds {len(paths)} photos{beside}; expected {FEWEST} or more"
            f" ({', '.join(PHOTO_SUFFIXES)}), 20 to 80 for an object seen from all round; take"
            " more, or convert them"
        )
    stems = [path.stem for path in paths]
    photos = [
        photo._replace(name=path.name) if stems.count(path.stem) > 1 else photo
        for path, photo in zip(paths, _each(paths, _photo), strict=True)
    ]
    if masks is None:
        return photos
    _require_folder(masks, "masks")
    found = pair_masks(masks, paths)
    bare = [p.name for p, m in zip(paths, found.paths, strict=True) if not (m and m.is_file())]
    if bare:
        unused = [path.name for path in found.unused]
        others = f", and not used {names(unused)}" * bool(unused)
        raise Mistake(
            f"photos {names(bare)} have no mask of their own in {masks}{others}; expected one for"
            f" each of the {len(photos)} photos, of the same name or as many in the same order; set"
            " <masks>"
        )
    return [photo._replace(mask=file) for photo, file in zip(photos, found.paths, strict=True)]


def write_album(photos: Sequence[Photo], factor: int, folder: Path) -> list[str]:
    """Photos upright, reduced and without transparency, as `images/<camera>/<photo>.png`.

    Masks, from the files that were given or from transparency, go to `masks/`, of the same names,
    and a little larger to the folder that says where points may be found.

    Args:
        photos: of `read_album`.
        factor: pixels averaged into one, along each side.
        folder: where to.

    Returns:
        Where each lies in `images/`, in the order of the photos.

    Raises:
        Mistake: if files cannot be read, all photos are the same picture, only some have masks,
            or masks say nothing.
    """
    cameras = {camera: i for i, camera in enumerate(dict.fromkeys(p.camera for p in photos))}
    files = file_names([photo.name for photo in photos], "")
    places = [f"{cameras[p.camera]:03d}/{file}" for p, file in zip(photos, files, strict=True)]
    for place in ("images", "masks", FEATURES_INSIDE):
        for i in cameras.values():
            (folder / place / f"{i:03d}").mkdir(parents=True)

    def write(job: tuple[Photo, str]) -> tuple[bytes, float | None]:
        photo, place = job
        rgb, mask = _reduced(photo, factor)
        (folder / "images" / place).write_bytes(as_png(rgb))
        if mask is not None:
            (folder / "masks" / place).write_bytes(_grey(mask))
            (folder / FEATURES_INSIDE / f"{place}.png").write_bytes(_grey(_grown(mask)))
        return hashlib.sha256(rgb.tobytes()).digest(), None if mask is None else mask.mean()

    written = _each(list(zip(photos, places, strict=True)), write)
    if len({digest for digest, _ in written}) == 1:
        raise Mistake(
            f"all {len(photos)} photos are the same picture; expected photos from different places;"
            " move round the object and take one every 10 to 20 degrees"
        )
    shares = [share for _, share in written]
    if set(shares) in ({0.0}, {1.0}):
        raise Mistake(
            f"the masks of all {len(photos)} photos are {'bright' if shares[0] else 'dark'}"
            " everywhere; expected them brighter than half on the object and dark around it; set"
            " <masks>"
        )
    bare = [photo.name for photo, share in zip(photos, shares, strict=True) if share is None]
    if 0 < len(bare) < len(photos):
        raise Mistake(
            f"photos {names(bare)} have no transparency, the others have; expected all alike; save"
            " them anew"
        )
    return places


def _grey(mask: Bool[np.ndarray, "h w"]) -> bytes:
    return as_png(np.where(mask, 255, 0).astype(np.uint8))


def _grown(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """With a rim, in which the points at the object's outline are found."""
    return np.asarray(
        ndimage.binary_dilation(mask, iterations=max(2, round(RIM * max(mask.shape))))
    )


def reduction(photos: Sequence[Photo], longest_side: int) -> int:
    """The least factor that brings the longer side of every photo down to so many pixels.

    Raises:
        Mistake: if so few pixels show too little.
    """
    if longest_side < LEAST_SIDE:
        raise Mistake(
            f"longest side {longest_side}: expected {LEAST_SIDE} pixels or more; set <longest_side>"
        )
    return max(math.ceil(max(photo.size) / longest_side) for photo in photos)


def _require_folder(folder: Path, flag: str) -> None:
    if not folder.is_dir():
        raise Mistake(
            f"folder {str(folder)!r} is {'a file' if folder.is_file() else 'not there'}; expected a"
            f" folder of {'photos' if flag == 'images' else flag}; set <{flag}>"
        )


def _photo(path: Path) -> Photo:
    shown = read_shown(path)
    focal = shown.plane_focal
    if shown.film_focal is not None:
        focal = shown.film_focal / FILM * math.hypot(*shown.size)
    camera = (*shown.maker, shown.focal, shown.film_focal, *shown.size)
    return Photo(path.stem, path, shown.size, camera, focal)


def _reduced(
    photo: Photo, factor: int
) -> tuple[UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"] | None]:
    """Pixels of a photo as it is shown, and its mask: the given file's, else alpha's, if any."""
    shown = read_upright(photo.path)
    rgb, inside = on_background(shown, 1.0), alpha_of(shown)
    if inside is not None and inside.min() == 1:
        inside = None  # some programs always write an alpha channel
    if photo.mask is not None:
        mask, (height, width, _) = read_mask(photo.mask), rgb.shape
        if not same_shape(mask.shape, (height, width)):
            raise ImageError(
                "wrong-size",
                f"mask {photo.mask} has {mask.shape[1]}x{mask.shape[0]} pixels, its photo"
                f" {width}x{height}; expected the same shape; write the mask anew",
            )
        inside = fitted(mask, (height, width))
    pixels = np.rint(box_average(rgb, factor)).astype(np.uint8)
    return pixels, None if inside is None else box_average(inside, factor) > 0.5


def _each(items: Sequence[T], work: Callable[[T], R]) -> list[R]:
    """The results of all items, in threads: decoding and encoding release the interpreter's lock.

    Raises:
        Mistake: if images cannot be used; the first few are named.
    """
    with ThreadPoolExecutor() as pool:
        futures = [pool.submit(work, item) for item in items]
    errors = [error for future in futures if (error := future.exception()) is not None]
    for error in errors:
        if not isinstance(error, ImageError):
            raise error
    if errors:
        raise Mistake(listed([str(error) for error in errors]))
    return [future.result() for future in futures]
