import numpy as np
import pytest

from neural_sdf.geometry import Similarity
from neural_sdf.scenes import Scene, Source
from tests.scenes.pixels import OFFSETS, SIZES


@pytest.fixture(scope="module")
def mixed_sizes() -> Scene:
    """Photos of different sizes; red is the view, green the row, blue the column."""
    generator = np.random.default_rng(0)
    rgb = [
        (view, row, column)
        for view, (height, width) in enumerate(SIZES)
        for row in range(height)
        for column in range(width)
    ]
    poses = np.tile(np.eye(4, dtype=np.float32), (3, 1, 1))
    poses[:, :3, :3] = np.linalg.qr(generator.normal(size=(3, 3, 3)))[0]
    poses[:, :3, :3] *= np.linalg.det(poses[:, :3, :3])[:, None, None]
    poses[:, :3, 3] = generator.normal(size=(3, 3))
    intrinsics = np.array([[[9.0 + i, 0.5, 3], [0, 8 - i, 2], [0, 0, 1]] for i in range(3)])
    return Scene(
        rgb=np.array(rgb, np.uint8),
        mask=np.arange(53) % 3 == 0,
        offsets=OFFSETS,
        sizes=SIZES,
        intrinsics=intrinsics.astype(np.float32),
        scene_from_camera=poses,
        num_train=np.array(2, np.int32),
        world_from_scene=Similarity(np.array(1.0), np.eye(3), np.zeros(3)),
        source=Source(("a", "b", "c"), (0, 1, 2)),
    )
