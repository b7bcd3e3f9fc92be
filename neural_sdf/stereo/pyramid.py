"""Training photos at several sizes, for a step to compare."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.ndimage import binary_erosion

from neural_sdf.machine.memory import power_of_two
from neural_sdf.scenes import Pyramid, Scene, view_masks, view_photos
from neural_sdf.stereo.neighbours import NUM_NEIGHBOURS, nearest_views
from neural_sdf.stereo.reduction import block_means

LEVELS = 3  # each of half the size of the one before
BYTES = 4  # of a pixel and its mask


def pyramid_shapes(num_pixels: int, num_views: int, most_bytes: float) -> Pyramid:
    """Shapes and types of `photo_pyramid`, known before a photo is read.

    Powers of two, so that photo sets of about one size share their compiled step.

    Args:
        num_pixels: of the training photos, or more.
        num_views: how many these are.
        most_bytes: of the pyramid; its first level is a reduced one if need be.
    """
    first = 1
    while (rows := _rows(num_pixels, first)) * BYTES > most_bytes and rows > 1:
        first *= 2
    views, others = power_of_two(num_views), min(NUM_NEIGHBOURS, max(num_views - 1, 0))

    def example() -> Pyramid:
        return Pyramid(
            rgba=jnp.zeros((rows, 4), jnp.uint8),
            offsets=jnp.zeros((LEVELS, views), jnp.int32),
            sizes=jnp.zeros((LEVELS, views, 2), jnp.int32),
            blocks=jnp.zeros(LEVELS, jnp.int32),
            intrinsics=jnp.zeros((views, 3, 3), jnp.float32),
            scene_from_camera=jnp.zeros((views, 4, 4), jnp.float32),
            neighbours=jnp.zeros((views, others), jnp.int32),
        )

    return jax.eval_shape(example)


def photo_pyramid(scene: Scene, shapes: Pyramid) -> Pyramid:
    """The training photos, on the device.

    Args:
        scene: with masks.
        shapes: of `pyramid_shapes` for the scene's photos.
    """
    count = int(scene.num_train)
    photos, masks = view_photos(scene)[:count], view_masks(scene)[:count]
    # Pixels at the edge of a mask show what is behind the object, too.
    masks = [binary_erosion(mask, np.ones((3, 3)), border_value=1) for mask in masks]
    first = 1
    while _rows(sum(mask.size for mask in masks), first) > len(shapes.rgba):
        first *= 2
    blocks = [first * 2**level for level in range(LEVELS)]
    filled: Any = jax.tree.map(lambda shape: np.zeros(shape.shape, shape.dtype), shapes)
    start = 0
    for level, block in enumerate(blocks):
        for view, (photo, mask) in enumerate(zip(photos, masks, strict=True)):
            rgb, alpha = block_means(photo, block), 255 * (block_means(mask, block) == 1)
            end = start + alpha.size
            filled.rgba[start:end] = np.dstack([rgb.round(), alpha]).reshape(-1, 4)
            filled.offsets[level, view], filled.sizes[level, view] = start, alpha.shape
            start = end
    poses = np.asarray(scene.scene_from_camera, np.float64)[:count]
    filled.blocks[:] = blocks
    filled.intrinsics[:count] = scene.intrinsics[:count]
    filled.scene_from_camera[:count] = poses
    filled.neighbours[:count] = nearest_views(poses)[0]
    return jax.tree.map(jnp.asarray, filled)


def _rows(num_pixels: int, first: int) -> int:
    """Pixels that all levels together have, or more."""
    return power_of_two(sum(num_pixels // (first * 2**level) ** 2 for level in range(LEVELS)))
