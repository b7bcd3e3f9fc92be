"""Whole images, a fixed number of rays at a time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float
from rich.console import Console
from rich.progress import track

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
        centres = _corners(start, chunk, size) + 0.5
        seen = render(pixel_rays(intrinsics, scene_from_camera, centres))
        parts.append([np.asarray(x) for x in (seen.rgb, seen.depth, seen.normal, seen.mask)])
    whole = [np.concatenate(arrays)[:num_pixels] for arrays in zip(*parts, strict=True)]
    return Image(*(x.reshape(height, width, *x.shape[1:]) for x in whole))


def render_samples(
    key: Array,
    radiance: Callable[[Array, Rays], Array],
    intrinsics: Float[Array | np.ndarray, "3 3"],
    scene_from_camera: Float[Array | np.ndarray, "4 4"],
    size: tuple[int, int],
    *,
    num_samples: int,
    chunk: int = 4096,
) -> Float[np.ndarray, "H W 3"]:
    """The mean over rays through random points of each pixel, in linear light.

    Shows its progress on a terminal (stderr). The random numbers are a function of the key, the
    chunk and the sample, so that more samples go on from fewer.

    Args:
        key: of the picture.
        radiance: (key, rays) -> [N, 3], such as `path_trace`; compiled once, for `chunk` rays. As a
            `jax.tree_util.Partial` its first arguments are those of the program, not constants in
            it, so that one stored program serves every checkpoint.
        intrinsics: K, half-pixel centres.
        scene_from_camera: pose.
        size: (height, width).
        num_samples: rays a pixel; the noise falls with their square root.
        chunk: rays at a time.
    """
    if not isinstance(radiance, jax.tree_util.Partial):
        radiance = jax.tree_util.Partial(radiance)

    @jax.jit
    def add(
        total: Array, corners: Array, key: Array, radiance: Callable, K: Array, pose: Array
    ) -> Array:
        place_key, path_key = jax.random.split(key)
        pixels = corners + jax.random.uniform(place_key, corners.shape)
        return total + radiance(path_key, pixel_rays(K, pose, pixels))

    same = radiance, jnp.asarray(intrinsics), jnp.asarray(scene_from_camera)
    starts = range(0, size[0] * size[1], chunk)
    totals = [jnp.zeros((chunk, 3)) for _ in starts]
    rounds = [(index, sample) for index in range(len(starts)) for sample in range(num_samples)]
    console = Console(stderr=True)
    hidden = not sys.stderr.isatty()
    for index, sample in track(rounds, "tracing", console=console, transient=True, disable=hidden):
        sample_key = jax.random.fold_in(jax.random.fold_in(key, index), sample)
        corners = jnp.asarray(_corners(starts[index], chunk, size), jnp.float32)
        # Waited for, or the bar would tell of what is queued.
        totals[index] = jax.block_until_ready(add(totals[index], corners, sample_key, *same))
    means = np.concatenate([np.asarray(total) for total in totals]) / num_samples
    return means[: size[0] * size[1]].reshape(*size, 3)


def _corners(start: int, chunk: int, size: tuple[int, int]) -> Float[np.ndarray, "chunk 2"]:
    """Upper left corners of pixels in row order, filled up with the last pixel again."""
    height, width = size
    pixels = np.minimum(np.arange(start, start + chunk), height * width - 1)
    rows, columns = np.divmod(pixels, width)
    return np.stack([columns, rows], axis=-1).astype(np.float64)
