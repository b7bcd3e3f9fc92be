"""Embedded scenes: shapes that are known exactly, photographed by the project itself.

Nothing is downloaded.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float

from neural_sdf.geometry import Rays, Similarity, clip_to_sphere, pixel_rays, shapes
from neural_sdf.machine.memory import compile_alone
from neural_sdf.mistake import Mistake
from neural_sdf.scenes.cabinet import cabinet
from neural_sdf.scenes.cup import cup
from neural_sdf.scenes.paint import COARSELY_SPECKLED, Paint, smooth, speckled
from neural_sdf.scenes.scene import Scene, Source
from neural_sdf.tracing import trace, value_and_normal

# The world's unit is a centimetre; its origin lies under the cup's saucer.
_WORLD_FROM_SCENE = Similarity(np.array(8.0), np.eye(3), np.array([0.0, 0.0, 3.4]))
_DISTANCE = 3.0  # of the cameras from the centre, scene units
_FOCAL = 1.6  # over the shorter side of a photo: cup and saucer just fit


Shape = Callable[[Array], Array]


class Shoot(NamedTuple):
    """How a shape is photographed: from all round, on a white ground.

    Attributes:
        num_views: for training.
        num_test: held out, from directions between the others.
        size: (height, width) of the photos, pixels.
        paint: colour of the surface from points and normals, both [N, 3], scene frame.
        shape: signed distances [N] of points [N, 3], or lower bounds of them, scene units.
        crowding: how much denser cameras are before it (towards -y) than behind; 0 is evenly.
    """

    num_views: int
    num_test: int
    size: tuple[int, int]
    paint: Paint
    shape: Shape = cup
    crowding: float = 0.0


def synthetic_scene(shoot: Shoot) -> Scene:
    """The photos of a shoot, with their cameras and masks.

    Raises:
        Mistake: fewer than one training view or pixel.
    """
    num_views, num_test, (height, width), paint, shape, crowding = shoot
    if num_views < 1 or num_test < 0 or min(height, width) < 1:
        raise Mistake(
            f"synthetic scene of {num_views} + {num_test} views of {width}x{height} pixels;"
            " expected at least 1 + 0 views of 1x1",
            setting="downscale",
        )
    turns = (num_views, 0.0), (num_test, 0.5)
    poses = np.concatenate([_poses(count, turn, crowding) for count, turn in turns])
    count, pixels = len(poses), height * width
    focal = _FOCAL * min(height, width)
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    rows, columns = np.divmod(np.arange(pixels), width)
    centres = np.stack([columns, rows], axis=-1) + 0.5
    shots = [pixel_rays(K, pose, centres) for pose in jnp.asarray(poses, jnp.float32)]
    photograph = compile_alone(_photograph.lower(paint, shape, shots[0]))
    views = [photograph(rays) for rays in shots]
    rgb, mask = (np.concatenate([np.asarray(x) for x in part]) for part in zip(*views, strict=True))
    return Scene(
        rgb=np.round(rgb * 255).astype(np.uint8),
        mask=mask,
        offsets=np.arange(count + 1, dtype=np.int32) * pixels,
        sizes=np.tile(np.array(shoot.size, np.int32), (count, 1)),
        intrinsics=np.tile(K, (count, 1, 1)),
        scene_from_camera=poses,
        num_train=np.array(num_views, np.int32),
        world_from_scene=_WORLD_FROM_SCENE,
        source=Source(
            names=tuple(f"{i:03d}" for i in range(count)),
            indices=tuple(range(count)),
            region="its making",
            reference=shape,
        ),
    )


@functools.partial(jax.jit, static_argnums=(0, 1))
def _photograph(
    paint: Paint, shape: Shape, rays: Rays
) -> tuple[Float[Array, "N 3"], Bool[Array, " N"]]:
    near, far, _ = clip_to_sphere(*rays)
    hits = trace(lambda _, points: shape(points), None, *rays, near=near, far=far, max_steps=256)
    points = rays.origins + hits.t[:, None] * rays.directions
    _, gradients = value_and_normal(shape, points)
    normals = gradients / jnp.maximum(shapes.safe_norm(gradients), 1e-6)[:, None]
    rgb = jnp.where(hits.hit[:, None], paint(points, normals), 1.0)
    return jnp.clip(rgb, 0.0, 1.0), hits.hit


def _poses(count: int, turn: float, crowding: float) -> Float[np.ndarray, "count 4 4"]:
    """Cameras on a spiral over the sphere, z up, looking at the centre; see `Shoot.crowding`."""
    index = np.arange(count) + 0.5
    height = 0.95 - 1.7 * index / max(count, 1)  # few from straight above, none from straight below
    from_front = ((1 + 5**0.5) * (index + turn) + 1.5) % 2 - 1  # half turns
    angle = np.pi * (from_front * np.abs(from_front) ** crowding - 0.5)
    ring = np.sqrt(1 - height**2)
    centres = np.stack([ring * np.cos(angle), ring * np.sin(angle), height], axis=-1)
    right = np.cross(-centres, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = np.stack([right, np.cross(-centres, right), -centres], axis=-1)
    poses[:, :3, 3] = _DISTANCE * centres
    return poses


SHOOTS = {
    "synthetic": Shoot(num_views=40, num_test=8, size=(128, 128), paint=smooth),
    "synthetic_textured": Shoot(num_views=48, num_test=8, size=(480, 640), paint=speckled),
    "synthetic_cabinet": Shoot(40, 8, (128, 128), COARSELY_SPECKLED, cabinet, crowding=1.0),
}
