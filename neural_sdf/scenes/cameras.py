"""How the pixels of a batch become rays: what a run may learn of its cameras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from neural_sdf.geometry import Rays, pixel_rays
from neural_sdf.scenes.batch import Batch


class CameraModel(NamedTuple):
    """Cameras as a tuple of pure functions, as a field is.

    Attributes:
        init: number of training views -> params, a tree of arrays; empty if nothing is learned.
        rays: (params, batch) -> rays through the pixels, scene frame, [N]; differentiable in both.
    """

    init: Callable[[int], Any]
    rays: Callable[[Any, Batch], Rays]


def given() -> CameraModel:
    """The cameras as the photo set has them."""
    return CameraModel(
        init=lambda num_views: {},
        rays=lambda params, batch: pixel_rays(
            batch.intrinsics, batch.scene_from_camera, batch.pixels
        ),
    )


CAMERAS = {"given": given}
