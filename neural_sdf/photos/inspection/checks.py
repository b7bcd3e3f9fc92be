"""What can be wrong with views, their files and their cameras, before masks are compared.

Each check is given views and yields findings; it stops nothing by itself. Codes and remedies are
listed in docs/data.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64

from neural_sdf.photos.files.capture import ImageFile, View, intrinsics_fault, pose_fault
from neural_sdf.photos.files.findings import Finding, listed, names
from neural_sdf.photos.files.folder import list_photos
from neural_sdf.photos.files.images import Header, ImageError, pinhole_camera, read_header

NOT_PHOTOS = ("_masked",)  # how the names of other pictures beside photos end
FEW = 0.1  # share of the views that may well be photographed twice
KEPT = 0.1  # share of a photo that a lens leaves at least
SAME_POSE = 1e-6  # of the cameras' spread: nearer centres are the same place
ASPECT = 0.05  # by which fx and fy may differ in a camera with square pixels
COARSE = 100  # pixels along a mask's longer side that are looked at
OUTSIDE = 0.005  # share of the masks' pixels that may look past the region
NORMALS = 400  # directions on the sphere that stand for all
WELL_SEEN = np.cos(np.radians(60.0))  # a surface turned further away says little
UNSEEN = 0.3  # share of all normals that a set seen from all round may leave unseen


def missing_files(views: Sequence[View], folder: Path, *, skip: bool) -> Iterator[Finding]:
    """All photos and masks that are not there; a warning if they are to be skipped."""
    files = [(view, path) for view in views for path in (view.image, view.mask) if path is not None]
    missing = [(view, path) for view, path in files if not path.is_file()]
    if missing:
        shown = ", ".join(f"{_inside(path, folder)} ({view.origin})" for view, path in missing)
        yield Finding(
            "missing-files",
            "warning" if skip else "error",
            f"{len(missing)} of {len(files)} files are missing in {folder}: {shown}",
            "their views are skipped"
            if skip
            else "restore them, delete their cameras, or set <skip_missing>=True",
            tuple(dict.fromkeys(view.name for view, _ in missing)),
        )


def unused_photos(views: Sequence[View]) -> Iterator[Finding]:
    """Photos beside those of the views that have no camera."""
    used = {view.image for view in views if isinstance(view.image, Path)}
    unused = sorted(
        photo
        for place in {image.parent for image in used}
        for photo in list_photos(place)
        if photo not in used and not photo.stem.endswith(NOT_PHOTOS)
    )
    if unused:
        yield Finding(
            "unused-photos",
            "note",
            f"{len(unused)} photos have no camera: {names([path.name for path in unused])}",
            "they are not used; add their cameras if they should be",
        )


def open_files(
    views: Sequence[View],
) -> tuple[dict[str, Header], dict[str, Header], list[Finding]]:
    """Headers of photos and of masks by view name, and what cannot be opened, by kind."""
    photos, masks, errors = {}, {}, []
    for view in views:
        try:
            photos[view.name] = read_header(view.image)
            if view.mask is not None:
                masks[view.name] = read_header(view.mask)
        except ImageError as error:
            errors.append((view, error))
    return photos, masks, list(unreadable_images(errors))


def unreadable_images(errors: Sequence[tuple[View, ImageError]]) -> Iterator[Finding]:
    """Files that cannot be used, those with the same fault together."""
    for code in dict.fromkeys(error.code for _, error in errors):
        these = [(view, error) for view, error in errors if error.code == code]
        first, *others = these
        more = f" (and {len(others)} more: {names([v.image.name for v, _ in others])})"
        yield Finding(
            code,
            "error",
            f"{len(these)} of the images cannot be used: {first[1]}{more * bool(others)}",
            "mend the files named",
            tuple(view.name for view, _ in these),
        )


def wrong_sizes(
    views: Sequence[View], photos: Mapping[str, Header], masks: Mapping[str, Header]
) -> Iterator[Finding]:
    """Photos unlike the size that their camera declares, and masks unlike their photos."""
    yield from _size_finding(
        [(view, view.image, photos[view.name], view.size) for view in views],
        "the size that the camera's file declares",
        "restore the photos of that size",
    )
    yield from _size_finding(
        [
            (view, view.mask, masks[view.name], photos[view.name][:2])
            for view in views
            if view.mask is not None
        ],
        "masks of the size of their photos",
        "make them anew",
    )


def absent_masks(views: Sequence[View], photos: Mapping[str, Header]) -> Iterator[Finding]:
    """Views with neither a mask nor an alpha channel."""
    bare = [v for v in views if v.mask is None and not photos[v.name].has_alpha]
    remedy = "add masks (a folder mask/ or masks/, mask_path in transforms.json, or RGBA photos)"
    if len(bare) == len(views) > 0:
        yield Finding(
            "no-masks",
            "error",
            f"none of the {len(views)} photos has a mask or an alpha channel, expected the outline"
            " of the object; training without is not supported",
            remedy,
        )
    elif bare:
        yield Finding(
            "some-masks",
            "error",
            f"{len(bare)} of {len(views)} photos have no mask and no alpha channel:"
            f" {names([view.image.name for view in bare])}; expected a mask for every photo",
            remedy,
            tuple(view.name for view in bare),
        )


def impossible_cameras(views: Sequence[View], photos: Mapping[str, Header]) -> Iterator[Finding]:
    """Cameras that are no pinhole with a rigid pose, or whose lens leaves nothing of the photo."""
    intrinsics = [
        (view, intrinsics_fault(view.intrinsics, *photos[view.name][:2])) for view in views
    ]
    yield from _camera_finding("bad-intrinsics", intrinsics, "mend the intrinsics there")
    bad = {view.name for view, fault in intrinsics if fault}
    bent = []
    for view in views:
        if view.name not in bad:
            height, width = pinhole_camera(view, photos[view.name])[1]
            kept = height * width / np.prod(photos[view.name][:2])
            fault = (
                f"the lens {view.lens} leaves {kept:.1%} of the photo, expected {KEPT:.0%} or more"
            )
            bent.append((view, fault if kept < KEPT else None))
    yield from _camera_finding("bad-lens", bent, "mend the coefficients there")
    poses = [(view, pose_fault(view.world_from_camera)) for view in views]
    yield from _camera_finding(
        "not-rigid", poses, "a pose is a rotation and a translation; mend it there"
    )


def strange_cameras(views: Sequence[View]) -> Iterator[Finding]:
    """Cameras that may be meant, and mostly are not: twice the same, pixels far from square."""
    poses = np.stack([view.world_from_camera for view in views])
    spread = np.linalg.norm(poses[:, :3, 3].std(axis=0)) or 1.0
    flat = np.concatenate([poses[:, :3, :3].reshape(-1, 9), poses[:, :3, 3] / spread], axis=1)
    near = np.abs(flat[:, None] - flat).max(axis=-1) < SAME_POSE
    twins = [views[i] for i in np.flatnonzero(near.sum(axis=1) > 1).tolist()]
    if twins:
        yield Finding(
            "duplicate-poses",
            "note" if len(twins) < FEW * len(views) else "warning",
            f"{len(twins)} of {len(views)} views have the pose of another view:"
            f" {names([view.name for view in twins])}; expected a camera of its own for each photo",
            "delete copies of a photo, or mend the poses",
            tuple(view.name for view in twins),
        )
    ratios = np.array([view.intrinsics[0, 0] / view.intrinsics[1, 1] for view in views])
    odd = [view for view, r in zip(views, ratios, strict=True) if abs(np.log(r)) > ASPECT]
    if odd:
        yield Finding(
            "unequal-focal-lengths",
            "note",
            f"fx is {ratios[0]:.3g} times fy in {len(odd)} of {len(views)} cameras, expected nearly"
            " the same for square pixels",
            "see that fx and fy are not exchanged and that photos were not stretched",
            tuple(view.name for view in odd),
        )


def said_nothing(
    masks: Sequence[Bool[np.ndarray, "_h _w"]], view_names: Sequence[str]
) -> Iterator[Finding]:
    """Masks that are all of one value."""
    shares = np.array([mask.mean() for mask in masks])
    if not shares.any():
        yield Finding(
            "empty-masks",
            "error",
            f"all {len(masks)} masks are empty, expected the object above half brightness (grey"
            " value above 127, or alpha)",
            "make the masks anew, or say what they show by <mask_shows>",
        )
        return
    for word, share in (("empty", 0), ("full", 1)):
        found = [name for name, s in zip(view_names, shares, strict=True) if s == share]
        if found:
            yield Finding(
                f"{word}-masks",
                "warning",
                f"{len(found)} of {len(masks)} masks are all {word}: {names(found)}, expected the"
                " outline of the object",
                "make them anew, or delete these views",
                tuple(found),
            )


def camera_places(
    scene_from_camera: Float64[np.ndarray, "V 4 4"], view_names: Sequence[str]
) -> Iterator[Finding]:
    """Cameras inside the region of interest, behind it, or all on one side of it."""
    centres, axes = scene_from_camera[:, :3, 3], scene_from_camera[:, :3, 2]
    depth = -np.sum(centres * axes, axis=-1)
    if np.mean(depth <= 0) > 0.5:
        yield Finding(
            "region-behind-cameras",
            "error",
            f"the region of interest lies behind {np.sum(depth <= 0)} of {len(depth)} training"
            " cameras, expected before them (OpenGL axes in transforms files, OpenCV axes in all"
            " others)",
            "turn the y and z axes of the poses, or set <centre> and <radius>",
        )
        return
    distances = np.linalg.norm(centres, axis=-1)
    within = [name for name, far in zip(view_names, distances, strict=True) if far <= 1]
    if within:
        yield Finding(
            "cameras-inside",
            "warning" if len(within) < len(view_names) / 2 else "error",
            f"{len(within)} of {len(view_names)} cameras are inside the region of interest:"
            f" {names(within)}, expected all outside the sphere about the object",
            "set <radius> to the object's own, or mend the poses",
            tuple(within),
        )
    unseen = unseen_share(centres / np.maximum(distances, 1e-9)[:, None])
    if unseen > UNSEEN:
        yield Finding(
            "one-sided",
            "warning",
            f"{unseen:.0%} of all directions of a surface are seen by no camera within 60 degrees,"
            f" expected {UNSEEN:.0%} or less for a set from all round",
            "what the mesh has on the far side is invented; add views from there if it matters",
        )


def object_outside(
    masks: Sequence[Bool[np.ndarray, "_h _w"]],
    intrinsics: Float64[np.ndarray, "V 3 3"],
    scene_from_camera: Float64[np.ndarray, "V 4 4"],
) -> Iterator[Finding]:
    """An object that reaches out of the region of interest: rays of masks that miss the sphere."""
    missed = total = 0
    for mask, K, pose in zip(masks, intrinsics, scene_from_camera, strict=True):
        if mask.all():
            continue  # says nothing of the object
        step = max(1, max(mask.shape) // COARSE)
        rows, columns = np.nonzero(mask[::step, ::step])
        pixels = np.stack([columns * step, rows * step, np.full(len(rows), 0.5)], axis=-1) + 0.5
        directions = pixels @ np.linalg.inv(K).T @ pose[:3, :3].T
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        apart = np.linalg.norm(np.cross(directions, pose[:3, 3]), axis=1)
        missed, total = missed + int(np.sum(apart > 1)), total + len(rows)
    if total and missed > OUTSIDE * total:
        yield Finding(
            "object-outside",
            "error" if missed > total / 2 else "warning",
            f"{missed / total:.1%} of the masks' pixels look past the region of interest, expected"
            " the object inside it",
            "set <centre> and <radius>, or <box>, to hold the object",
        )


def unseen_share(directions: Float64[np.ndarray, "V 3"]) -> float:
    """Share of all surface normals that point to within 60 degrees of no camera."""
    index = np.arange(NORMALS) + 0.5
    height, turn = 1 - 2 * index / NORMALS, np.pi * (1 + 5**0.5) * index
    ring = np.sqrt(1 - height**2)
    normals = np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=-1)
    return float(np.mean((normals @ directions.T).max(axis=1) < WELL_SEEN))


def _inside(path: ImageFile, folder: Path) -> ImageFile:
    if isinstance(path, Path) and path.is_relative_to(folder):
        return path.relative_to(folder)
    return path


def _size_finding(
    images: Iterable[tuple[View, ImageFile, Header, tuple[int, int] | None]],
    expected: str,
    remedy: str,
) -> Iterator[Finding]:
    wrong = [(v, p, h, size) for v, p, h, size in images if size is not None and h[:2] != size]
    if wrong:
        sentences = [
            f"{path} is {h.width}x{h.height} pixels, not {size[1]}x{size[0]}"
            for _, path, h, size in wrong
        ]
        yield Finding(
            "wrong-size",
            "error",
            f"{listed(sentences)}; expected {expected}",
            remedy,
            tuple(view.name for view, *_ in wrong),
        )


def _camera_finding(
    code: str, faults: Sequence[tuple[View, str | None]], remedy: str
) -> Iterator[Finding]:
    found = [(view, fault) for view, fault in faults if fault]
    if found:
        sentences = [f"{view.origin} ({view.image.name}): {fault}" for view, fault in found]
        yield Finding(code, "error", listed(sentences), remedy, tuple(v.name for v, _ in found))
