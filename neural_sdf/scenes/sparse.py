"""What structure from motion knows of the object: the points of it that lie on nothing else."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from neural_sdf.geometry import inverse, project, transform_points
from neural_sdf.scenes.scene import Scene, view_mask

FEWEST_VIEWS = 2  # that a point must lie in
ON_OBJECT = 0.95  # share of the photos it lies in whose masks must say that it is the object's


def object_points(scene: Scene) -> tuple[Float64[np.ndarray, "N 3"], Float64[np.ndarray, " N"]]:
    """The scene's sparse points that are of the object, and how large a pixel is at each.

    Those within the region of interest that the masks of (nearly) all training photos they are in
    say to be the object's: what stands behind it is so left out, and what does before it.

    Returns:
        points: scene frame.
        pixels: width there of the photos' pixels, the median, scene units.
    """
    if scene.source.points is None:
        return np.zeros((0, 3)), np.zeros(0)
    points = np.asarray(transform_points(inverse(scene.world_from_scene), scene.source.points))
    points = points[np.linalg.norm(points, axis=-1) < 1]
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
    return points[kept], np.nanmedian(sizes[:, kept], axis=0)
