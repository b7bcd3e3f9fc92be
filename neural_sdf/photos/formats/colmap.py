"""COLMAP's sparse models, in text or binary: cameras, images and points3D.

An image has the map from world to camera, OpenCV axes, as a quaternion (w, x, y, z) and a
translation. Principal points count from the corner of the first pixel, as in the whole project.
Newer files beside them (rigs, frames) say nothing more and are not read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.capture import (
    Capture,
    Format,
    View,
    image_path,
    refuse_unwritable,
    view_name,
)
from neural_sdf.photos.files.findings import Finding
from neural_sdf.photos.files.folder import inner_path, inside, photo_folder
from neural_sdf.photos.formats.colmap_binary import cameras_binary, images_binary, points_binary
from neural_sdf.photos.formats.colmap_entries import MODELS, Camera, Image
from neural_sdf.photos.formats.colmap_text import cameras_text, images_text, points_text
from neural_sdf.photos.formats.entries import Named, in_order, named_photos

UNIT = 1e-5  # by which six digits may leave a quaternion of another length than 1
PLACES = ("sparse/*", "sparse", "colmap/sparse/*", "colmap/sparse", "")


def is_colmap(folder: Path) -> bool:
    """Whether a folder holds this layout."""
    return bool(_find_models(folder))


def _find_models(folder: Path) -> list[Path]:
    """The folders of models in the first of the usual places of a scene's folder that has some."""
    for place in PLACES:
        found = sorted(folder.glob(place)) if place else [folder]
        models = [model for model in found if model.is_dir() and _suffix(model)]
        if models:
            return models
    return []


def _largest(models: Sequence[Path]) -> tuple[Path, tuple[Finding, ...]]:
    """Of models that COLMAP could not join, the one with most photos; tells of the others."""
    if len(models) == 1:
        return models[0], ()
    counts = [_num_images(model) for model in models]
    best = models[counts.index(max(counts))]
    told = ", ".join(f"{m.name} of {n} photos" for m, n in zip(models, counts, strict=True))
    warning = Finding(
        "several-models",
        "warning",
        f"{best.parent} holds {len(models)} models, each with a world of its own: {told}; expected"
        f" one of all photos, and read the largest, {best.name}",
        "run structure from motion again until it makes one model, or set <cameras> to another",
    )
    return best, (warning,)


def _num_images(model: Path) -> int:
    """How many photos a model has; 0 if it cannot be read."""
    try:
        return sum(1 for _ in _images(model))
    except Mistake:
        return 0


def _images(model: Path) -> Iterator[Image]:
    suffix = _suffix(model)
    return (images_binary if suffix == ".bin" else images_text)(model / f"images{suffix}")


def _suffix(model: Path) -> str | None:
    """Of the model's files; binary ones come first, as in COLMAP."""
    for suffix in (".bin", ".txt"):
        if all((model / f"{name}{suffix}").is_file() for name in ("cameras", "images")):
            return suffix
    return None


def read_colmap(folder: Path, cameras: str) -> Capture:
    """Views of a folder with a sparse model, in the order of their file names.

    Args:
        folder: holds `images` and the model.
        cameras: the folder of the model; if empty, one of the usual places, and of several models
            there the largest.

    Raises:
        Mistake: if a file is not as the format has it, or a camera is not supported, or
            if the cameras or images of the model are missing.
    """
    models = _find_models(folder)
    if cameras:
        models = [inside(folder, cameras, "folder of the model (<cameras>)")]
    if not models or not _suffix(models[0]):
        raise Mistake(
            f"COLMAP model is not in {folder / cameras}; expected cameras and images, .bin or .txt,"
            f" in {cameras or 'sparse/0 or sparse'}; set <cameras> or"
            " <format>"
        )
    model, findings = _largest(models)
    suffix = _suffix(model)
    binary = suffix == ".bin"
    paths = [model / f"{name}{suffix}" for name in ("cameras", "images", "points3D")]
    known = _unique((cameras_binary if binary else cameras_text)(paths[0]), paths[0])
    images = list(_images(model))
    photos = _photos(folder, images, paths[1].name)
    views = [
        _view(folder, path, image, known) for path, image in zip(photos.paths, images, strict=True)
    ]
    points = None
    if paths[2].is_file():
        points = (points_binary if binary else points_text)(paths[2])
    views = in_order(folder, views, paths[1])
    told = (*findings, *photos.findings, *_long_quaternions(images))
    return Capture(views, points=points, findings=told)


def _long_quaternions(images: Sequence[Image]) -> Iterator[Finding]:
    """Rotations whose numbers were changed, or never were those of COLMAP, which writes units."""
    lengths = np.array([image.length for image in images])
    far = np.abs(lengths - 1)
    if far.max() > UNIT:
        worst = images[int(far.argmax())]
        yield Finding(
            "long-quaternions",
            "note",
            f"{np.sum(far > UNIT)} of {len(images)} quaternions are not of length 1 as COLMAP"
            f" writes them, that of {worst.origin} {worst.length:.6g}; took their directions",
            "see that no number of them was changed",
        )


