"""Depths that several photos agree on, each found by its own sweep."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Bool, Float, Float64, Int
from scipy.ndimage import minimum_filter

from neural_sdf.geometry import project
from neural_sdf.photos.outlines.hull import carve, grid
from neural_sdf.scenes import Scene, view_masks, view_photos
from neural_sdf.scenes.depths import Depths
from neural_sdf.stereo.neighbours import nearest_views
from neural_sdf.stereo.reduction import block_means
from neural_sdf.stereo.sweep import Album, sweep

WORK = 3e8  # windows to compare; photos are reduced until no more are needed
FEWEST_PLANES = 24
LEAST_ALIKE = 0.6  # of a depth that is kept
AGREEING = 2  # other photos
TOLERANCE = 1.0  # planes between depths that agree


class Plan(NamedTuple):
    """How large the photos are compared, and how finely.

    Attributes:
        block: by which they are reduced.
        extent: (height, width) of the largest object in them, pixels.
        corners: from which so much holds each photo's object, [V, 2].
        num_planes: of a sweep.
    """

    block: int
    extent: tuple[int, int]
    corners: Int[np.ndarray, "V 2"]
    num_planes: int


def agreed_depths(scene: Scene) -> Depths | None:
    """The depths of the training photos that two others confirm; None of fewer than three photos.

    A depth is kept where the photos look alike and the place in space that it says has the same
    depth in two other photos (Merrell et al. 2007). Space in front of it is clear; the least of
    the neighbouring blocks' depths counts for that, since an edge is not known to the pixel.

    Args:
        scene: with masks.
    """
    count = int(scene.num_train)
    if count < 3:
        return None
    masks = view_masks(scene)[:count]
    poses = np.asarray(scene.scene_from_camera, np.float64)[:count]
    neighbours, angles = nearest_views(poses)
    nearness = _nearness(scene, masks, poses)
    plan = _planned(scene, masks, neighbours.shape[1], nearness, float(np.median(angles)))
    album = _album(scene, masks, plan, neighbours, nearness)
    find = jax.jit(functools.partial(sweep, extent=plan.extent, num_planes=plan.num_planes))
    found = [find(album, jnp.int32(view)) for view in range(count)]
    inverse, score = (jnp.stack(part) for part in zip(*found, strict=True))
    step = (album.nearness[:, 1] - album.nearness[:, 0]) / (plan.num_planes - 1)
    known = score > LEAST_ALIKE
    agree = jax.jit(_agreeing)
    votes = np.stack([agree(album, inverse, known, step, jnp.int32(v)) for v in range(count)])
    return _depths(np.asarray(inverse), np.asarray(known) & (votes >= AGREEING), step, plan.block)


def _depths(
    inverse: Float[np.ndarray, "V h w"],
    sure: Bool[np.ndarray, "V h w"],
    step: Float[Array, " V"],
    block: int,
) -> Depths:
    nearness = np.where(sure, inverse, 1.0)
    surface = np.where(sure, 1 / nearness, 0.0)
    # A plane nearer than found, and than what is found beside it.
    near = np.where(sure, 1 / (nearness + np.asarray(step)[:, None, None]), np.inf)
    clear = np.where(sure, minimum_filter(near, (1, 3, 3)), 0.0)
    planes = np.asarray(step), np.array(block, np.int32)
    return Depths(surface.astype(np.float32), clear.astype(np.float32), *planes)


def _agreeing(
    album: Album, inverse: Array, known: Array, step: Array, view: Array
) -> Int[Array, "h w"]:
    """How many other photos have the depth that each pixel of a photo says."""
    rows, columns = jnp.indices(inverse.shape[1:])
    pixels = jnp.stack([columns + 0.5, rows + 0.5, jnp.ones(rows.shape)], axis=-1)
    camera = pixels @ jnp.linalg.inv(album.intrinsics[view]).T
    camera = camera / jnp.where(known[view], inverse[view], 1.0)[..., None]
    pose = album.scene_from_camera[view]
    points = camera @ pose[:3, :3].T + pose[:3, 3]

    def with_one(votes: Array, other: Array) -> tuple[Array, None]:
        image, depth = project(album.intrinsics[other], album.scene_from_camera[other], points)
        column, row = jnp.moveaxis(jnp.floor(image), -1, 0)
        height, width = album.sizes[other]
        shown = (depth > 1e-6) & (row >= 0) & (column >= 0) & (row < height) & (column < width)
        place = other, *(jnp.where(shown, x, 0).astype(jnp.int32) for x in (row, column))
        same = jnp.abs(inverse[place] - 1 / depth) < TOLERANCE * step[other]
        return votes + (shown & known[place] & same & (other != view)), None

    start = jnp.zeros(rows.shape, jnp.int32)
    return jnp.where(known[view], lax.scan(with_one, start, jnp.arange(len(inverse)))[0], 0)


def _nearness(
    scene: Scene, masks: list[Bool[np.ndarray, "_h _w"]], poses: Float64[np.ndarray, "V 4 4"]
) -> Float64[np.ndarray, "V 2"]:
    """Inverse depths between which each photo's object lies: within its visual hull."""
    cells, spacing = grid(-np.ones(3), np.ones(3))
    cells = cells[np.linalg.norm(cells, axis=1) < 1]
    hull = carve(cells, masks, np.asarray(scene.intrinsics, np.float64)[: len(masks)], poses)
    cells = cells[hull] if hull.any() else cells
    depths = np.einsum("vi,vni->vn", poses[:, :3, 2], cells - poses[:, None, :3, 3])
    margin = np.linalg.norm(spacing)
    nearest = np.maximum(depths.min(axis=1) - margin, 0.05)
    return 1 / np.stack([np.maximum(depths.max(axis=1) + margin, 2 * nearest), nearest], axis=-1)


