"""Photos with cameras in one frame, and the batches of pixels that a training step sees."""

from neural_sdf.scenes.feed import DeviceFeed, HostFeed, drawn_shapes
from neural_sdf.scenes.scene import (
    Batch,
    Drawn,
    Scene,
    Source,
    background_colour,
    drawn_batch,
    pixel_batch,
    sample_batch,
    view_mask,
    view_masks,
    view_photo,
    view_photos,
    view_pixels,
)

__all__ = [
    "Batch",
    "DeviceFeed",
    "Drawn",
    "HostFeed",
    "Scene",
    "Source",
    "background_colour",
    "drawn_batch",
    "drawn_shapes",
    "pixel_batch",
    "sample_batch",
    "view_mask",
    "view_masks",
    "view_photo",
    "view_photos",
    "view_pixels",
]
