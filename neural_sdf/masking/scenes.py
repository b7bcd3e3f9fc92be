"""A scene with masks that are made from its own photos."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64

from neural_sdf.geometry import Similarity, inverse, transform_points
from neural_sdf.masking.hull_masks import reduced, refine_by_hull, small_views, sphere_masks
from neural_sdf.masking.plain import plain_background
from neural_sdf.masking.score import require_sound, score
from neural_sdf.masking.shadow import without_shadow
from neural_sdf.mistake import Doubt
from neural_sdf.photos.outlines.hull import region_of_interest
from neural_sdf.photos.outlines.region import (
    BY_HULL,
    BY_POINTS,
    FILE,
    FOUND,
    common_view,
)
from neural_sdf.photos.outlines.thing import object_points
from neural_sdf.scenes.frame import in_frame, world_from_camera
from neural_sdf.scenes.scene import Scene, view_masks, view_photos


def mask_by_background(scene: Scene) -> Scene:
    """Masks of what differs from a plain background.

    Raises:
        Mistake: if the background is not plain, nothing lies before it, or the masks are bad.
    """
    return _judged(scene, plain_background(view_photos(scene)), "background")


def mask_by_hull(scene: Scene) -> Scene:
    """Masks on which all views agree, and the colours inside and outside.

    They begin with the masks that the scene has, else with a plain background if there is one, else
    with the region of interest, or what most photos show whole. Sparse points of the object, if
    there are any, are certain.

    Raises:
        Mistake: if the cameras do not look at one place, nothing is left of the object, or the
            masks are bad.
    """
    photos, poses = view_photos(scene), np.asarray(scene.scene_from_camera, np.float64)
    intrinsics = np.asarray(scene.intrinsics, np.float64)
    if scene.source.has_masks:
        rough = view_masks(scene)
    else:
        try:
            rough = plain_background(photos)
        except ValueError:
            rough = _spheres(scene, intrinsics, poses)
    masks = refine_by_hull(photos, rough, intrinsics, poses, _object_points(scene))
    return _judged(scene, masks, "hull")


MASKING = {"background": mask_by_background, "hull": mask_by_hull}


def _spheres(
    scene: Scene, intrinsics: Float64[np.ndarray, "V 3 3"], poses: Float64[np.ndarray, "V 4 4"]
) -> list[Bool[np.ndarray, "_h _w"]]:
    """The region of interest, unless it is larger than what most photos show whole.

    One that was given may fill the photos, which then tell nothing of the colours around it.
    """
    sphere = common_view(intrinsics, poses, np.asarray(scene.sizes))
    if scene.source.region == BY_POINTS or sphere[1] > 1:
        sphere = np.zeros(3), 1.0
    sizes = [(int(height), int(width)) for height, width in scene.sizes]
    return sphere_masks(*sphere, sizes, intrinsics, poses)


def _object_points(scene: Scene) -> Float64[np.ndarray, "N 3"] | None:
    """The object's sparse points in the scene frame; None if the scene has none."""
    if scene.source.points is None:
        return None
    points = object_points(scene.source.points, world_from_camera(scene))
    return np.asarray(transform_points(inverse(scene.world_from_scene), points))


def _judged(scene: Scene, masks: Sequence[Bool[np.ndarray, "_h _w"]], way: str) -> Scene:
    """The scene with masks that were made, if they can be trusted, less the object's shadow."""
    photos, poses = view_photos(scene), np.asarray(scene.scene_from_camera, np.float64)
    intrinsics = np.asarray(scene.intrinsics, np.float64)
    views, factors = small_views(photos, intrinsics, poses)
    whole = not scene.source.has_masks and scene.source.region in FOUND
    require_sound(score(views, reduced(masks, factors)), way, whole=whole)
    bare = without_shadow(photos, masks, intrinsics, poses)
    cut = 1 - sum(int(mask.sum()) for mask in bare) / sum(int(mask.sum()) for mask in masks)
    if cut > 0:
        told = (
            f"{cut:.1%} of the masks is left out as the object's shadow: it has the ground's hue,"
            " is darker, and lies on it"
        )
        remedy = "if it is a part of the object, give a folder of masks"
        warnings.warn(Doubt(told, remedy=remedy), stacklevel=1)
    return with_masks(scene, bare)


def with_masks(scene: Scene, masks: Sequence[Bool[np.ndarray, "_h _w"]]) -> Scene:
    """The scene with other masks, about their hull unless its layout says where the object is."""
    flat = np.concatenate([mask.ravel() for mask in masks])
    masked = scene._replace(mask=flat, source=dataclasses.replace(scene.source, has_masks=True))
    if scene.source.region not in (*FOUND, FILE):
        return masked
    training, poses = slice(int(scene.num_train)), world_from_camera(scene)
    intrinsics = np.asarray(scene.intrinsics, np.float64)
    centre, radius = region_of_interest(masks[training], intrinsics[training], poses[training])
    frame = Similarity(np.array(radius), np.eye(3), centre)
    source = dataclasses.replace(masked.source, region=BY_HULL)
    return in_frame(masked._replace(source=source), frame)
