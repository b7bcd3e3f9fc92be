"""What structure from motion knows of the object: the points of it that lie on nothing else."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from neural_sdf.geometry import inverse, project, transform_points
from neural_sdf.scenes.scene import Scene, view_mask

FEWEST_VIEWS = 2  # that a point must lie in
SHARPEST = 0.25  # standard error, pixels, below which no point is believed to be
ON_OBJECT = 0.95  # share of the photos it lies in whose masks must say that it is the object's


class ObjectPoints(NamedTuple):
    """Sparse points of the object.

    Attributes:
        places: scene frame, [N, 3].
        widths: of the photos' pixels at each, the median, scene units, [N].
        weights: how much each counts, 1 in the mean, [N].
    """

    places: Float64[np.ndarray, "N 3"]
    widths: Float64[np.ndarray, " N"]
    weights: Float64[np.ndarray, " N"]


def object_points(scene: Scene) -> ObjectPoints:
    """The scene's sparse points that are of the object.

    Those within the region of interest that the masks of (nearly) all training photos they are in
    say to be the object's: what stands behind it is so left out, and what does before it.
    They weigh by the inverse variance that photos give them, never better than `SHARPEST`.
    """
    if scene.source.points is None:
        return ObjectPoints(np.zeros((0, 3)), np.zeros(0), np.zeros(0))
    places, errors = scene.source.points
    points = np.asarray(transform_points(inverse(scene.world_from_scene), places))
    within = np.linalg.norm(points, axis=-1) < 1
    points, errors = points[within], errors[within]
    count = int(scene.num_train)
    sizes = np.full((count, len(points)), np.nan)
    on_object = np.zeros((count, len(points)), bool)
    for view in range(count):
        mask, K = view_mask(scene, view), np.asarray(scene.intrinsics[view], np.float64)
        pose = np.asarray(scene.scene_from_camera[view], np.float64)
        image, depth = (np.asarray(x) for x in project(K, pose, points))
        inside = (depth > 0) & (image >= 0).all(-1) & (image < mask.shape[::-1]).all(-1)
        column, row = image[inside].astype(int).T
        sizes[view, inside] = depth[inside] / np.sqrt(K[0, 0] * K[1, 1])
        on_object[view, inside] = mask[row, column]
    shown = np.isfinite(sizes).sum(axis=0)
    kept = (shown >= FEWEST_VIEWS) & (on_object.sum(axis=0) >= ON_OBJECT * shown)
    return ObjectPoints(points[kept], np.nanmedian(sizes[:, kept], axis=0), _weights(errors[kept]))


def no_points() -> ObjectPoints:
    """Of photos of which none are known, or of no use."""
    return ObjectPoints(np.zeros((1, 3)), np.zeros(1), np.zeros(1))


def _weights(errors: Float64[np.ndarray, " N"]) -> Float64[np.ndarray, " N"]:
    """1 in the mean, and for points of no known error."""
    precise, known = 1 / (SHARPEST**2 + errors**2), np.isfinite(errors)
    return np.where(known, precise / precise[known].mean(), 1.0) if known.any() else known + 1.0
