"""Rays a second by batch, and pixels a second of a whole image."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from measure import Row, alternating_times, spread
from next_step import NextStep, rays_of, search

from neural_sdf.machine.memory import available_memory
from neural_sdf.rendering import compile_views, render_image
from neural_sdf.scenes import DeviceFeed, background_colour

BATCHES = (512, 2048, 8192, 32768, 65536)


def throughput(now: NextStep, batches: Sequence[int] = BATCHES) -> list[Row]:
    """Rays a second of the search alone, by batch, and pixels a second of an image."""
    find, rows = search(now), []
    for size in batches:
        batch = DeviceFeed(now.scene, size, now.trained.config.seed)(now.trained.step)
        arguments = (now.state.params, now.state.memory, rays_of(now, batch))
        times = alternating_times({"trace": find}, arguments)["trace"]
        rate = spread([size / t / 1e3 for t in times])
        rows.append(Row(f"throughput.batch_{size}", rate, "Mray/s"))
    return [*rows, image_rate(now)]


def image_rate(now: NextStep) -> Row:
    """Pixels a second of the last view, as evaluation renders it."""
    trained, scene = now.trained, now.scene
    render, chunk = compile_views(
        trained.run.renderer,
        trained.params,
        trained.share,
        np.asarray(scene.sizes)[-1:],
        background=background_colour(scene),
        available=available_memory(),
    )
    camera = scene.intrinsics[-1], scene.scene_from_camera[-1]
    height, width = (int(x) for x in scene.sizes[-1])
    whole = partial(render_image, render, *camera, (height, width), chunk=chunk)
    times = alternating_times({"image": whole}, ())["image"]
    rate = spread([height * width / t / 1e3 for t in times])
    return Row("throughput.image", rate, "Mpixel/s")
