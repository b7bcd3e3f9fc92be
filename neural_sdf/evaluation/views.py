"""A held-out view, rendered and measured against its photo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from neural_sdf.evaluation.images import (
    comparison,
    mask_iou,
    psnr_masked,
    ssim_masked,
)
from neural_sdf.geometry import Rays
from neural_sdf.machine.files import write_png
from neural_sdf.rendering import Rendering, render_image
from neural_sdf.scenes import Scene, view_pixels


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
