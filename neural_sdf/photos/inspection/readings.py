"""The usual mistakes in camera files, undone: other ways to read the same files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int

from neural_sdf.photos.inspection.outlines import BORDER, border_share

QUARTER = np.array([[0.0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
FOCAL = "wrong-focal-length"  # the finding of every mistake in focal lengths
LEAST_CHANGE = 0.04  # of a focal length or side: less is no other reading
TINY = 0.1  # focal length over the longer side; a photo 157 degrees wide
TURNED = np.array([1.0, -1.0, -1.0, 1.0])  # of a pose's columns: between OpenCV and OpenGL


class Views(NamedTuple):
    """What is compared: views with masks, in any order.

    Attributes:
        names: of the views.
        indices: positions in file order.
        masks: true on the object; none where epipolar lines are compared instead.
        intrinsics: K at the size of the masks.
        world_from_camera: rigid poses.
        sizes: (height, width) of the photos that K is of.
        enlarged: what K was multiplied by, since the photos have another size than their cameras
            declare; None where the cameras are as written.
    """

    names: tuple[str, ...]
    indices: Int[np.ndarray, " V"]
    masks: Sequence[Bool[np.ndarray, "_h _w"]]
    intrinsics: Float64[np.ndarray, "V 3 3"]
    world_from_camera: Float64[np.ndarray, "V 4 4"]
    sizes: Int[np.ndarray, "V 2"]
    enlarged: Float64[np.ndarray, " V"] | None = None


class Reading(NamedTuple):
    """Another way to read the same files, and what it would mean.

    Attributes:
        code: of the finding.
        message: what is then wrong with the files as they are.
        remedy: how to mend it.
        apply: the views under this reading.
        is_fitted: whether it has a number that was chosen for them to agree.
    """

    code: str
    message: str
    remedy: str
    apply: Callable[[Views], Views]
    is_fitted: bool = False


def readings(views: Views) -> Iterator[Reading]:
    """Every usual mistake, undone; those in focal lengths alone are in `other_sides`."""
    yield Reading(
        "wrong-axes",
        "the poses have the axes of another convention: with the camera's y and z axes turned,"
        " masks and cameras agree",
        "write poses with OpenGL axes (y up, z backward) in transforms files, with OpenCV axes"
        " (y down, z forward) in all others",
        lambda v: v._replace(world_from_camera=v.world_from_camera * TURNED),
    )
    yield from _turned(views)
    for axes in (np.ones(4), TURNED):  # a file with OpenGL axes is inverted in those
        yield Reading(
            "inverted-poses",
            "the poses are inverted: read as their inverses, masks and cameras agree",
            "write camera to world in transforms files and world to camera in COLMAP and projection"
            " files",
            lambda v, axes=axes: v._replace(
                world_from_camera=np.linalg.inv(v.world_from_camera * axes) * axes
            ),
        )
        yield Reading(
            "inverted-poses",
            "the rotations are transposed: with them turned back, masks and cameras agree",
            "transpose the rotations of the poses",
            lambda v, axes=axes: v._replace(
                world_from_camera=_transposed(v.world_from_camera * axes) * axes
            ),
        )
    yield Reading(
        "swapped-focal-lengths",
        "fx and fy are exchanged: with them turned round, masks and cameras agree better",
        "exchange fx and fy in the camera file",
        lambda v: v._replace(intrinsics=_exchanged(v.intrinsics)),
    )
    yield from _other_centres(views)
    if views.masks and np.median([border_share(mask) for mask in views.masks]) > BORDER:
        yield Reading(  # a background all round agrees with nearly any cameras
            "inverted-masks",
            "all masks are bright around the object: inverted, masks and cameras agree",
            "set <mask_shows>='background' (or 'object', where it is 'background' now)",
            lambda v: v._replace(masks=[~mask for mask in v.masks]),
        )
    ordered, first = "photos", ""
    if views.masks:  # of which nobody can tell whether they or the poses are out of order
        ordered, first = "masks", "see that each mask is that of its own photo; if so, "
    for order, words in _orders(views):
        yield Reading(
            "wrong-order",
            f"{ordered} and poses are in different orders: {words}, and put in one order, masks and"
            " cameras agree",
            f"{first}write the poses in the order of the photos' names, or name the photos in the"
            " order of the poses",
            lambda v, order=order: v._replace(
                intrinsics=v.intrinsics[order], world_from_camera=v.world_from_camera[order]
            ),
        )
    if views.masks:
        yield Reading(
            "mirrored-photos",
            "the photos are mirrored: with photos and masks turned round, left to right, masks and"
            " cameras agree",
            "mirror photos and masks back, to what they were when the cameras were found",
            lambda v: v._replace(masks=[mask[:, ::-1] for mask in v.masks]),
        )


def zoomed(views: Views, factor: float | Float64[np.ndarray, " V"]) -> Views:
    """The views with all focal lengths, or each view's, multiplied."""
    intrinsics = views.intrinsics.copy()
    intrinsics[:, [0, 1], [0, 1]] *= np.broadcast_to(factor, len(intrinsics))[:, None]
    return views._replace(intrinsics=intrinsics)