def _photos(folder: Path, images: Sequence[Image], where: str) -> Named:
    """The photos of images, whose names begin in the folder of photos."""
    place = folder / "images"
    if not place.is_dir():
        place = photo_folder(folder) or place
    inner = place.relative_to(folder)
    names = [inner / inner_path(place, i.name, f"the name of {i.origin}") for i in images]
    return named_photos(folder, names, where)


def _unique(entries: Iterator[tuple[int, Camera]], path: Path) -> dict[int, Camera]:
    known: dict[int, Camera] = {}
    for number, camera in entries:
        if number in known:
            raise Mistake(
                f"{path} has camera {number} twice; expected each id once; remove one of them"
            )
        known[number] = camera
    return known


def _view(folder: Path, photo: Path, image: Image, known: dict[int, Camera]) -> View:
    if image.camera not in known:
        raise Mistake(
            f"{image.origin} in {folder} has camera {image.camera}; expected one of"
            f" {sorted(known)[:8]}; add it to the cameras"
        )
    camera = known[image.camera]
    return View(
        view_name(folder, photo),
        image.origin,
        photo,
        None,
        camera.intrinsics.copy(),
        image.world_from_camera,
        camera.size,
        lens=camera.lens,
    )


def write_colmap(folder: Path, capture: Capture) -> None:
    """`sparse/0/` in text, of a capture whose photos lie in `images` and whose sizes are known.

    Cameras are PINHOLE, or OPENCV and FULL_OPENCV with distortion.

    Raises:
        Mistake: if the format cannot hold a camera (skew), a photo lies elsewhere, or there is a
            binary model, which would be read instead.
    """
    photos, model = folder / "images", folder / "sparse" / "0"
    _refuse_unwritable(capture.views, photos, model)
    ids: dict[tuple, int] = {}
    cameras, images = [], []
    for i, view in enumerate(capture.views, start=1):
        key = (view.size, view.intrinsics.tobytes(), view.lens)
        if key not in ids:
            ids[key] = len(ids) + 1
            cameras.append(f"{ids[key]} {_camera_line(view)}\n")
        name = image_path(view.image).relative_to(photos).as_posix()
        images.append(f"{i} {_pose_line(view)} {ids[key]} {name}\n\n")
    places, errors = capture.points or (np.zeros((0, 3)), np.zeros(0))
    lines = [  # without the photos that see a point, whose share of its error is in it
        f"{i} {_spelled(place)} 128 128 128 {_spelled([-1.0 if math.isnan(error) else error])}\n"
        for i, (place, error) in enumerate(zip(places.tolist(), errors.tolist(), strict=True), 1)
    ]
    model.mkdir(parents=True, exist_ok=True)
    for name, head, body in (
        ("cameras", "ID MODEL WIDTH HEIGHT PARAMS", cameras),
        ("images", "ID QW QX QY QZ TX TY TZ CAMERA_ID NAME, then a line of observations", images),
        ("points3D", "ID X Y Z R G B ERROR TRACK", lines),
    ):
        (model / f"{name}.txt").write_text(f"# {head}\n" + "".join(body))


def _refuse_unwritable(views: Sequence[View], photos: Path, model: Path) -> None:
    """Stops at what would not be read as it was written."""
    refuse_unwritable(views, "COLMAP")
    strange = [
        view.name
        for view in views
        if view.size is None or photos not in image_path(view.image).parents
    ]
    if strange:
        raise Mistake(
            f"view {strange[0]!r} has no size or its photo is not in {photos}; expected both; copy"
            " the photo there"
        )
    if _suffix(model) == ".bin":
        raise Mistake(
            f"{model} holds a binary model, which is read rather than text; expected none; move it"
            " away"
        )


def _spelled(values: Sequence[float]) -> str:
    """Numbers with all their digits."""
    return " ".join(repr(float(value)) for value in values)


def _camera_line(view: View) -> str:
    (fx, _, cx), (_, fy, cy), _ = view.intrinsics.tolist()
    height, width = view.size or (0, 0)
    lens = view.lens or ()
    model = "PINHOLE" if not lens else "FULL_OPENCV" if any(lens[4:]) else "OPENCV"
    coefficients = lens[: MODELS[model].num_coefficients]
    return f"{model} {width} {height} {_spelled([fx, fy, cx, cy, *coefficients])}"


def _pose_line(view: View) -> str:
    """The map from world to camera; its translation is that of the quaternion as it is read."""
    from scipy.spatial.transform import Rotation  # late: it takes a tenth of a second

    camera_from_world = Rotation.from_matrix(view.world_from_camera[:3, :3].T)
    translation = -camera_from_world.apply(view.world_from_camera[:3, 3])
    return _spelled([*camera_from_world.as_quat(canonical=True, scalar_first=True), *translation])


COLMAP = Format(
    "cameras and images, .bin or .txt, in sparse/0/", is_colmap, read_colmap, write_colmap
)
