"""Whether photos and cameras agree where there are no masks: matched points and epipolar lines.

A point seen at p in one view lies, in another, on the line F p (Hartley and Zisserman 2004, 9.6).
Points are matched by SIFT (Lowe 2004) in photos made small; the distances of matches from their
lines tell how far off the cameras are. The usual mistakes are told as `diagnosis` tells them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, UInt8
from skimage.feature import SIFT, match_descriptors

from neural_sdf.photos.files.findings import Finding
from neural_sdf.photos.files.images import LUMA
from neural_sdf.photos.files.reduction import box_average
from neural_sdf.photos.inspection.choice import least, told
from neural_sdf.photos.inspection.readings import (
    FOCAL,
    Reading,
    Views,
    is_tiny,
    other_sides,
    other_units,
    readings,
)
from neural_sdf.photos.inspection.resized import made_larger
from neural_sdf.photos.inspection.searches import common_factor, left_out

LONGEST = 400  # pixels of a photo's longer side, for this purpose
PAIRS = 12  # of views that are compared, at most twice as many
FEWEST = 12  # matches of a pair that count
FEWEST_PAIRS = 3  # with so many matches, to say anything
RATIO = 0.75  # of the nearest descriptor's distance to the second nearest's
OFF = 2.5  # pixels of the small photos by which a typical match may miss its line
COMPARED = "photos and cameras"
SLACK = 0.05  # pixels by which two readings may differ and yet agree equally well
EXPLAINED = 1 / 3  # of the distance that may remain under the right reading


class Matches(NamedTuple):
    """Points of two views that show the same: (column, row) in the photos as given, [N, 2]."""

    first: int
    second: int
    points: Float64[np.ndarray, "N 2"]
    matched: Float64[np.ndarray, "N 2"]


def diagnose_by_matches(
    photos: Sequence[UInt8[np.ndarray, "_h _w 3"]], views: Views
) -> Iterator[Finding]:
    """What is wrong if matched points miss their lines; a note if there are too few to tell."""
    pairs = find_matches(photos, views)
    factor = max(1.0, max(max(photo.shape) for photo in photos) / LONGEST)
    if len(pairs) < FEWEST_PAIRS:
        yield Finding(
            "few-matches",
            "note",
            f"{len(pairs)} pairs of photos have {FEWEST} or more points in common, expected"
            f" {FEWEST_PAIRS} to judge the poses by",
            "add photos that overlap, or masks",
        )
        return
    distance = line_distance(pairs, views)
    if distance <= OFF * factor:
        return
    yield from _explained(pairs, views, distance, OFF * factor) or [
        Finding(
            "pose-noise",
            "warning",
            f"photos and cameras disagree: points found in two photos miss each other's epipolar"
            f" lines by {distance:.3g} pixels (median), expected {OFF * factor:.2g} or less, and no"
            " usual mistake in axes, order, focal lengths or principal points explains it",
            "see that the cameras are those of these photos, lens distortion included; if so,"
            " estimate the poses anew",
        )
    ]


def _explained(
    pairs: Sequence[Matches], views: Views, distance: float, good: float
) -> list[Finding]:
    """The readings under which the lines are met."""

    def under(other: Views) -> float:
        return line_distance(pairs, other)

    # With all rays of a view nearly one, readings of other kinds would agree by chance.
    tiny = is_tiny(views)
    ways = [other_units(views)] if tiny else _usual(under, views)
    found = least(ways, views, lambda reading: under(reading.apply(views)), SLACK)
    agreeing = []
    for reading in found:
        most = good if reading.code == FOCAL else np.inf
        if under(reading.apply(views)) < min(EXPLAINED * distance, most):
            agreeing.append(reading)
    if agreeing:
        return [told(agreeing, COMPARED)]
    return [left_out(views, COMPARED)] if tiny else []


def _usual(score: Callable[[Views], float], views: Views) -> Iterator[Iterator[Reading]]:
    yield itertools.chain(made_larger(score, views), readings(views))
    yield itertools.chain(other_sides(views), common_factor(score, views))


def find_matches(photos: Sequence[UInt8[np.ndarray, "_h _w 3"]], views: Views) -> list[Matches]:
    """Points in common of views that follow each other in the files, or lie near each other."""
    pairs = _pairs(views)
    needed = sorted({view for pair in pairs for view in pair})
    with ThreadPoolExecutor() as pool:
        found = dict(zip(needed, pool.map(lambda i: _features(photos[i]), needed), strict=True))
    matches = []
    for first, second in pairs:
        (points, described), (others, others_described) = found[first], found[second]
        if min(len(points), len(others)) < FEWEST:
            continue
        index = match_descriptors(described, others_described, cross_check=True, max_ratio=RATIO)
        if len(index) >= FEWEST:
            matches.append(Matches(first, second, points[index[:, 0]], others[index[:, 1]]))
    return matches


def line_distance(pairs: Sequence[Matches], views: Views) -> float:
    """Median distance of matched points from their epipolar lines, in pixels."""
    distances = []
    for first, second, points, matched in pairs:
        F = fundamental(
            views.intrinsics[first],
            views.world_from_camera[first],
            views.intrinsics[second],
            views.world_from_camera[second],
        )
        lines = _homogeneous(points) @ F.T
        across = np.maximum(np.linalg.norm(lines[:, :2], axis=1), 1e-12)
        distances.append(np.abs(np.sum(lines * _homogeneous(matched), axis=1)) / across)
    return float(np.median(np.concatenate(distances)))


def fundamental(
    intrinsics: Float64[np.ndarray, "3 3"],
    world_from_camera: Float64[np.ndarray, "4 4"],
    other_intrinsics: Float64[np.ndarray, "3 3"],
    world_from_other: Float64[np.ndarray, "4 4"],
) -> Float64[np.ndarray, "3 3"]:
    """F with qᵀ F p = 0 for p in the first view and q in the other: K'⁻ᵀ [t]× R K⁻¹."""
    relative = np.linalg.inv(world_from_other) @ world_from_camera
    x, y, z = relative[:3, 3]
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    essential = cross @ relative[:3, :3]
    return np.linalg.inv(other_intrinsics).T @ essential @ np.linalg.inv(intrinsics)