def _turned(views: Views) -> Iterator[Reading]:
    """Cameras turned about their optical axes, by themselves or with photos that were."""
    half = QUARTER @ QUARTER
    for turn, words in ((QUARTER, "a quarter"), (QUARTER.T, "a quarter"), (half, "a half")):
        with_photo = Reading(
            "wrong-axes",
            f"the photos are turned by {words}: with the cameras turned as they are, principal"
            " points too, masks and cameras agree",
            "turn photos and masks back, to what they were when the cameras were found",
            lambda v, turn=turn: _with_photo(v, turn),
        )
        alone = Reading(
            "wrong-axes",
            f"the poses have the axes of another convention: with the camera turned by {words}"
            " about its optical axis, masks and cameras agree",
            "write poses_bounds.npy with the columns down, right, backwards; store photos as the"
            " camera has them, not turned",
            lambda v, turn=turn: v._replace(world_from_camera=v.world_from_camera @ turn),
        )
        # With the principal point in the middle the two are one: the likelier is told.
        yield from (with_photo, alone) if turn is half else (alone, with_photo)


def _with_photo(views: Views, turn: Float64[np.ndarray, "4 4"]) -> Views:
    """Cameras of photos turned about their middles: x to turn⁻¹ x, in pixels as in the camera."""
    back = turn[:3, :3].T
    sides = views.sizes[:, ::-1]
    middle = np.concatenate([sides / 2, np.ones((len(sides), 1))], axis=1)
    # K of the photo as it was, with its middle as the origin; its sides may be exchanged.
    before = np.abs(middle @ back.T)
    intrinsics = views.intrinsics.copy()
    intrinsics[:, :2, 2] -= before[:, :2]
    intrinsics = back @ intrinsics @ turn[:3, :3]
    intrinsics[:, :2, 2] += middle[:, :2]
    return views._replace(intrinsics=intrinsics, world_from_camera=views.world_from_camera @ turn)


def other_sides(views: Views) -> Iterator[Reading]:
    """Focal lengths computed from an angle of view and the side that it does not belong to."""
    width = views.sizes[:, 1]
    for side, length in (("longer", views.sizes.max(axis=1)), ("shorter", views.sizes.min(axis=1))):
        for factor, words in (
            (
                length / width,
                f"that of the {side} side over the width: they come out so from an angle along the"
                f" {side} side that is taken for camera_angle_x",
            ),
            (
                width / length,
                f"that of the width over the {side} side: they come out so from an angle along the"
                " width that is taken for the other's",
            ),
        ):
            off = factor[np.abs(np.log(factor)) > LEAST_CHANGE]
            if not len(off):
                continue
            each = "" if len(off) == len(factor) else f" in {len(off)} of {len(factor)} views"
            yield Reading(
                FOCAL,
                f"the focal lengths are too {'short' if off[0] > 1 else 'long'}: multiplied by"
                f" {np.median(off):.3g}{each}, masks and cameras agree; the ratio is {words}",
                "multiply the focal lengths; or, if the file has camera_angle_x instead of them,"
                " write it along the width: 2 atan(width / 2 / focal length)",
                lambda v, factor=factor: zoomed(v, factor),
            )


