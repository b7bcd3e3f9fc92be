"""A scene with masks that are made from its own photos."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from neural_sdf.geometry import Similarity
from neural_sdf.masking.hull_masks import refine_by_hull, sphere_masks
from neural_sdf.masking.plain import plain_background
from neural_sdf.photos.outlines.hull import region_of_interest
from neural_sdf.photos.outlines.region import BY_HULL, FILE, FOUND, common_view
from neural_sdf.scenes.frame import in_frame, world_from_camera
from neural_sdf.scenes.scene import Scene, view_masks, view_photos


def mask_by_background(scene: Scene) -> Scene:
    """Masks of what differs from a plain background.

    Raises:
        ValueError: if the background is not plain, or nothing lies before it.
    """
    return with_masks(scene, plain_background(view_photos(scene)))


def mask_by_hull(scene: Scene) -> Scene:
    """Masks on which all views agree, and the colours inside and outside.

    They begin with the masks that the scene has, else with a plain background if there is one, else
    with the sphere that most photos show whole.

    Raises:
        ValueError: if the cameras do not look at one place, or nothing is left of the object.
    """
    photos, poses = view_photos(scene), np.asarray(scene.scene_from_camera, np.float64)
    intrinsics = np.asarray(scene.intrinsics, np.float64)
    if scene.source.has_masks:
        rough = view_masks(scene)
    else:
        try:
            rough = plain_background(photos)
        except ValueError:
            sphere = common_view(intrinsics, poses, np.asarray(scene.sizes))
            rough = sphere_masks(*sphere, [p.shape[:2] for p in photos], intrinsics, poses)
    return with_masks(scene, refine_by_hull(photos, rough, intrinsics, poses))


MASKING = {"background": mask_by_background, "hull": mask_by_hull}


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
