"""The embedded scene: a cup on its saucer, known exactly, photographed by the project itself.

It has what is hard for a surface fit: a hole (the handle), a concavity (the cup) and a thin part
(the saucer). Nothing is downloaded.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float

from neural_sdf.geometry import Rays, Similarity, clip_to_sphere, pixel_rays, shapes
from neural_sdf.machine.memory import compile_alone
from neural_sdf.mistake import Mistake
from neural_sdf.scenes.scene import Scene, Source
from neural_sdf.tracing import trace, value_and_normal

# The world's unit is a centimetre and its origin lies under the saucer.
_WORLD_FROM_SCENE = Similarity(np.array(8.0), np.eye(3), np.array([0.0, 0.0, 3.4]))
_DISTANCE = 3.0  # of the cameras from the centre, scene units
_FOCAL = 1.6  # over the shorter side of a photo: cup and saucer just fit

Paint = Callable[[Array, Array], Array]


class Shoot(NamedTuple):
    """How the cup is photographed: from all round, on a white ground.

    Attributes:
        num_views: for training.
        num_test: held out, from directions between the others.
        size: (height, width) of the photos, pixels.
        paint: colour of the surface from points and normals, both [N, 3], scene frame.
    """

    num_views: int
    num_test: int
    size: tuple[int, int]
    paint: Paint


def synthetic_scene(shoot: Shoot) -> Scene:
    """The photos of a shoot, with their cameras and masks.

    Raises:
        Mistake: fewer than one training view or pixel.
    """
    num_views, num_test, (height, width), paint = shoot
    if num_views < 1 or num_test < 0 or min(height, width) < 1:
        raise Mistake(
            f"synthetic scene of {num_views} + {num_test} views of {width}x{height} pixels;"
            " expected at least 1 + 0 views of 1x1",
            setting="downscale",
        )
    poses = np.concatenate([_poses(num_views, turn=0.0), _poses(num_test, turn=0.5)])
    count, pixels = len(poses), height * width
    focal = _FOCAL * min(height, width)
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    rows, columns = np.divmod(np.arange(pixels), width)
    centres = np.stack([columns, rows], axis=-1) + 0.5
    shots = [pixel_rays(K, pose, centres) for pose in jnp.asarray(poses, jnp.float32)]
    photograph = compile_alone(_photograph.lower(paint, shots[0]))
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
            reference=cup,
        ),
    )


def cup(points: Float[Array, "*n 3"]) -> Float[Array, "*n"]:
    """Signed distance (a lower bound of it, in places) of cup and saucer, scene units."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    ball = shapes.sphere(points - jnp.array([0.0, 0.0, 0.18]), 0.52)
    handle = shapes.torus(jnp.stack([x - 0.53, z - 0.08, y], axis=-1), 0.22, 0.055)
    solid = shapes.smooth_union(jnp.maximum(ball, z - 0.3), handle, 0.05)
    hollow = shapes.sphere(points - jnp.array([0.0, 0.0, 0.46]), 0.46)
    saucer = shapes.cylinder(points - jnp.array([0.0, 0.0, -0.38]), 0.72, 0.015) - 0.02
    return shapes.smooth_union(shapes.difference(solid, hollow), saucer, 0.06)


def smooth(points: Float[Array, "N 3"], normals: Float[Array, "N 3"]) -> Float[Array, "N 3"]:
    """A smooth solid pattern under a soft light from above."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    pattern = jnp.sin(11 * x) * jnp.sin(11 * y) + jnp.sin(11 * z + 1.5)
    share = jax.nn.sigmoid(4 * pattern)[..., None]
    blue, cream = jnp.array([0.25, 0.45, 0.75]), jnp.array([0.95, 0.88, 0.72])
    light = jnp.array([0.36, 0.48, 0.8])
    return (share * blue + (1 - share) * cream) * (0.75 + 0.25 * (normals @ light))[..., None]


def speckled(points: Float[Array, "N 3"], normals: Float[Array, "N 3"]) -> Float[Array, "N 3"]:
    """The same with specks of all sizes, which can be found again from photo to photo.

    Nowhere as bright as the ground, from which it can be told by a threshold.
    """
    layers = jnp.stack([_noise(points / cell) for cell in (0.0125, 0.025, 0.05, 0.1)])
    shade = 0.3 + 0.65 * jax.nn.sigmoid(12 * (layers.mean(axis=0) - 0.5))
    return smooth(points, normals) * shade[:, None]


def _noise(points: Float[Array, "N 3"]) -> Float[Array, " N"]:
    """Value noise in [0, 1]: random at integer points, smooth in between (Perlin 1985)."""
    low = jnp.floor(points)
    share = points - low
    share = share * share * (3 - 2 * share)
    corners = jnp.array(list(np.ndindex(2, 2, 2)))
    weights = jnp.where(corners == 1, share[:, None], 1 - share[:, None]).prod(axis=-1)
    cells = (low[:, None].astype(jnp.int32) + corners).astype(jnp.uint32)
    primes = jnp.array([73856093, 19349663, 83492791], jnp.uint32)  # Teschner et al. 2003
    a, b, c = jnp.moveaxis(cells * primes, -1, 0)
    mixed = (a ^ b ^ c) * jnp.uint32(0x5BD1E995)  # neighbours would differ in few bits
    return (weights * ((mixed >> 15) & 0xFFFF) / 0xFFFF).sum(axis=-1)


@functools.partial(jax.jit, static_argnums=0)
def _photograph(paint: Paint, rays: Rays) -> tuple[Float[Array, "N 3"], Bool[Array, " N"]]:
    near, far, _ = clip_to_sphere(*rays)
    hits = trace(_sdf, None, *rays, near=near, far=far, max_steps=256)
    points = rays.origins + hits.t[:, None] * rays.directions
    _, gradients = value_and_normal(cup, points)
    normals = gradients / jnp.maximum(shapes.safe_norm(gradients), 1e-6)[:, None]
    rgb = jnp.where(hits.hit[:, None], paint(points, normals), 1.0)
    return jnp.clip(rgb, 0.0, 1.0), hits.hit


def _sdf(params: Any, points: Array) -> Array:
    del params
    return cup(points)


def _poses(count: int, *, turn: float) -> Float[np.ndarray, "count 4 4"]:
    """Cameras spread evenly over the sphere (a spiral), z up, looking at the centre."""
    index = np.arange(count) + 0.5
    height = 0.95 - 1.7 * index / max(count, 1)  # few from straight above, none from straight below
    angle = np.pi * (1 + 5**0.5) * (index + turn)
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
}
