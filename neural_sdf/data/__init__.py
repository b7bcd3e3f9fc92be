"""Photo sets in their own layouts become a `Scene`, and a scene gives batches of pixels."""

from neural_sdf.data.formats import FORMATS
from neural_sdf.data.load import load_scene
from neural_sdf.data.preview import write_preview
from neural_sdf.data.scene import (
    Batch,
    Scene,
    Source,
    background_colour,
    pixel_batch,
    sample_batch,
    view_masks,
    view_pixels,
)
from neural_sdf.data.write import in_scene_frame, world_from_camera, write_scene

__all__ = [
    "FORMATS",
    "Batch",
    "Scene",
    "Source",
    "background_colour",
    "in_scene_frame",
    "load_scene",
    "pixel_batch",
    "sample_batch",
    "view_masks",
    "view_pixels",
    "world_from_camera",
    "write_preview",
    "write_scene",
]