def _planned(
    scene: Scene,
    masks: list[Bool[np.ndarray, "_h _w"]],
    num_neighbours: int,
    nearness: Float64[np.ndarray, "V 2"],
    angle: float,
) -> Plan:
    """The least reduction of the photos with which no more than `WORK` windows are compared."""
    count = len(masks)
    focal = np.asarray(scene.intrinsics)[:count, 0, 0].mean()
    distance = np.linalg.norm(np.asarray(scene.scene_from_camera)[:count, :3, 3], axis=1).mean()
    baseline = 2 * distance * np.sin(np.radians(angle) / 2)
    disparity = focal * baseline * (nearness[:, 1] - nearness[:, 0]).mean()
    sides = [[np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0)] for mask in masks]
    ends = np.array([[(s[0], s[-1] + 1) if len(s) else (0, 1) for s in pair] for pair in sides])
    smallest = scene.sizes[:count].min()
    for block in range(1, int(smallest) // 4 + 2):
        low, high = ends[..., 0] // block, -(-ends[..., 1] // block)
        extent = (high - low).max(axis=0)
        num_planes = max(int(np.ceil(disparity / block)), FEWEST_PLANES)
        if count * num_neighbours * extent.prod() * num_planes <= WORK:
            break
    most = scene.sizes[:count].max(axis=0) // block
    extent = np.minimum(extent, most)
    corners = np.clip(low, 0, most - extent)
    return Plan(block, (int(extent[0]), int(extent[1])), corners.astype(np.int32), num_planes)


def _album(
    scene: Scene,
    masks: list[Bool[np.ndarray, "_h _w"]],
    plan: Plan,
    neighbours: Int[np.ndarray, "V S"],
    nearness: Float64[np.ndarray, "V 2"],
) -> Album:
    count, block = len(masks), plan.block
    sizes = np.asarray(scene.sizes)[:count] // block
    height, width = (int(side) for side in sizes.max(axis=0))
    reduced = functools.partial(_reduced, block=block, largest=(height, width))
    intrinsics = np.array(scene.intrinsics[:count], np.float32)
    intrinsics[:, :2] /= block
    return Album(
        rgb=jnp.asarray(np.stack([reduced(photo) / 255 for photo in view_photos(scene)[:count]])),
        mask=jnp.asarray(np.stack([reduced(mask) > 0.5 for mask in masks])),
        sizes=jnp.asarray(sizes, jnp.int32),
        intrinsics=jnp.asarray(intrinsics),
        scene_from_camera=jnp.asarray(scene.scene_from_camera[:count], jnp.float32),
        neighbours=jnp.asarray(neighbours, jnp.int32),
        nearness=jnp.asarray(nearness, jnp.float32),
        corners=jnp.asarray(plan.corners),
    )


def _reduced(
    image: np.ndarray, *, block: int, largest: tuple[int, int]
) -> Float[np.ndarray, "h w *c"]:
    """Means over whole blocks of pixels, padded with zeros to a common size."""
    means = block_means(image, block)
    height, width = (most - side for most, side in zip(largest, means.shape, strict=False))
    return np.pad(means, [(0, height), (0, width), *[(0, 0)] * (means.ndim - 2)])
