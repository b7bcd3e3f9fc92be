"""Photos with cameras in one frame, and the batches of pixels that a training step sees."""

from neural_sdf.scenes.batch import Batch, batch_shapes
from neural_sdf.scenes.cameras import CAMERAS, CameraModel
from neural_sdf.scenes.depths import Depths
from neural_sdf.scenes.feed import DeviceFeed, HostFeed
from neural_sdf.scenes.pyramid import Pyramid
from neural_sdf.scenes.scene import (
    Scene,
    Source,
    background_colour,
    view_mask,
    view_masks,
    view_photo,
    view_photos,
    view_pixels,
)
from neural_sdf.scenes.sparse import ObjectPoints, object_points

__all__ = [
    "CAMERAS",
    "Batch",
    "CameraModel",
    "Depths",
    "DeviceFeed",
    "HostFeed",
    "ObjectPoints",
    "Pyramid",
    "Scene",
    "Source",
    "background_colour",
    "batch_shapes",
    "object_points",
    "view_mask",
    "view_masks",
    "view_photo",
    "view_photos",
    "view_pixels",
]
