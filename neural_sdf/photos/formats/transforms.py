"""Cameras in json: the layouts of Blender and NeRF, of nerfstudio and of instant-ngp.

The first has `transforms_train.json` and its like for each split, the others one `transforms.json`.
Poses are camera to world with OpenGL axes (x right, y up, z backward). Principal points count from
the corner of the first pixel, as in the whole project. Keys of a frame overrule those of the file;
`applied_transform` only says where the poses came from and changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neural_sdf.geometry import Similarity
from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.capture import (
    Capture,
    Format,
    Header,
    ImageFile,
    View,
    image_path,
    refuse_unwritable,
    view_name,
)
from neural_sdf.photos.files.findings import Finding, listed
from neural_sdf.photos.files.folder import (
    LARGEST,
    PHOTO_SUFFIXES,
    inner_path,
)
from neural_sdf.photos.files.images import read_header
from neural_sdf.photos.files.lens_models import OpenCV
from neural_sdf.photos.formats.entries import Named, json_frames, named_masks, named_photos
from neural_sdf.photos.formats.points_file import read_points, write_points
from neural_sdf.photos.formats.splits import read_splits, unread_files
from neural_sdf.photos.formats.transforms_frame import (
    OPENCV_FROM_OPENGL,
    Frame,
    declared_size,
    intrinsics,
    lens_of,
    pose_of,
    refuse_unsupported,
)

NAMES = ("transforms", "transform")  # of the json, before _train.json; the second is NeuS2's
POINTS = "sparse.ply"  # as it is written
READ = {
    *("file_path", "mask_path", "transform_matrix", "w", "h", "fl_x", "fl_y", "cx", "cy", "sk_x"),
    *("camera_angle_x", "camera_angle_y", *OpenCV._fields, "camera_model", "is_fisheye", "from_na"),
    *("intrinsic_matrix", "train_filenames", "test_filenames", "val_filenames"),
    *("sphere_center", "sphere_radius", "aabb_range", "ply_file_path"),
}
# What says nothing of how the photos are to be read here.
NEEDLESS = {
    *("aabb_scale", "scale", "offset", "aabb", "up", "applied_transform", "applied_scale"),
    *("depth_file_path", "depth_path", "integer_depth_scale", "normal_file_path"),
    *("sk_y", "colmap_im_id", "sharpness", "timestamp", "time", "camera_id", "id", "rotation"),
    "n_images",
}


def is_transforms(folder: Path) -> bool:
    """Whether a folder holds this layout."""
    return bool(_files(folder))


def _files(folder: Path) -> dict[str, str]:
    """The json files of a folder that are read, by the split that they are of."""
    for name in NAMES:
        if (folder / f"{name}_train.json").is_file():
            test = f"{name}_test.json"
            has_test = (folder / test).is_file()
            return {"train": f"{name}_train.json"} | ({"test": test} if has_test else {})
    return {"": "transforms.json"} if (folder / "transforms.json").is_file() else {}


def read_transforms(folder: Path, cameras: str) -> Capture:
    """Views of a folder with `transforms_train.json` or, without it, `transforms.json`.

    Views of `transforms_test.json`, or of `test_filenames`, are the test split; those of
    `transforms_val.json`, or of `val_filenames`, are not used, nor are those that are in no list
    where there is a `train_filenames`. Masks are those that the frames name. The order is that of
    the frames in the split files, and of the sorted file names in a single file.

    Args:
        folder: holds the json files; no path in them may leave it.
        cameras: not used, the layout fixes the names.

    Raises:
        Mistake: if the json is not as the format has it, or asks for what is not supported.
    """
    del cameras
    files = _files(folder)
    if not files:
        raise Mistake(
            f"camera file 'transforms.json' is not in {folder}; expected a json object of frames;"
            " set <path>"
        )
    documents = [(split, name, json_frames(folder / name)) for split, name in files.items()]
    frames: list[Frame] = []
    findings: list[Finding] = []
    for split, name, document in documents:
        read = _read_frames(folder, name, document, findings)
        frames += [frame._replace(split=split or frame.split) for frame in read]
    findings += _unread_keys(frames, ", ".join(files.values()))
    placed = [frame for frame in frames if frame.settings.get("transform_matrix") is not None]
    findings += _unplaced(frames, placed)
    used = [frame for frame in placed if frame.split != "unused"]
    left_out = [frame.image for frame in placed if frame.split == "unused"]
    if "train" in files:
        validation, told = unread_files(folder, files["train"])
        left_out, findings = left_out + validation, findings + told
    refuse_unsupported(used)
    where = " and ".join(files.values())
    photos = _photos(folder, [frame.image for frame in used], where)
    masks = named_masks(folder, [frame.mask for frame in used if frame.mask], where)
    left = iter(masks.paths)
    views = [
        _view(folder, frame, photo, next(left) if frame.mask else None)
        for frame, photo in zip(used, photos.paths, strict=True)
    ]
    if "" in files:
        views.sort(key=lambda view: image_path(view.image))
    findings += [*photos.findings, *masks.findings]
    first = documents[0][2]
    points = read_points(folder, first.get("ply_file_path"), findings)
    aside = frozenset(_photos(folder, left_out, where).paths)
    return Capture(tuple(views), _region(first, where), points, tuple(findings), aside)


def _read_frames(
    folder: Path, name: str, document: dict[str, Any], findings: list[Finding]
) -> list[Frame]:
    """The frames of one json file; adds to the findings what its lists of splits say."""
    common = {key: value for key, value in document.items() if key != "frames"}
    frames = []
    for i, entry in enumerate(document["frames"]):
        origin = f"frame {i} of {name}"
        image = inner_path(folder, entry.get("file_path"), f"file_path of {origin}")
        mask = entry.get("mask_path")
        mask = None if mask is None else inner_path(folder, mask, f"mask_path of {origin}")
        frames.append(Frame(origin, {**common, **entry}, image, mask, "train"))
    splits, told = read_splits(folder, name, document, [frame.image for frame in frames])
    findings += told
    return [frame._replace(split=split) for frame, split in zip(frames, splits, strict=True)]


def _photos(folder: Path, names: Sequence[Path], where: str) -> Named:
    """The photos of names that may lack their suffix."""
    whole = [_with_suffix(folder / name).relative_to(folder) for name in names]
    return named_photos(folder, whole, where)


def _unplaced(frames: Sequence[Frame], placed: Sequence[Frame]) -> Iterator[Finding]:
    """Frames without a pose, as converters leave those of photos that found no place."""
    without = [frame for frame in frames if frame not in placed]
    if without and not placed:
        raise Mistake(
            f"{without[0].origin} and all others have no transform_matrix; expected 4 rows of 4"
            " numbers in each; add the poses"
        )
    if without:
        yield Finding(
            "unplaced-photos",
            "warning",
            f"{len(without)} of {len(frames)} frames have no transform_matrix and are left out:"
            f" {listed([f'{f.image.name} ({f.origin})' for f in without])}",
            "add their poses if they should be used",
        )


def _with_suffix(path: Path) -> Path:
    """The image meant by a path that may lack its extension; .png where nothing is found."""
    if path.suffix.lower() in PHOTO_SUFFIXES or path.is_file():
        return path
    candidates = [path.with_name(path.name + suffix) for suffix in PHOTO_SUFFIXES]
    return next((file for file in candidates if file.is_file()), candidates[0])


def _view(folder: Path, frame: Frame, photo: Path, mask: Path | None) -> View:
    size = declared_size(frame)
    header = None if size else _header(photo)
    height, width = size or (header[:2] if header else (1, 1))
    return View(
        view_name(folder, photo),
        frame.origin,
        photo,
        mask,
        intrinsics(frame, height, width),
        pose_of(frame),
        size,
        frame.split == "test",
        lens_of(frame),
        header,
    )


def _header(image: Path) -> Header | None:
    """Of a photo; None where it cannot be read, which a later check tells."""
    try:
        return read_header(image)
    except ValueError:
        return None


def _region(document: Mapping[str, Any], where: str) -> Similarity | None:
    """The sphere of Neuralangelo's files, or the one about their box; None without."""
    centre, radius = document.get("sphere_center"), document.get("sphere_radius")
    box = document.get("aabb_range")
    if centre is None and radius is None and box is None:
        return None
    try:
        if centre is None or radius is None:
            lower, upper = np.array(box, np.float64).T
            centre, radius = (lower + upper) / 2, np.linalg.norm(upper - lower) / 2
        place, scale = np.array(centre, np.float64), np.array(radius, np.float64)
        is_sphere = place.shape == (3,) and scale.shape == () and 0 < scale <= LARGEST
    except (TypeError, ValueError, OverflowError):
        is_sphere = False
    if not is_sphere or not (np.abs(place) <= LARGEST).all():
        raise Mistake(
            f"sphere_center, sphere_radius or aabb_range of {where} is no sphere or box; expected"
            " [x, y, z] and a positive number, or a list of three [from, to]; mend or remove them"
        )
    return Similarity(scale, np.eye(3), place)


