"""A held-out view, rendered and measured against its photo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from neural_sdf.evaluation.images import (
    comparison,
    mask_iou,
    psnr_masked,
    ssim_masked,
)
from neural_sdf.geometry import Rays
from neural_sdf.machine.files import write_png
from neural_sdf.rendering import Rendering, render_image
from neural_sdf.scenes import Scene, view_mask, view_photo


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
    photo, mask = view_photo(scene, view) / 255.0, view_mask(scene, view)
    camera = scene.intrinsics[view], scene.scene_from_camera[view]
    image = render_image(render, *camera, mask.shape, chunk=chunk)
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
