"""Photo sets in their own layouts become a `Scene`, and a scene gives batches of pixels."""

from neural_sdf.data.feed import DeviceFeed, HostFeed, drawn_shapes
from neural_sdf.data.formats import FORMATS
from neural_sdf.data.load import load_scene, scene_memory
from neural_sdf.data.masked import MASKING
from neural_sdf.data.photos import Memory
from neural_sdf.data.preview import scene_picture
from neural_sdf.data.scene import (
    Batch,
    Drawn,
    Scene,
    Source,
    background_colour,
    drawn_batch,
    pixel_batch,
    sample_batch,
    view_masks,
    view_pixels,
)
from neural_sdf.data.sheets import mask_sheet
from neural_sdf.data.write import in_scene_frame, world_from_camera, write_scene

__all__ = [
    "FORMATS",
    "MASKING",
    "Batch",
    "DeviceFeed",
    "Drawn",
    "HostFeed",
    "Memory",
    "Scene",
    "Source",
    "background_colour",
    "drawn_batch",
    "drawn_shapes",
    "in_scene_frame",
    "load_scene",
    "mask_sheet",
    "pixel_batch",
    "sample_batch",
    "scene_memory",
    "scene_picture",
    "view_masks",
    "view_pixels",
    "world_from_camera",
    "write_scene",
]
