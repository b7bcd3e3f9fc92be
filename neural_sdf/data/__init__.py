"""Photo sets in their own layouts become a `Scene`, and a scene gives batches of pixels."""

from neural_sdf.data.load import FORMATS, load_scene
from neural_sdf.data.scene import (
    Batch,
    Scene,
    Source,
    background_colour,
    pixel_batch,
    sample_batch,
    view_pixels,
)

__all__ = [
    "FORMATS",
    "Batch",
    "Scene",
    "Source",
    "background_colour",
    "load_scene",
    "pixel_batch",
    "sample_batch",
    "view_pixels",
]
