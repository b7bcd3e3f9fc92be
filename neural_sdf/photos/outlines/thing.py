"""Which sparse points are the object's: not those of what it stands on, nor of the room.

A table is a plane that the cameras look down on, with many points in it and next to none below, as
no surface of the object has it (below its top is the object). Of the points above, those that hang
together about the place where all cameras look are the object's.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64
from scipy import ndimage

from neural_sdf.photos.outlines.hull import viewed_place

WITHIN = 0.8  # of the cameras' distance from the viewed place: where points are looked at
FEWEST = 10  # points that tell anything
# Lengths as shares of the cameras' distance:
FLAT = 0.01  # of points in a plane from it
CUBE = 0.04  # side of a cube: points hang together in neighbouring ones
CLOSE = 0.3  # from the viewed place, where points count most
CLEAR = 2.0  # times as far from a plane a point surely is not in it
MOST = 512  # points by which a table is looked for
TRIES = 16384  # planes through three points: enough where one point of fifteen is on the table
BELOW = 3.0  # points in the plane that one below it outweighs
LEAST = 0.03  # share of the points that a table has after that
OVER = 0.9  # share of the cameras that are above a table
WIDE = 0.4  # share of a table's points that are further out than nine tenths of the object's
FITS = 3  # of a plane to the points within it
REST = 0.1  # share of the points above it, at least: else it is the object that is flat
STRAY = 5e-4  # share of the points that a cube has if they are strays, at most
PART = 0.01  # of the points that count: what is no part of the object


class Plane(NamedTuple):
    """Where normal · x = height; the normal, of unit length, points to the cameras."""

    normal: Float64[np.ndarray, "3"]
    height: float


def object_points(
    points: Float64[np.ndarray, "N 3"], world_from_camera: Float64[np.ndarray, "V 4 4"]
) -> Float64[np.ndarray, "n 3"]:
    """The points of the object; none where there are too few to tell.

    Args:
        points: in world units, as structure from motion leaves them.
        world_from_camera: rigid OpenCV poses.

    Raises:
        DataError: if the cameras do not look at one place.
    """
    middle, distance = viewed_place(world_from_camera)
    finite = points[np.isfinite(points).all(axis=1)]
    near = finite[np.linalg.norm(finite - middle, axis=1) < WITHIN * distance]
    if len(near) < FEWEST:
        return near[:0]
    thickness = FLAT * distance
    plane = table(near, world_from_camera[:, :3, 3], thickness)
    if plane is not None:
        above = near[near @ plane.normal > plane.height + CLEAR * thickness]
        thing = above[_together(above, middle, distance)]
        if len(thing) >= FEWEST and _is_wide(near, plane, thickness, thing):
            return thing
    return near[_together(near, middle, distance)]


def table(
    points: Float64[np.ndarray, "N 3"], cameras: Float64[np.ndarray, "V 3"], thickness: float
) -> Plane | None:
    """What the object stands on; None where no plane is like a table.

    The plane, of many through three points each, that has the most points, less those below it
    (Fischler and Bolles 1981).

    Args:
        points: of object and table.
        cameras: where they are.
        thickness: half of it, of what counts as the plane.
    """
    rng = np.random.default_rng(0)
    some = points[rng.permutation(len(points))[:MOST]]
    one, two, three = some[rng.integers(len(some), size=(3, TRIES))]
    normals = np.cross(two - one, three - one)
    lengths = np.linalg.norm(normals, axis=1)
    spread = lengths > thickness**2
    normals = normals[spread] / lengths[spread, None]
    heights = np.sum(normals * one[spread], axis=1)
    sides = np.sign(np.median(cameras @ normals.T - heights, axis=0))
    normals, heights = normals * sides[:, None], heights * sides
    above = some @ normals.T - heights
    score = (np.abs(above) < thickness).mean(axis=0) - BELOW * (above < -thickness).mean(axis=0)
    score[(cameras @ normals.T > heights).mean(axis=0) < OVER] = -1
    score[(above > thickness).mean(axis=0) < REST] = -1
    if score.max(initial=-1) < LEAST:
        return None
    best = int(np.argmax(score))
    return _fitted(points, Plane(normals[best], float(heights[best])), thickness)


def _fitted(points: Float64[np.ndarray, "N 3"], plane: Plane, thickness: float) -> Plane:
    """The plane of least squares of the points within it, which may then be others."""
    for _ in range(FITS):
        within = points[np.abs(points @ plane.normal - plane.height) < thickness]
        middle = within.mean(axis=0)
        normal = np.linalg.svd((within - middle).T @ (within - middle))[2][2]
        normal = normal if normal @ plane.normal > 0 else -normal
        plane = Plane(normal, float(middle @ normal))
    return plane


def _is_wide(
    points: Float64[np.ndarray, "N 3"],
    plane: Plane,
    thickness: float,
    thing: Float64[np.ndarray, "n 3"],
) -> bool:
    """Whether many of the plane's points are further out than the object's, else it is a side."""
    middle = np.median(thing, axis=0)
    within = points[np.abs(points @ plane.normal - plane.height) < thickness]

    def out(some: Float64[np.ndarray, "_n 3"]) -> Float64[np.ndarray, " _n"]:
        along = (some - middle) @ plane.normal
        return np.linalg.norm(some - middle - along[:, None] * plane.normal, axis=1)

    return bool((out(within) > np.quantile(out(thing), 0.9)).mean() > WIDE)


def _together(
    points: Float64[np.ndarray, "N 3"], middle: Float64[np.ndarray, "3"], distance: float
) -> Bool[np.ndarray, " N"]:
    """The points that hang together about the middle, and parts as near to them as they are wide.

    Points hang together that lie in one cube of a grid or in neighbouring ones, where a cube has
    more than a few.
    """
    if not len(points):
        return np.zeros(0, bool)
    cubes = tuple(((points - points.min(axis=0)) / (CUBE * distance)).astype(int).T)
    counts = np.zeros([side.max() + 1 for side in cubes], int)
    np.add.at(counts, cubes, 1)
    parts = np.empty(counts.shape, np.int32)
    ndimage.label(counts > STRAY * len(points), np.ones((3, 3, 3)), output=parts)
    part = parts[cubes]
    weights = np.exp(-np.sum((points - middle) ** 2, axis=1) / (CLOSE * distance) ** 2)
    shares = np.bincount(part, weights) / weights.sum()
    shares[0] = 0.0  # strays
    main = points[part == np.argmax(shares)]
    centre = np.median(main, axis=0)
    reach = 2 * np.quantile(np.linalg.norm(main - centre, axis=1), 0.95)
    away = np.bincount(part, np.linalg.norm(points - centre, axis=1))
    near = away <= reach * np.bincount(part)
    return ((shares >= PART) & near)[part]