def other_units(views: Views) -> Iterator[Reading]:
    """K in shares of the photo's sides and not in pixels."""
    sides = views.sizes[:, ::-1].astype(np.float64)
    for scale, shift, words in (
        (sides, 0 * sides, "of width and height"),
        (sides[:, [0, 0]], 0 * sides, "of the width"),
        (sides / 2, sides / 2, "of half the sides, from -1 to 1"),
    ):
        yield Reading(
            FOCAL,
            f"the intrinsics are not in pixels: taken as shares {words}, masks and cameras agree",
            "write K in pixels",
            lambda v, scale=scale, shift=shift: v._replace(
                intrinsics=scaled(v.intrinsics, scale, shift)
            ),
        )


def is_tiny(views: Views) -> bool:
    """Whether focal lengths are far below what a pinhole camera has: K is likely left out."""
    shares = views.intrinsics[:, [0, 1], [0, 1]].max(axis=1) / views.sizes.max(axis=1)
    return bool(np.median(shares) < TINY)


def _other_centres(views: Views) -> Iterator[Reading]:
    """Principal points off the middle, counted from another side or left out."""
    middle = views.sizes[:, ::-1] / 2
    aside = views.intrinsics[:, :2, 2] - middle
    if np.median(np.abs(aside).max(axis=1) / middle.max(axis=1)) < LEAST_CHANGE / 2:
        return
    for moved, words in (
        (0 * aside, "in the middle of the photo"),
        (aside * [1, -1], "with cy counted from the other side"),
        (aside * [-1, 1], "with cx counted from the other side"),
        (-aside, "with cx and cy counted from the other sides"),
        (aside[:, ::-1], "with their distances from the middle exchanged"),
        (views.intrinsics[:, [1, 0], 2] - middle, "with cx and cy exchanged"),
    ):
        yield Reading(
            "wrong-principal-point",
            f"the principal points are wrong: {words}, masks and cameras agree",
            "mend cx and cy in the camera file, in pixels from the photo's upper left corner",
            lambda v, place=middle + moved: v._replace(intrinsics=_centred(v.intrinsics, place)),
        )


def _centred(
    intrinsics: Float64[np.ndarray, "V 3 3"], centres: Float64[np.ndarray, "V 2"]
) -> Float64[np.ndarray, "V 3 3"]:
    changed = intrinsics.copy()
    changed[:, :2, 2] = centres
    return changed


def scaled(
    intrinsics: Float64[np.ndarray, "V 3 3"],
    scale: Float64[np.ndarray, "V 2"],
    shift: Float64[np.ndarray, "*V 2"],
) -> Float64[np.ndarray, "V 3 3"]:
    """K of the pixels (x, y) · scale + shift."""
    changed = intrinsics.copy()
    changed[:, :2] *= scale[:, :, None]
    changed[:, :2, 2] += shift
    return changed


def _transposed(poses: Float64[np.ndarray, "V 4 4"]) -> Float64[np.ndarray, "V 4 4"]:
    turned = poses.copy()
    turned[:, :3, :3] = poses[:, :3, :3].mT
    return turned


def _exchanged(intrinsics: Float64[np.ndarray, "V 3 3"]) -> Float64[np.ndarray, "V 3 3"]:
    swapped = intrinsics.copy()
    swapped[:, [0, 1], [0, 1]] = intrinsics[:, [1, 0], [1, 0]]
    return swapped


def _orders(views: Views) -> Iterator[tuple[np.ndarray, str]]:
    """Other orders of the poses, as positions in `views`, with words for them."""
    files = np.argsort(views.indices)  # position of each file
    rank = np.argsort(files)
    yield files[::-1][rank], "one is the other turned round"
    for step in (1, -1, 2, -2):
        yield np.roll(files, -step)[rank], f"one is the other moved by {abs(step)}"
    numbers = [int((re.findall(r"\d+", views.names[i]) or ["0"])[-1]) for i in files]
    counting = np.argsort(numbers, kind="stable")
    lexical = np.argsort([str(n) for n in numbers], kind="stable")
    if (counting != lexical).any():
        by_count = np.argsort(counting)  # numbered 1, 2, ... 10 where the files go 1, 10, 2
        for order in (by_count, lexical):
            yield files[order][rank], "one goes 1, 2, 10 and the other 1, 10, 2"
