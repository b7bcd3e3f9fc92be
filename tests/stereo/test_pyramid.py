"""Photos at several sizes, as a step takes them, and their shapes foretold."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.geometry import Similarity
from neural_sdf.scenes import Scene, Source, view_mask, view_photo
from neural_sdf.stereo import photo_pyramid, pyramid_shapes


@pytest.fixture(scope="module")
def scene() -> Scene:
    """Three photos of two sizes, the last held out, of random colours and masks."""
    sizes = np.array([[12, 16], [17, 9], [12, 16]], np.int32)
    offsets = np.concatenate([[0], np.cumsum(sizes.prod(axis=1))]).astype(np.int32)
    random = np.random.default_rng(0)
    poses = np.stack([np.eye(4, dtype=np.float32)] * 3)
    poses[:, :3, 3] = [[0, 0, -3], [0.6, 0, -3], [0, 0.6, -3]]
    return Scene(
        rgb=random.integers(0, 256, (offsets[-1], 3)).astype(np.uint8),
        mask=random.random(offsets[-1]) < 0.97,
        offsets=offsets,
        sizes=sizes,
        intrinsics=np.stack([20 * np.eye(3, dtype=np.float32)] * 3),
        scene_from_camera=poses,
        num_train=np.array(2, np.int32),
        world_from_scene=Similarity(np.array(1.0), np.eye(3), np.zeros(3)),
        source=Source(("a", "b", "c"), (0, 1, 2)),
    )


def test_shapes_are_known_before_the_photos(scene):
    shapes = pyramid_shapes(len(scene.rgb), 2, 1e9)
    pyramid = photo_pyramid(scene, shapes)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), pyramid) == jax.tree.map(
        lambda x: (x.shape, x.dtype), shapes
    )


def test_each_level_holds_the_means_of_blocks(scene):
    pyramid = photo_pyramid(scene, pyramid_shapes(len(scene.rgb), 2, 1e9))
    np.testing.assert_array_equal(pyramid.blocks, [1, 2, 4])
    for level, block in enumerate([1, 2, 4]):
        for view in range(2):
            height, width = (int(n) // block for n in scene.sizes[view])
            np.testing.assert_array_equal(pyramid.sizes[level, view], [height, width])
            start = int(pyramid.offsets[level, view])
            photo = view_photo(scene, view)
            mask = np.pad(view_mask(scene, view), 1, constant_values=True)
            for row in range(height):
                for column in range(width):
                    rows = slice(row * block, (row + 1) * block)
                    columns = slice(column * block, (column + 1) * block)
                    at = start + row * width + column
                    mean = photo[rows, columns].reshape(-1, 3).mean(axis=0)
                    np.testing.assert_allclose(pyramid.rgba[at, :3], mean, atol=0.51)
                    beside = mask[rows.start : rows.stop + 2, columns.start : columns.stop + 2]
                    assert pyramid.rgba[at, 3] == 255 * beside.all()


def test_photos_are_reduced_where_they_would_take_too_much(scene):
    shapes = pyramid_shapes(len(scene.rgb), 2, 1024)
    assert 4 * len(shapes.rgba) <= 1024
    pyramid = photo_pyramid(scene, shapes)
    np.testing.assert_array_equal(pyramid.blocks, [2, 4, 8])
    whole = photo_pyramid(scene, pyramid_shapes(len(scene.rgb), 2, 1e9))
    at = jnp.array([[6.0, 6.0], [5.0, 7.0]])
    for level in (0, 1):
        reduced, _ = pyramid.sample(jnp.int32(level), jnp.array([0, 1]), at)
        same, _ = whole.sample(jnp.int32(level + 1), jnp.array([0, 1]), at)
        np.testing.assert_array_equal(reduced, same)


def test_sets_of_about_one_size_share_their_shapes():
    assert pyramid_shapes(1_000_000, 40, 1e9) == pyramid_shapes(1_200_000, 50, 1e9)


@pytest.mark.parametrize("num_views", [1, 2])
def test_few_photos_have_few_neighbours(scene, num_views):
    shapes = pyramid_shapes(len(scene.rgb), num_views, 1e9)
    assert shapes.neighbours.shape == (num_views, num_views - 1)
    few = scene._replace(num_train=np.array(num_views, np.int32))
    neighbours = photo_pyramid(few, shapes).neighbours
    assert neighbours.tolist() == {1: [[]], 2: [[1], [0]]}[num_views]
