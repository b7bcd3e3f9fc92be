"""Whether masks and cameras agree: by how much masks must grow for the object to be in all of them.

A point of the object projects into every mask that shows it (Laurentini 1994). So along the ray of
a pixel on a mask's rim there is a point which is in all other masks too, unless masks or cameras
are wrong. The growth of a pixel is the least distance, over the points of its ray, by which the
other masks miss the point: zero where all agree. A few of the other masks are overruled, so that
one bad view does not spoil the others. A photo whose border its mask does not reach shows the whole
object, and nothing outside is on it; outside of any other is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64
from scipy import ndimage

from neural_sdf.photos.files.reduction import box_average
from neural_sdf.photos.outlines.shown import shown_pixels

LONGEST = 256  # pixels of a mask's longer side, for this purpose
RIM_PIXELS = 48  # looked at in each view
PARTNERS = 32  # other views that each is compared with
STEPS = 64  # points on a ray, and half as many again about the best of them
OVERRULED, LENIENT = 0.05, 0.15  # shares of the partners that may dissent
FEWEST = 0.5  # share of the partners that must show a point
KNOWN = 0.5  # share of a rim's pixels that so many partners must show


class Silhouettes(NamedTuple):
    """Masks made small, with all that does not depend on the cameras' poses.

    Attributes:
        distance: of each pixel from the mask, 0 on it, as share of the object's size, [V][h, w].
        rim: (column, row) of some pixels on the rim of each mask, half-pixel centres, [V][n, 2].
        scale: of the small masks over the given ones, [V].
        size: side of a square of the object's median area, pixels of the small masks.
        overruled: share of the partners that may dissent.
    """

    distance: list[Float32[np.ndarray, "_h _w"]]
    rim: list[Float64[np.ndarray, "_n 2"]]
    scale: Float64[np.ndarray, " V"]
    size: float
    overruled: float = OVERRULED


class Cameras(NamedTuple):
    """K at the size of the given masks, and rigid poses."""

    intrinsics: Float64[np.ndarray, "V 3 3"]
    world_from_camera: Float64[np.ndarray, "V 4 4"]


class Span(NamedTuple):
    """Where objects are looked for: a ball in world units."""

    centre: Float64[np.ndarray, "3"]
    radius: float


def silhouettes(masks: Sequence[Bool[np.ndarray, "_h _w"]]) -> Silhouettes:
    """The masks as they are compared, reduced by an integer factor each."""
    factors = [max(1, -(-max(mask.shape) // LONGEST)) for mask in masks]
    small = [box_average(mask, n) > 0.5 for mask, n in zip(masks, factors, strict=True)]
    areas = [mask.sum() for mask in small if mask.any()]
    size = float(np.sqrt(np.median(areas))) if areas else 1.0
    distance = [_distance(mask, size) for mask in small]
    return Silhouettes(distance, [_rim(mask) for mask in small], 1 / np.array(factors), size)


def growth(
    shapes: Silhouettes, cameras: Cameras, span: Span, only: Sequence[int] | None = None
) -> Float[np.ndarray, " V"]:
    """By how much other masks miss each view's rim: mean over its pixels, NaN for a blank mask.

    As share of the object's size in the photos; 1 where most rays have no point that others see.

    Args:
        shapes: the masks.
        cameras: of the masks at their full size.
        span: where the object is looked for.
        only: the views asked about, NaN for the others; None for all.
    """
    factor = np.stack([shapes.scale, shapes.scale, np.ones_like(shapes.scale)], axis=-1)
    cameras = Cameras(cameras.intrinsics * factor[..., None], cameras.world_from_camera)
    used = [i for i, rim in enumerate(shapes.rim) if len(rim)]
    result = np.full(len(shapes.rim), np.nan)
    for i in used if only is None else only:
        others = [j for j in used if j != i]
        partners = [others[k] for k in _spread(len(others), PARTNERS)]
        pixels = pixel_growth(shapes, cameras, span, i, partners)
        known = pixels < 1
        result[i] = pixels[known].mean() if known.mean() > KNOWN else 1.0
    return result


def shifted(
    shapes: Silhouettes, shift: Float64[np.ndarray, "2"], only: int | None = None
) -> Silhouettes:
    """The masks moved by (columns, rows) of the small masks, or only one of them."""
    moved = range(len(shapes.rim)) if only is None else [only]
    distance, rim = list(shapes.distance), list(shapes.rim)
    columns, rows = np.rint(shift).astype(int)
    for i in moved:
        height, width = distance[i].shape
        row = np.clip(np.arange(height) - rows, 0, height - 1)
        column = np.clip(np.arange(width) - columns, 0, width - 1)
        distance[i], rim[i] = distance[i][np.ix_(row, column)], rim[i] + shift
    return shapes._replace(distance=distance, rim=rim)


def pixel_growth(
    shapes: Silhouettes, cameras: Cameras, span: Span, view: int, partners: Sequence[int]
) -> Float[np.ndarray, " n"]:
    """Growth of each rim pixel of one view; 1 where too few partners see any point of its ray.

    The intrinsics are those of the small masks.
    """
    origin, directions = _rays(cameras, view, shapes.rim[view])

    def missed(depth: Float64[np.ndarray, "n t"]) -> Float[np.ndarray, "n t"]:
        points = directions.T[:, :, None] * depth
        return np.where(depth > 0, _missed(shapes, cameras, origin, points, partners), 1.0)

    middle = (span.centre - origin) @ directions.T
    apart = np.sum((origin + middle[:, None] * directions - span.centre) ** 2, axis=1)
    half = np.sqrt(np.maximum(span.radius**2 - apart, (0.05 * span.radius) ** 2))
    steps = np.linspace(-1, 1, STEPS)
    depth = middle[:, None] + half[:, None] * steps
    coarse = missed(depth)
    best = np.take_along_axis(depth, coarse.argmin(axis=1)[:, None], axis=1)
    depth = best + half[:, None] * np.linspace(-1, 1, STEPS // 2) * 2 / (STEPS - 1)
    fine = missed(depth)
    return np.minimum(coarse.min(axis=1), fine.min(axis=1))


def _missed(
    shapes: Silhouettes,
    cameras: Cameras,
    origin: Float64[np.ndarray, "3"],
    points: Float64[np.ndarray, "3 n t"],
    partners: Sequence[int],
) -> Float[np.ndarray, "n t"]:
    """The distance by which masks miss points: the worst of the partners', without dissenters.

    The points are given from the origin, for digits' sake far from that of the world.
    """
    flat = points.reshape(3, -1)
    dissenters = int(shapes.overruled * len(partners))
    worst = np.zeros((dissenters + 1, flat.shape[1]), np.float32)  # the largest, descending
    shown = np.zeros(flat.shape[1], np.int32)
    for j in partners:
        pose, distance = cameras.world_from_camera[j], shapes.distance[j]
        image_from_world = cameras.intrinsics[j] @ pose[:3, :3].T
        image = image_from_world @ flat
        image += (image_from_world @ (origin - pose[:3, 3]))[:, None]
        seen, row, column = shown_pixels(image, distance.shape)
        outside = _outside(distance)
        missed = np.where(seen, distance.take(row * distance.shape[1] + column), outside)
        for larger in worst:  # quicker than to keep all and sort them
            larger[:], missed = np.maximum(larger, missed), np.minimum(larger, missed)
        shown += seen | (outside > 0)
    known = np.where(shown >= FEWEST * len(partners), worst[-1], 1.0)
    return known.reshape(points.shape[1:])


def _outside(distance: Float32[np.ndarray, "h w"]) -> np.float32:
    """How far all that lies outside a photo is from its mask at least; 0 if that is unknown."""
    edges = (distance[0], distance[-1], distance[:, 0], distance[:, -1])
    return min(edge.min() for edge in edges)


def _rays(
    cameras: Cameras, view: int, pixels: Float64[np.ndarray, "n 2"]
) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "n 3"]]:
    """Origin and unit directions of the rays through pixels of a view, world frame."""
    K, pose = cameras.intrinsics[view], cameras.world_from_camera[view]
    local = np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1) @ np.linalg.inv(K).T
    directions = local @ pose[:3, :3].T
    return pose[:3, 3], directions / np.linalg.norm(directions, axis=1, keepdims=True)


def _distance(mask: Bool[np.ndarray, "h w"], size: float) -> Float32[np.ndarray, "h w"]:
    """Distance from a mask as share of the object's size; 0 for a blank mask: it says nothing."""
    if not mask.any():
        return np.zeros(mask.shape, np.float32)
    far = np.asarray(ndimage.distance_transform_edt(~mask)) - 1  # beside the rim is near enough
    return np.clip(far / size, 0.0, 1.0).astype(np.float32)


def _rim(mask: Bool[np.ndarray, "h w"]) -> Float64[np.ndarray, "n 2"]:
    """Pixels of the mask beside its background, evenly chosen; the photo's border is no rim."""
    rim = mask & ~np.asarray(ndimage.binary_erosion(mask, border_value=1), bool)
    rows, columns = np.nonzero(rim)
    chosen = _spread(len(rows), RIM_PIXELS)
    return np.stack([columns[chosen], rows[chosen]], axis=-1) + 0.5


def _spread(count: int, most: int) -> np.ndarray:
    """At most so many indices below `count`, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))
