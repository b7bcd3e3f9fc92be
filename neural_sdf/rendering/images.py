"""Whole images, a fixed number of rays at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jax import Array
from jaxtyping import Bool, Float

from neural_sdf.geometry import Rays, pixel_rays
from neural_sdf.rendering.surface import Rendering


class Image(NamedTuple):
    """A rendered view; arrays on the host.

    Attributes:
        rgb: in [0, 1], [H, W, 3].
        depth: along the ray, scene units, zero where nothing is hit, [H, W].
        normal: outward, scene frame, zero where nothing is hit, [H, W, 3].
        mask: whether the pixel's ray hits, [H, W].
    """

    rgb: Float[np.ndarray, "H W 3"]
    depth: Float[np.ndarray, "H W"]
    normal: Float[np.ndarray, "H W 3"]
    mask: Bool[np.ndarray, "H W"]


def render_image(
    render: Callable[[Rays], Rendering],
    intrinsics: Float[Array | np.ndarray, "3 3"],
    scene_from_camera: Float[Array | np.ndarray, "4 4"],
    size: tuple[int, int],
    *,
    chunk: int = 8192,
) -> Image:
    """The image of a camera, by rays through its pixel centres.

    Args:
        render: rays -> Rendering, jitted by the caller; always called with `chunk` rays, so that it
            is compiled once for images of any size.
        intrinsics: K, half-pixel centres.
        scene_from_camera: pose.
        size: (height, width).
        chunk: rays at a time; the memory of a call grows with it.
    """
    height, width = size
    num_pixels = height * width
    parts = []
    for start in range(0, num_pixels, chunk):
        centres = pixel_corners(start, chunk, size) + 0.5
        seen = render(pixel_rays(intrinsics, scene_from_camera, centres))
        parts.append([np.asarray(x) for x in (seen.rgb, seen.depth, seen.normal, seen.mask)])
    whole = [np.concatenate(arrays)[:num_pixels] for arrays in zip(*parts, strict=True)]
    return Image(*(x.reshape(height, width, *x.shape[1:]) for x in whole))


def pixel_corners(start: int, chunk: int, size: tuple[int, int]) -> Float[np.ndarray, "chunk 2"]:
    """Upper left corners of pixels in row order, filled up with the last pixel again."""
    height, width = size
    pixels = np.minimum(np.arange(start, start + chunk), height * width - 1)
    rows, columns = np.divmod(pixels, width)
    return np.stack([columns, rows], axis=-1).astype(np.float64)
