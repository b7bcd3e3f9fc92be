"""Poses between the photos' own world and the scene frame, where the region is the unit sphere."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float64

from neural_sdf.geometry import Similarity, inverse, transform_points
from neural_sdf.scenes.scene import Scene


def normalise(
    world_from_camera: Float64[np.ndarray, "V 4 4"], world_from_scene: Similarity
) -> Float64[np.ndarray, "V 4 4"]:
    """Rigid poses in the scene frame: positions shrink with the scene, cameras do not."""
    poses = world_from_camera.copy()
    poses[:, :3, :3] = np.asarray(world_from_scene.rotation).T @ poses[:, :3, :3]
    poses[:, :3, 3] = np.asarray(transform_points(inverse(world_from_scene), poses[:, :3, 3]))
    return poses


def world_from_camera(scene: Scene) -> Float64[np.ndarray, "V 4 4"]:
    """Rigid OpenCV poses of a scene's views in the photos' own world; undoes `normalise`."""
    frame = Similarity(*(np.asarray(part, np.float64) for part in scene.world_from_scene))
    poses = np.array(scene.scene_from_camera, np.float64)
    poses[:, :3, :3] = frame.rotation @ poses[:, :3, :3]
    poses[:, :3, 3] = transform_points(frame, poses[:, :3, 3])
    return poses


def in_frame(scene: Scene, world_from_scene: Similarity) -> Scene:
    """The same cameras in the same world, with another place as the unit sphere."""
    poses = normalise(world_from_camera(scene), world_from_scene)
    return scene._replace(scene_from_camera=poses, world_from_scene=world_from_scene)


def in_scene_frame(scene: Scene) -> Scene:
    """The scene with its own frame as the world: cameras about the unit sphere."""
    source, frame = scene.source, scene.world_from_scene
    if source.points is not None:
        places = np.asarray(transform_points(inverse(frame), source.points.places), np.float64)
        source = dataclasses.replace(source, points=source.points._replace(places=places))
    own = Similarity(np.array(1.0), np.eye(3), np.zeros(3))
    return scene._replace(world_from_scene=own, source=source)
