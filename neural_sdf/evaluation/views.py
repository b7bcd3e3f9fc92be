"""A held-out view, rendered and measured against its photo."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float, Int

from neural_sdf.data import Scene, view_pixels
from neural_sdf.evaluation.images import (
    comparison,
    mask_iou,
    psnr_masked,
    ssim_masked,
    write_png,
)
from neural_sdf.export import power_of_two
from neural_sdf.geometry import Rays
from neural_sdf.rendering import Rendering, render_image
from neural_sdf.tracing import DistanceGrid
from neural_sdf.training.memory import program_memory

# On two CPU cores more rays at a time gained nothing above the noise. Accelerators may want more;
# that is not measured.
_MOST_RAYS = 8192
_LEAST_RAYS = 256


def compile_views(
    render: Callable[..., Rendering],
    params: Any,
    sizes: Int[np.ndarray, "V 2"],
    *,
    background: Float[ArrayLike, "..."],
    known: DistanceGrid | None,
    available: int | None,
) -> tuple[Callable[[Rays], Rendering], int]:
    """One program for all views, and how many rays it takes at a time.

    The rays are a power of two, as the tracer halves what is left of them: enough for the largest
    view, fewer where that is more than pays or than the memory holds.

    Args:
        render: (params, rays, *, background, known) -> Rendering.
        params: an argument of the program, so that it serves every checkpoint.
        sizes: (height, width) of each view.
        background: seen by rays that miss.
        known: samples of the field that rays start from.
        available: bytes that the program may take; None for no limit.
    """
    rays = power_of_two(min(int(sizes.prod(axis=1).max()), _MOST_RAYS))
    render, settings = jax.jit(render), {"background": background, "known": known}
    while True:
        shape: Any = jax.ShapeDtypeStruct((rays, 3), np.float32)
        program = render.lower(params, Rays(shape, shape), **settings).compile()
        if available is None or rays <= _LEAST_RAYS or program_memory(program) <= available:
            return functools.partial(program, params, **settings), rays
        rays //= 2


def evaluate_view(
    scene: Scene, view: int, render: Callable[[Rays], Rendering], folder: Path, *, chunk: int
) -> dict[str, Any]:
    """Renders a view, writes its strip of images and gives its figures.

    Args:
        scene: with the photos.
        view: position in the scene.
        render: rays -> Rendering, compiled.
        folder: where `<name>.png` is written: photo | render | error | normals | depth.
        chunk: rays that it takes at a time.

    Returns:
        name, index (in file order), psnr_masked (dB), ssim_masked and mask_iou.
    """
    height, width = (int(x) for x in scene.sizes[view])
    pixels = view_pixels(scene, view)
    photo = np.asarray(scene.rgb)[pixels].reshape(height, width, 3) / 255.0
    mask = np.asarray(scene.mask)[pixels].reshape(height, width)
    camera = scene.intrinsics[view], scene.scene_from_camera[view]
    image = render_image(render, *camera, (height, width), chunk=chunk)
    name = scene.source.names[view]
    strip = comparison(photo, image.rgb, image.normal, image.depth, image.mask)
    write_png(folder / f"{name}.png", strip)
    return {
        "name": name,
        "index": scene.source.indices[view],
        "psnr_masked": psnr_masked(image.rgb, photo, mask),
        "ssim_masked": ssim_masked(image.rgb, photo, mask),
        "mask_iou": mask_iou(image.mask, mask),
    }
