"""Images of many random paths a pixel."""

from __future__ import annotations

import sys
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float
from rich.console import Console
from rich.progress import track

from neural_sdf.geometry import Rays, pixel_rays
from neural_sdf.rendering.images import pixel_corners


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
        corners = jnp.asarray(pixel_corners(starts[index], chunk, size), jnp.float32)
        # Waited for, or the bar would tell of what is queued.
        totals[index] = jax.block_until_ready(add(totals[index], corners, sample_key, *same))
    means = np.concatenate([np.asarray(total) for total in totals]) / num_samples
    return means[: size[0] * size[1]].reshape(*size, 3)