def _pairs(views: Views) -> list[tuple[int, int]]:
    """Neighbours in file order and nearest cameras, evenly chosen."""
    files = np.argsort(views.indices)
    follow = list(zip(files[:-1].tolist(), files[1:].tolist(), strict=True))
    centres = views.world_from_camera[:, :3, 3]
    apart = np.linalg.norm(centres[:, None] - centres, axis=-1)
    apart[apart <= 1e-9 * apart.max()] = np.inf  # itself, and copies
    near = [(i, int(j)) for i, j in enumerate(apart.argmin(axis=1))]
    chosen = []
    for pairs in (follow, near):
        step = max(1, len(pairs) // PAIRS)
        chosen += pairs[::step][:PAIRS]
    return list(dict.fromkeys(tuple(sorted(pair)) for pair in chosen if pair[0] != pair[1]))


def _features(photo: UInt8[np.ndarray, "h w 3"]) -> tuple[np.ndarray, np.ndarray]:
    """(column, row) of SIFT points in the photo's own pixels, and their descriptors."""
    factor = max(1, round(max(photo.shape) / LONGEST))
    grey = box_average(photo, factor) @ LUMA / 255
    sift = SIFT(upsampling=1)
    try:
        sift.detect_and_extract(grey)
    except RuntimeError:  # what SIFT says of a photo without a single point
        return np.empty((0, 2)), np.empty((0, 128))
    points, described = np.asarray(sift.keypoints), np.asarray(sift.descriptors)
    return (points[:, ::-1] + 0.5) * factor, described


def _homogeneous(points: Float64[np.ndarray, "N 2"]) -> Float64[np.ndarray, "N 3"]:
    return np.concatenate([points, np.ones((len(points), 1))], axis=1)
