"""Field and rays to colour, depth, normal and mask; light that bounces."""

from neural_sdf.rendering.colour import linear_from_srgb, srgb_from_linear
from neural_sdf.rendering.coverage import coverage
from neural_sdf.rendering.images import Image, render_image, render_samples
from neural_sdf.rendering.pathtrace import AreaLight, Material, path_trace
from neural_sdf.rendering.surface import Rendering, render_surface

RENDERERS = {"surface": render_surface}

__all__ = [
    "RENDERERS",
    "AreaLight",
    "Image",
    "Material",
    "Rendering",
    "coverage",
    "linear_from_srgb",
    "path_trace",
    "render_image",
    "render_samples",
    "render_surface",
    "srgb_from_linear",
]
