"""The usual mistakes in camera files, undone: other ways to read the same files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int

from neural_sdf.photos.inspection.outlines import BORDER, border_share

QUARTER = np.array([[0.0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
TURNED = np.array([1.0, -1.0, -1.0, 1.0])  # of a pose's columns: between OpenCV and OpenGL


class Views(NamedTuple):
    """What is compared: views with masks, in any order.

    Attributes:
        names: of the views.
        indices: positions in file order.
        masks: true on the object; none where epipolar lines are compared instead.
        intrinsics: K at the size of the masks.
        world_from_camera: rigid poses.
    """

    names: tuple[str, ...]
    indices: Int[np.ndarray, " V"]
    masks: Sequence[Bool[np.ndarray, "_h _w"]]
    intrinsics: Float64[np.ndarray, "V 3 3"]
    world_from_camera: Float64[np.ndarray, "V 4 4"]


class Reading(NamedTuple):
    """Another way to read the same files, and what it would mean.

    Attributes:
        code: of the finding.
        message: what is then wrong with the files as they are.
        remedy: how to mend it.
        apply: the views under this reading.
    """

    code: str
    message: str
    remedy: str
    apply: Callable[[Views], Views]


def readings(views: Views) -> Iterator[Reading]:
    """Every usual mistake, undone."""
    yield Reading(
        "wrong-axes",
        "the poses have the axes of another convention: with the camera's y and z axes turned,"
        " masks and cameras agree",
        "write poses with OpenGL axes (y up, z backward) in transforms files, with OpenCV axes"
        " (y down, z forward) in all others",
        lambda v: v._replace(world_from_camera=v.world_from_camera * TURNED),
    )
    for turn in (QUARTER, QUARTER.T):
        yield Reading(
            "wrong-axes",
            "the poses have the axes of another convention: with the camera turned by a quarter"
            " about its optical axis, masks and cameras agree",
            "write poses_bounds.npy with the columns down, right, backwards; store photos as the"
            " camera has them, not turned",
            lambda v, turn=turn: v._replace(world_from_camera=v.world_from_camera @ turn),
        )
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
    if views.masks and np.median([border_share(mask) for mask in views.masks]) > BORDER:
        yield Reading(  # a background all round agrees with nearly any cameras
            "inverted-masks",
            "all masks are bright around the object: inverted, masks and cameras agree",
            "set <mask_shows>='background' (or 'object', where it is 'background' now)",
            lambda v: v._replace(masks=[~mask for mask in v.masks]),
        )
    for order, words in _orders(views):
        yield Reading(
            "wrong-order",
            f"photos and poses are in different orders: with the poses {words}, masks and cameras"
            " agree",
            "write the poses in the order of the photos' names, or name the photos in the order of"
            " the poses",
            lambda v, order=order: v._replace(
                intrinsics=v.intrinsics[order], world_from_camera=v.world_from_camera[order]
            ),
        )


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
    yield files[::-1][rank], "turned round"
    for step in (1, -1, 2, -2):
        yield np.roll(files, -step)[rank], f"moved by {step:+d}"
    numbers = [int((re.findall(r"\d+", views.names[i]) or ["0"])[-1]) for i in files]
    counting = np.argsort(numbers, kind="stable")
    lexical = np.argsort([str(n) for n in numbers], kind="stable")
    if (counting != lexical).any():
        by_count = np.argsort(counting)  # numbered 1, 2, ... 10 where the files go 1, 10, 2
        yield files[by_count][rank], "counted 1, 2, 10 and not 1, 10, 2"
        yield files[lexical][rank], "counted 1, 10, 2 and not 1, 2, 10"
