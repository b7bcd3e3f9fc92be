"""Cameras that are right up to a size, a scale or a turn of the photo are made right, and told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from neural_sdf.photos.files.capture import RIGID_TOLERANCE, Header, View, same_shape
from neural_sdf.photos.files.findings import Finding, names
from neural_sdf.photos.files.images import ImageError, rotated

LYING = 5  # the least EXIF orientation that exchanges width and height
BACK = {6: 8, 8: 6}  # of these orientations, that which undoes it; of others they do so themselves


class Fitted(NamedTuple):
    """Views whose cameras are those of their photos as far as that can be told.

    Attributes:
        views: in the order given.
        headers: of their photos, as they will be read, by the views' names.
        findings: what was changed.
        errors: photos of which it cannot be told how they are to be read.
    """

    views: list[View]
    headers: dict[str, Header]
    findings: list[Finding]
    errors: list[tuple[View, ImageError]]


def fit(views: Sequence[View], headers: Mapping[str, Header]) -> Fitted:
    """Views with cameras for their photos' own sizes, and with rigid poses.

    A photo of another size than its camera declares, but of the same shape, is the same photo made
    larger or smaller, so that K grows with it. A photo that EXIF shows on its side is read as it is
    stored or as it is shown, whichever has the camera's shape. A rotation times a number is that
    rotation.

    Args:
        views: as their reader gave them.
        headers: of their photos, by the views' names.
    """
    turned, errors = [], []
    sizes = dict(headers)
    for view in views:
        header = headers[view.name]
        known = _turned(view, header)
        if header.orientation != 1 and known is None:
            errors.append((view, rotated(view.image, header.orientation)))
        if known:
            sizes[view.name] = header._replace(height=header.width, width=header.height)
        turned.append(view._replace(is_turned=known))
    scaled = [_scaled(view, sizes[view.name]) for view in turned]
    rigid = [v._replace(world_from_camera=_unscaled(v.world_from_camera)) for v in scaled]
    findings = [*_told_sizes(turned, scaled), *_told_poses(scaled, rigid)]
    return Fitted(rigid, sizes, findings, errors)


class Turned(NamedTuple):
    """Views whose masks are turned as their photos are.

    Attributes:
        views: in the order given.
        headers: of their masks, as they will be read, by the views' names.
        findings: what was changed.
    """

    views: list[View]
    headers: dict[str, Header]
    findings: list[Finding]


def turn_masks(
    views: Sequence[View], photos: Mapping[str, Header], masks: Mapping[str, Header]
) -> Turned:
    """Masks that lie the other way than their photos, which EXIF turns, turned like those.

    Args:
        views: of `fit`.
        photos: headers as `fit` gives them, by the views' names.
        masks: headers as stored, by the views' names.
    """
    now, headers, told = [], dict(masks), []
    for view in views:
        photo, mask = photos[view.name], masks.get(view.name)
        if mask is not None and _lies_otherwise(mask, photo):
            turn = photo.orientation
            turn = turn if view.is_turned else BACK.get(turn, turn)
            view = view._replace(mask_turn=turn)
            headers[view.name] = mask._replace(height=mask.width, width=mask.height)
            told.append(view.name)
        now.append(view)
    note = Finding(
        "turned-masks",
        "note",
        f"{len(told)} of {len(views)} masks lie the other way than their photos, as EXIF turns"
        f" those and as the cameras mean them; turned the masks by that: {names(told)}",
        "nothing, or make them of the photos as the cameras mean them",
        tuple(told),
    )
    return Turned(now, headers, [note] if told else [])


def _lies_otherwise(mask: Header, photo: Header) -> bool:
    """Whether a mask has the shape of a photo that EXIF puts on its side, but on the other."""
    size = photo.height, photo.width
    return (
        photo.orientation >= LYING
        and not same_shape((mask.height, mask.width), size)
        and same_shape((mask.width, mask.height), size)
    )


def _turned(view: View, header: Header) -> bool | None:
    """Whether the camera means the photo as it is shown; None if that cannot be told."""
    if header.orientation < LYING or view.size is None:
        return None
    stored = same_shape((header.height, header.width), view.size)
    shown = same_shape((header.width, header.height), view.size)
    return shown if stored != shown else None


def _scaled(view: View, header: Header) -> View:
    """The view with the camera of its photo's own size, if that has the declared shape."""
    size = header.height, header.width
    if view.size in (None, size) or not same_shape(size, view.size):
        return view
    ratio = np.array([[size[1] / view.size[1]], [size[0] / view.size[0]], [1.0]])
    return view._replace(intrinsics=view.intrinsics * ratio, size=size)


def _unscaled(pose: Float64[np.ndarray, "4 4"]) -> Float64[np.ndarray, "4 4"]:
    """The pose without a scale that all columns of its rotation have alike."""
    lengths = np.linalg.norm(pose[:3, :3], axis=0)
    if not np.isfinite(pose).all() or lengths.min() <= 0:
        return pose
    is_scaled = np.ptp(lengths) <= RIGID_TOLERANCE * lengths.mean() < abs(lengths.mean() - 1)
    rigid = pose.copy()
    rigid[:3, :3] /= lengths.mean() if is_scaled else 1.0
    return rigid


def _told_sizes(before: Sequence[View], after: Sequence[View]) -> Iterator[Finding]:
    pairs = [(b, a) for b, a in zip(before, after, strict=True) if b.size != a.size]
    if pairs:
        (first, now), *_ = pairs
        assert first.size is not None and now.size is not None
        yield Finding(
            "scaled-cameras",
            "warning",
            f"{len(pairs)} of {len(before)} photos have not the size that their camera's file"
            f" declares, but its shape: {now.image.name} is {now.size[1]}x{now.size[0]} pixels, not"
            f" {first.size[1]}x{first.size[0]}; took them for the same photos made larger or"
            " smaller, and their cameras with them",
            "restore the photos of that size if they were cut",
            tuple(view.name for view, _ in pairs),
        )


def _told_poses(before: Sequence[View], after: Sequence[View]) -> Iterator[Finding]:
    changed = [
        (view, float(np.linalg.norm(view.world_from_camera[:3, 0])))
        for view, now in zip(before, after, strict=True)
        if not np.array_equal(view.world_from_camera, now.world_from_camera, equal_nan=True)
    ]
    if changed:
        yield Finding(
            "scaled-rotations",
            "warning",
            f"the rotations of {len(changed)} of {len(before)} poses have columns of length"
            f" {changed[0][1]:.4g} and the like, expected 1; divided them by it, and left the"
            f" places of the cameras: {names([view.name for view, _ in changed])}",
            "write poses without scale if the places should have been scaled too",
            tuple(view.name for view, _ in changed),
        )
