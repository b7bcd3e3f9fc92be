"""A scene for the tests of a step: one photo, drawn by NumPy."""

import numpy as np

from neural_sdf.geometry import Similarity
from neural_sdf.scenes import Scene, Source


def photographed_ball() -> Scene:
    """A ball of radius 0.6, even in colour, in one photo of 16 by 16 pixels."""
    size = 16
    intrinsics = np.array([[24.0, 0.0, 8.0], [0.0, 24.0, 8.0], [0.0, 0.0, 1.0]])
    pose = np.eye(4)
    pose[2, 3] = -3.0
    rows, columns = np.divmod(np.arange(size**2), size)
    directions = np.stack([columns + 0.5, rows + 0.5, np.ones(size**2)], axis=-1)
    directions = directions @ np.linalg.inv(intrinsics).T
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    mask = np.linalg.norm(np.cross(directions, pose[:3, 3]), axis=-1) < 0.6
    return Scene(
        rgb=np.where(mask[:, None], [204, 128, 64], 255).astype(np.uint8),
        mask=mask,
        offsets=np.array([0, size**2], np.int32),
        sizes=np.array([[size, size]], np.int32),
        intrinsics=intrinsics[None].astype(np.float32),
        scene_from_camera=pose[None].astype(np.float32),
        num_train=np.array(1, np.int32),
        world_from_scene=Similarity(np.array(1.0), np.eye(3), np.zeros(3)),
        source=Source(("photo",), (0,)),
    )
