"""What a training step sees of the photos, and the chance that chose it."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Int, Key, UInt8, UInt32

from neural_sdf.scenes.depths import Depths, unknown_depths
from neural_sdf.scenes.scene import Scene
from neural_sdf.scenes.sparse import ObjectPoints, no_points

EVERY = 8  # of the points of a batch is one of the object's sparse ones


class Batch(NamedTuple):
    """Pixels with their cameras, and all else that is random in a step: a function of (seed, step).

    There are no rays yet, so that a gradient can reach a camera. Every leaf is laid out along its
    first axis, so that a batch is shared out among devices by cutting it there.

    Attributes:
        view: position of the photo in its scene, [N].
        pixels: image coordinates (column, row) of the pixels' centres, the first at 0.5, [N, 2].
        intrinsics: K of the photo, half-pixel centres, [N, 3, 3].
        scene_from_camera: rigid OpenCV pose of the photo in the scene frame, [N, 4, 4].
        rgb: of the photo, in [0, 1], [N, 3].
        mask: true on the object, [N].
        surface: depth along the photo's optical axis at which other photos agree that something is,
            scene units; 0 where unknown, [N].
        tolerance: by which that may be wrong, scene units, [N].
        clear: depth up to which they agree that nothing is, likewise, [N].
        points: uniform in the cube [−1, 1]³, one for each second ray, [N/2, 3]; one in `EVERY` of
            them is a sparse point of the object, where such are known.
        point_weights: how much the surface should be at a point; 0 of those by chance, [N/2].
        keys: one a ray, for renderers that draw samples.
    """

    view: Int[Array, " N"]
    pixels: Float[Array, "N 2"]
    intrinsics: Float[Array, "N 3 3"]
    scene_from_camera: Float[Array, "N 4 4"]
    rgb: Float[Array, "N 3"]
    mask: Bool[Array, " N"]
    surface: Float[Array, " N"]
    tolerance: Float[Array, " N"]
    clear: Float[Array, " N"]
    points: Float[Array, "M 3"]
    point_weights: Float[Array, " M"]
    keys: Key[Array, " N"]


class Cameras(NamedTuple):
    """Training views but for their pixels: cameras, and where these lie in the scene's flat buffer.

    Attributes:
        offsets: first pixel of each view, and how many there are at the end, [V + 1].
        sizes: (height, width) of each view, [V, 2].
        intrinsics: K of each view, half-pixel centres, [V, 3, 3].
        scene_from_camera: rigid OpenCV pose of each view in the scene frame, [V, 4, 4].
    """

    offsets: Int[Array | np.ndarray, " V+1"]
    sizes: Int[Array | np.ndarray, "V 2"]
    intrinsics: Float[Array | np.ndarray, "V 3 3"]
    scene_from_camera: Float[Array | np.ndarray, "V 4 4"]


class Draw(NamedTuple):
    """What chance decides in a step.

    Attributes:
        positions: of pixels in the scene's flat buffer, with replacement, [N].
        points: uniform in the cube [−1, 1]³, [N/2, 3].
        picks: any whole numbers, by which sparse points are chosen, [N/2].
        keys: as in `Batch`.
    """

    positions: Int[Array, " N"]
    points: Float[Array, "M 3"]
    picks: UInt32[Array, " M"]
    keys: Key[Array, " N"]


def training_cameras(scene: Scene) -> Cameras:
    """The cameras that a batch may come from."""
    count = int(scene.num_train)
    per_view = scene.sizes, scene.intrinsics, scene.scene_from_camera
    return Cameras(scene.offsets[: count + 1], *(x[:count] for x in per_view))


def draw(seed: int, step: Int[ArrayLike, ""], num_pixels: Int[ArrayLike, ""], size: int) -> Draw:
    """The draw of a step: uniform over all pixels of the training views.

    Args:
        seed: of the run.
        step: counted from 0.
        num_pixels: of the training views together.
        size: rays a step, N.
    """
    key = jax.random.fold_in(jax.random.key(seed), step)
    pixel_key, point_key, ray_key, pick_key = jax.random.split(key, 4)
    return Draw(
        jax.random.randint(pixel_key, (size,), 0, num_pixels),
        jax.random.uniform(point_key, (size // 2, 3), minval=-1.0, maxval=1.0),
        jax.random.bits(pick_key, (size // 2,)),
        jax.random.split(ray_key, size),
    )


def batch_of(
    cameras: Cameras,
    drawn: Draw,
    rgb: UInt8[ArrayLike, "N 3"],
    mask: Bool[ArrayLike, " N"],
    depths: Depths,
    sparse: ObjectPoints,
) -> Batch:
    """The batch of a draw.

    Args:
        cameras: of the scene.
        drawn: which pixels.
        rgb: photo values there, as stored in the files.
        mask: true where they are on the object.
        depths: what is known of them.
        sparse: points of the object.
    """
    offsets = jnp.asarray(cameras.offsets)
    view = jnp.searchsorted(offsets, drawn.positions, side="right") - 1
    row, column = jnp.divmod(drawn.positions - offsets[view], jnp.asarray(cameras.sizes)[view, 1])
    pixels = jnp.stack([column, row], axis=-1) + 0.5
    surface, tolerance, clear = depths.at(view, pixels)
    which = drawn.picks % np.uint32(len(sparse.places))
    known = np.arange(len(which)) % EVERY == 0
    weights = jnp.where(known, jnp.asarray(sparse.weights)[which], 0.0)
    points = jnp.where((weights > 0)[:, None], jnp.asarray(sparse.places)[which], drawn.points)
    return Batch(
        view=view,
        pixels=pixels,
        intrinsics=jnp.asarray(cameras.intrinsics)[view],
        scene_from_camera=jnp.asarray(cameras.scene_from_camera)[view],
        rgb=jnp.asarray(rgb).astype(pixels.dtype) / 255,
        mask=jnp.asarray(mask),
        surface=surface,
        tolerance=tolerance,
        clear=clear,
        points=points,
        point_weights=weights,
        keys=drawn.keys,
    )


def batch_shapes(size: int) -> Batch:
    """Shapes and types of a batch of so many rays: all that a step is compiled for."""

    def example() -> Batch:
        cameras = Cameras(
            jnp.zeros(2, int), jnp.ones((1, 2), int), jnp.eye(3)[None], jnp.eye(4)[None]
        )
        drawn = draw(0, 0, 1, size)
        rgb, mask = jnp.zeros((size, 3), jnp.uint8), jnp.zeros(size, bool)
        return batch_of(cameras, drawn, rgb, mask, unknown_depths(), no_points())

    return jax.eval_shape(example)