def _unread_keys(frames: Sequence[Frame], where: str) -> Iterator[Finding]:
    """Keys that may say something of the cameras and are not known here."""
    unread = sorted({key for frame in frames for key in frame.settings} - READ - NEEDLESS)
    if unread:
        yield Finding(
            "unread-keys",
            "note",
            f"{where} has keys that are not read: {listed([f'{key!r:.40}' for key in unread], 12)}",
            "see that they say nothing of the cameras",
        )


def write_transforms(folder: Path, capture: Capture) -> None:
    """`transforms.json` of a capture whose photos lie in the folder, with OpenGL axes.

    Sparse points go to `sparse.ply` beside it.

    Raises:
        Mistake: if a camera has skew, which the format cannot hold.
    """
    refuse_unwritable(capture.views, "transforms")
    test = [_relative(folder, view.image) for view in capture.views if view.is_test]
    train = [_relative(folder, view.image) for view in capture.views if not view.is_test]
    splits = {"train_filenames": train, "test_filenames": test} if test else {}
    cloud = {}
    if capture.points is not None:
        write_points(folder / POINTS, capture.points)
        cloud = {"ply_file_path": POINTS}
    document = {**splits, **cloud, "frames": [_frame(folder, view) for view in capture.views]}
    (folder / "transforms.json").write_text(json.dumps(document, indent=1) + "\n")


def _frame(folder: Path, view: View) -> dict[str, Any]:
    (fx, _, cx), (_, fy, cy), _ = view.intrinsics.tolist()
    size = {} if view.size is None else {"w": view.size[1], "h": view.size[0]}
    model = "FULL_OPENCV" if view.lens and any(view.lens[4:]) else "OPENCV"
    lens = {} if view.lens is None else {"camera_model": model, **view.lens._asdict()}
    return {
        "file_path": _relative(folder, view.image),
        **({} if view.mask is None else {"mask_path": _relative(folder, view.mask)}),
        "fl_x": fx,
        "fl_y": fy,
        "cx": cx,
        "cy": cy,
        **size,
        **lens,
        "transform_matrix": (view.world_from_camera * OPENCV_FROM_OPENGL).tolist(),
    }


def _relative(folder: Path, image: ImageFile) -> str:
    return image_path(image).relative_to(folder).as_posix()


TRANSFORMS = Format(
    "transforms_train.json or transforms.json",
    is_transforms,
    read_transforms,
    write_transforms,
    holds_split=True,
)
