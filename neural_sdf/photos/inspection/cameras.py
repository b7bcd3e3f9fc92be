"""What can be wrong with cameras by themselves, and with where they stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float64

from neural_sdf.photos.files.capture import Header, View, intrinsics_fault, pose_fault
from neural_sdf.photos.files.findings import Finding, listed, names
from neural_sdf.photos.files.views import Pinhole

FEW = 0.1  # share of the views that may well be photographed twice
KEPT = 0.1  # share of a photo that a lens leaves at least
SAME_POSE = 1e-6  # of the cameras' spread: nearer centres are the same place
SAME_K = 1e-3  # of a photo's longer side: nearer intrinsics are those of one camera
ASPECT = 0.05  # by which fx and fy may differ in a camera with square pixels
COARSE = 100  # pixels along a mask's longer side that are looked at
OUTSIDE = 0.005  # share of the masks' pixels that may look past the region
NORMALS = 400  # directions on the sphere that stand for all
WELL_SEEN = np.cos(np.radians(60.0))  # a surface turned further away says little
UNSEEN = 0.3  # share of all normals that a set seen from all round may leave unseen


def bad_intrinsics(views: Sequence[View], photos: Mapping[str, Header]) -> Iterator[Finding]:
    """Cameras that are no pinhole's."""
    faults = [(view, intrinsics_fault(view.intrinsics, *photos[view.name][:2])) for view in views]
    yield from _camera_finding("bad-intrinsics", faults, "mend the intrinsics there")


def off_centre(views: Sequence[View], photos: Mapping[str, Header]) -> Iterator[Finding]:
    """Cameras whose principal point lies outside the photo, as it does in photos that were cut."""
    found = []
    for view in views:
        (cx, cy), size = view.intrinsics[:2, 2], photos[view.name][1::-1]
        if not (0 <= cx <= size[0] and 0 <= cy <= size[1]):
            found.append((view, f"({cx:.4g}, {cy:.4g}) in {size[0]}x{size[1]} pixels"))
    if found:
        yield Finding(
            "principal-point-outside",
            "warning",
            f"the principal points of {len(found)} of {len(views)} cameras are outside their"
            f" photos: {listed([f'{view.name} {place}' for view, place in found])}; expected so"
            " only where photos were cut",
            "mend cx and cy if the photos are whole",
            tuple(view.name for view, _ in found),
        )


def bad_lenses(
    views: Sequence[View], photos: Mapping[str, Header], pinholes: Mapping[str, Pinhole]
) -> Iterator[Finding]:
    """Cameras whose lens leaves nothing of the photo."""
    faults = []
    for view in views:
        kept = np.prod(pinholes[view.name].size) / np.prod(photos[view.name][:2])
        fault = f"the lens {view.lens} leaves {kept:.1%} of the photo, expected {KEPT:.0%} or more"
        faults.append((view, fault if kept < KEPT else None))
    yield from _camera_finding("bad-lens", faults, "mend the coefficients there")


def bad_poses(views: Sequence[View]) -> Iterator[Finding]:
    """Cameras whose pose is not rigid."""
    faults = [(view, pose_fault(view.world_from_camera)) for view in views]
    yield from _camera_finding(
        "not-rigid", faults, "a pose is a rotation and a translation; mend it there"
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
    off = np.abs(np.log(ratios))
    worst = int(off.argmax())
    odd = [view for view, far in zip(views, off, strict=True) if far > ASPECT]
    if odd:
        yield Finding(
            "unequal-focal-lengths",
            "note",
            f"fx and fy differ in {len(odd)} of {len(views)} cameras, expected nearly the same for"
            f" square pixels: fx is {ratios[worst]:.3g} times fy in"
            f" {views[worst].name}",
            "see that fx and fy are not exchanged and that photos were not stretched",
            tuple(view.name for view in odd),
        )


def lone_intrinsics(views: Sequence[View], photos: Mapping[str, Header]) -> Iterator[Finding]:
    """Views that have neither the camera that most share, nor that of another view."""
    sizes = np.array([photos[view.name][:2] for view in views])
    K = np.stack([view.intrinsics for view in views])
    lenses = np.array([hash(view.lens) for view in views])
    alike = np.abs(K[:, None] - K).max(axis=(2, 3)) <= SAME_K * sizes.max(axis=1)
    alike &= (sizes[:, None] == sizes).all(axis=-1) & (lenses[:, None] == lenses)
    sharing = alike.sum(axis=1)
    common = int(sharing.argmax())
    is_lone = (sharing == 1) & (sizes == sizes[common]).all(axis=1)  # else turned, mostly
    lone = [views[i] for i in np.flatnonzero(is_lone).tolist()]
    if lone and sharing[common] > len(views) / 2:
        yield Finding(
            "lone-intrinsics",
            "note",
            f"{len(lone)} of {len(views)} cameras have intrinsics of their own, expected one camera"
            f" for all as the others have: {names([view.name for view in lone])} (that of"
            f" {lone[0].name} {_intrinsics(lone[0])}, that of {views[common].name}"
            f" {_intrinsics(views[common])})",
            "see that no number of them was changed, if one camera took all photos",
            tuple(view.name for view in lone),
        )


def _intrinsics(view: View) -> str:
    (fx, skew, cx), (_, fy, cy), _ = view.intrinsics
    more = f", skew {skew:.4g}" if abs(skew) > SAME_K * fx else ""
    more += f", {view.lens}" if view.lens else ""
    return f"has fx {fx:.5g}, fy {fy:.5g}, cx {cx:.5g}, cy {cy:.5g}{more}"


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
            f"{unseen:.1%} of all directions of a surface are seen by no camera within 60 degrees,"
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


def _camera_finding(
    code: str, faults: Sequence[tuple[View, str | None]], remedy: str
) -> Iterator[Finding]:
    found = [(view, fault) for view, fault in faults if fault]
    if found:
        sentences = [f"{view.origin} ({view.image.name}): {fault}" for view, fault in found]
        yield Finding(code, "error", listed(sentences), remedy, tuple(v.name for v, _ in found))
