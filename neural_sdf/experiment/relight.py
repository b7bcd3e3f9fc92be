"""Path-traced pictures as PNG files: the Cornell box, or a trained field.

Light is added up in linear values; the file holds sRGB, clipped at white.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from neural_sdf.experiment.shot import find_shot
from neural_sdf.experiment.workdir import load_trained
from neural_sdf.geometry import Rays
from neural_sdf.launch import check_backend
from neural_sdf.light import cornell, path_trace, relight, render_samples
from neural_sdf.machine.files import write_png
from neural_sdf.mistake import Mistake
from neural_sdf.scenes.colour import srgb_from_linear


def render_cornell(output: str | Path, *, size: int, num_samples: int, num_bounces: int) -> None:
    """Writes the Cornell box.

    Args:
        output: PNG file.
        size: height and width, pixels.
        num_samples: rays a pixel.
        num_bounces: of each path.

    Raises:
        Mistake: a file name that cannot be used.
    """
    output = _checked(output)
    check_backend()
    params = cornell.default_params()

    def radiance(key: Array, rays: Rays) -> Array:
        return path_trace(
            key,
            cornell.sdf,
            cornell.material,
            params,
            rays,
            light=cornell.light(params),
            environment=cornell.SKY,
            radius=cornell.RADIUS,
            num_bounces=num_bounces,
            dmin=cornell.LEAST_STEP,
        )

    camera = (cornell.intrinsics(size), cornell.SCENE_FROM_CAMERA, (size, size))
    _render(output, radiance, *camera, num_samples)


def render_trained(
    workdir: str | Path,
    output: str | Path,
    *,
    radiance: str,
    view: int | str | None = None,
    step: int | None = None,
    path: str | Path | None = None,
    size: int,
    num_samples: int,
    num_bounces: int,
) -> None:
    """Writes a trained field as the camera of one of its photos sees it.

    Args:
        workdir: of `train`.
        output: PNG file.
        radiance: what the field's radiance is taken for: "albedo", paint in a studio, or
            "emission", light of its own, which gives the ordinary render.
        view: name of the photo, or its position in the order of the files; the first held-out one
            if None.
        step: of the checkpoint; the latest if None.
        path: folder of other photos of the same world; if None, no photo is needed where the run
            remembers its cameras.
        size: longer side, pixels.
        num_samples: rays a pixel.
        num_bounces: of each path.

    Raises:
        Mistake: a view, a file name or a workdir that cannot be used.
    """
    output = _checked(output)
    check_backend()
    trained = load_trained(workdir, step)
    shot = find_shot(trained, workdir, view, path)
    field = trained.field
    setting = relight.SETTINGS[radiance](field, shot.scene_from_camera, shot.background)

    def colour(params: Any, key: Array, rays: Rays) -> Array:
        return path_trace(
            key,
            field.sdf,
            setting.material,
            params,
            rays,
            light=setting.light,
            environment=setting.environment,
            radius=1.0,  # the field knows nothing beyond the unit sphere
            num_bounces=num_bounces,
            # As in training: half the time of 2e-3 and 256 steps, and the same mean to 0.1 %.
            dmin=1e-2,
            max_steps=128,
        )

    height, width = shot.size
    scale = size / max(height, width)
    shape = (max(1, round(scale * height)), max(1, round(scale * width)))
    intrinsics = np.diag([scale, scale, 1.0]) @ shot.intrinsics
    shown = jax.tree_util.Partial(colour, trained.params["field"])
    _render(output, shown, intrinsics, shot.scene_from_camera, shape, num_samples)


def _checked(output: str | Path) -> Path:
    """The file as a path, refused before long work if it is no PNG."""
    output = Path(output)
    if output.suffix.lower() != ".png":
        raise Mistake(
            f"cannot write '{output}': suffix '{output.suffix}'; expected .png", setting="output"
        )
    return output


def _render(
    output: Path,
    radiance: Callable[[Array, Rays], Array],
    intrinsics: np.ndarray,
    scene_from_camera: np.ndarray,
    size: tuple[int, int],
    num_samples: int,
) -> None:
    key = jax.random.key(0)
    mean = render_samples(
        key, radiance, intrinsics, scene_from_camera, size, num_samples=num_samples
    )
    write_png(
        output, np.round(255 * np.asarray(srgb_from_linear(jnp.asarray(mean)))).astype(np.uint8)
    )
    height, width = size
    print(f"{output}: {width}x{height} pixels, {num_samples} paths a pixel")
