"""Where the object is, from cameras and masks: the region of interest of a set that names none.

The visual hull (Laurentini 1994) is what projects into every mask. It is carved out of a grid of
points, first in a cube about the place all cameras look at, then in the box of what was left.
A point outside a photo is unknown there, not background, since objects are cut off at borders; and
a few dissenting masks are overruled, since masks are not certain to the pixel; a few more where one
wrong mask would leave nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64

from neural_sdf.geometry import coordinates
from neural_sdf.photos.files.findings import DataError, Finding
from neural_sdf.photos.outlines.growth import LENIENT
from neural_sdf.photos.outlines.shown import shown_pixels

GRID = 48  # points a side
PASSES = 3
DISSENT = 0.05  # share of the photos showing a point that may call it background
DISSENTS = (DISSENT, 0.1, LENIENT)  # tried in turn where nothing is left
QUORUM = 0.4  # share of all photos that must show a point for it to count as seen
FEWEST = 4  # photos that must, where the quorum is less
MAJORITY = 0.5  # share of all photos that is enough, however few
MARGIN = 1.1  # of the region about the hull; the object then fills 0.9 of the unit sphere
MEETING = 0.01  # least mean squared sine between the optical axes and any one direction
MEND = "set <centre> and <radius>"
AXES = "expected poses with OpenGL axes in transforms files, with OpenCV axes in all others"


def region_of_interest(
    masks: Sequence[Bool[np.ndarray, "_h _w"]],
    intrinsics: Float64[np.ndarray, "V 3 3"],
    world_from_camera: Float64[np.ndarray, "V 4 4"],
) -> tuple[Float64[np.ndarray, "3"], float]:
    """Centre and radius, in world units, of a sphere that holds the masks' visual hull.

    Args:
        masks: true on the object, one for each view.
        intrinsics: K at the size of the masks, half-pixel centres.
        world_from_camera: rigid OpenCV poses.

    Raises:
        DataError: if the cameras do not look at one place, or nothing is left of the hull.
    """
    middle, distance = viewed_place(world_from_camera)
    views = masks, intrinsics, world_from_camera
    for dissent in DISSENTS:
        hull, spacing = _hull(middle, distance, dissent, *views)
        if len(hull):
            centre = (hull.min(axis=0) + hull.max(axis=0)) / 2
            reach = np.linalg.norm(hull - centre, axis=1).max() + np.linalg.norm(spacing) / 2
            return centre, float(MARGIN * reach)
    raise _unfound(
        "empty-hull",
        f"no point within {distance:.4g} of ({coordinates(middle, distance)}), where the cameras"
        f" look, is on the object in nearly all of the {len(masks)} masks; expected masks that are"
        f" bright on the object, each that of its own photo; {AXES}",
        f"mend them, or {MEND}",
    )


def _hull(
    middle: Float64[np.ndarray, "3"],
    distance: float,
    dissent: float,
    masks: Sequence[Bool[np.ndarray, "_h _w"]],
    intrinsics: Float64[np.ndarray, "V 3 3"],
    world_from_camera: Float64[np.ndarray, "V 4 4"],
) -> tuple[Float64[np.ndarray, "N 3"], Float64[np.ndarray, "3"]]:
    """Cell centres of the hull, none if it is empty, and the size of a cell."""
    lower, upper = middle - distance, middle + distance
    hull, spacing = np.zeros((0, 3)), np.zeros(3)
    for _ in range(PASSES):
        cells, spacing = grid(lower, upper)
        hull = cells[carve(cells, masks, intrinsics, world_from_camera, dissent)]
        if not len(hull):
            break
        lower, upper = hull.min(axis=0) - 1.5 * spacing, hull.max(axis=0) + 1.5 * spacing
    return hull, spacing


def viewed_place(
    world_from_camera: Float64[np.ndarray, "V 4 4"],
) -> tuple[Float64[np.ndarray, "3"], float]:
    """The point nearest to all optical axes, and the median distance of the cameras from it.

    The sum of squared distances to the lines c + s d is least where Σ (I − d dᵀ)(x − c) = 0.

    Raises:
        DataError: if the axes are nearly parallel, or meet behind most cameras.
    """
    axes, centres = world_from_camera[:, :3, 2], world_from_camera[:, :3, 3]
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    normal = across.mean(axis=0)
    least = np.linalg.eigvalsh(normal)[0]
    if least < MEETING:
        raise _unfound(
            "parallel-cameras",
            f"the {len(axes)} training cameras look in nearly the same direction (mean squared sine"
            f" {least:.2g}, expected {MEETING} or more), so that their views do not meet in one"
            " place",
            f"add views from other sides, or {MEND}",
        )
    middle = np.linalg.solve(normal, np.einsum("vij,vj->i", across, centres) / len(axes))
    distance = float(np.median(np.linalg.norm(middle - centres, axis=1)))
    behind = np.sum((middle - centres) * axes, axis=1) <= 0
    if behind.mean() > 0.5:
        raise _unfound(
            "region-behind-cameras",
            f"the optical axes meet behind {behind.sum()} of {len(axes)} cameras, at"
            f" ({coordinates(middle, distance)}); {AXES}",
            f"turn the y and z axes of the poses, or {MEND}",
        )
    return middle, distance


def _unfound(code: str, message: str, remedy: str) -> DataError:
    return DataError(Finding(code, "error", message, remedy))


def carve(
    points: Float64[np.ndarray, "N 3"],
    masks: Sequence[Bool[np.ndarray, "_h _w"]],
    intrinsics: Float64[np.ndarray, "V 3 3"],
    world_from_camera: Float64[np.ndarray, "V 4 4"],
    dissent: float = DISSENT,
) -> Bool[np.ndarray, " N"]:
    """Which points enough photos show, all but a share of them on the object."""
    shown, background = np.zeros(len(points), np.int32), np.zeros(len(points), np.int32)
    for mask, K, pose in zip(masks, intrinsics, world_from_camera, strict=True):
        image = K @ pose[:3, :3].T @ (points - pose[:3, 3]).T
        inside, row, column = shown_pixels(image, mask.shape)
        shown += inside
        background += inside & ~mask[row, column]
    return (shown >= enough_photos(len(masks))) & (background <= dissent * shown)


def enough_photos(count: int) -> float:
    """How many of so many photos must show a point for it to count as seen.

    Photos that each cut the object off show its ends less often than its middle.
    """
    return max(1.0, min(MAJORITY * count, max(QUORUM * count, FEWEST)))


def grid(
    lower: Float64[np.ndarray, "3"], upper: Float64[np.ndarray, "3"]
) -> tuple[Float64[np.ndarray, "N 3"], Float64[np.ndarray, "3"]]:
    """Cell centres of a box, and the size of a cell."""
    spacing = (upper - lower) / GRID
    steps = (np.arange(GRID) + 0.5)[:, None] * spacing + lower
    return np.stack(np.meshgrid(*steps.T, indexing="ij"), axis=-1).reshape(-1, 3), spacing
