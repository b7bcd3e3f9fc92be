"""A scene with masks that are made from its own photos."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
from jaxtyping import Bool, Float64

from neural_sdf.geometry import Similarity, inverse, transform_points
from neural_sdf.masking.hull_masks import (
    Outlines,
    reduced,
    refine_by_hull,
    small_views,
    sphere_masks,
)
from neural_sdf.masking.plain import plain_background
from neural_sdf.masking.score import require_sound, score
from neural_sdf.masking.shadow import Bare, without_shadow
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

DOUBTFUL = 0.05  # share of the masks that may be shadow from which on it is told
OUTSIDE = 0.01  # share of the masks outside the region of interest, likewise


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
            rough = _within_region(scene, plain_background(photos))
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
    points = object_points(scene.source.points.places, world_from_camera(scene))
    return np.asarray(transform_points(inverse(scene.world_from_scene), points))


def _judged(scene: Scene, masks: Outlines, way: str) -> Scene:
    """The scene with masks that were made, if they can be trusted, less the object's shadow."""
    photos, poses = view_photos(scene), np.asarray(scene.scene_from_camera, np.float64)
    intrinsics = np.asarray(scene.intrinsics, np.float64)
    inside = _within_region(scene, masks)
    views, factors = small_views(photos, intrinsics, poses)
    whole = not scene.source.has_masks and scene.source.region in FOUND
    require_sound(score(views, reduced(inside, factors)), way, whole=whole)
    bare = without_shadow(photos, inside, intrinsics, poses)
    _tell(scene, masks, inside, bare)
    return with_masks(scene, bare.masks)


def _within_region(scene: Scene, masks: Outlines) -> list[Bool[np.ndarray, "_h _w"]]:
    """Masks without what lies outside the region of interest, if that was given."""
    if scene.source.region in FOUND:
        return list(masks)
    sizes = [(int(height), int(width)) for height, width in scene.sizes]
    poses = np.asarray(scene.scene_from_camera, np.float64)
    intrinsics = np.asarray(scene.intrinsics, np.float64)
    region = sphere_masks(np.zeros(3), 1.0, sizes, intrinsics, poses)
    return [mask & sphere for mask, sphere in zip(masks, region, strict=True)]


def _tell(scene: Scene, made: Outlines, inside: Outlines, bare: Bare) -> None:
    """Warns of what was left out of masks that were made, and of what may be too much."""
    total, within = (sum(int(mask.sum()) for mask in masks) for masks in (made, inside))
    outside = 1 - within / total
    if outside > OUTSIDE:
        told = (
            f"{outside:.0%} of the masks lies outside the region of interest, from"
            f" {scene.source.region}, and is left out"
        )
        remedy = "if the object is larger, mend the region"
        warnings.warn(Doubt(told, remedy=remedy), stacklevel=1)
    if bare.cut > 0:
        told = (
            f"{bare.cut:.1%} of the masks is left out as the object's shadow: it has the ground's"
            " hue, is darker, and lies on it"
        )
        remedy = "look at masks.png: if it is a part of the object, give a folder of masks"
        warnings.warn(Doubt(told, remedy=remedy), stacklevel=1)
    if bare.doubtful > DOUBTFUL:
        told = (
            f"{bare.doubtful:.0%} of the masks has the ground's hue, is darker, and may be the"
            " object's shadow or a part of it: it is left in"
        )
        remedy = "look at masks.png: if it is shadow, give a folder of masks"
        warnings.warn(Doubt(told, remedy=remedy), stacklevel=1)


def with_masks(scene: Scene, masks: Outlines) -> Scene:
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
