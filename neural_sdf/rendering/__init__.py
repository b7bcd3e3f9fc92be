"""Field and rays to colour, depth, normal and mask."""

from neural_sdf.rendering.coverage import coverage
from neural_sdf.rendering.images import Image, render_image
from neural_sdf.rendering.renderer import Renderer, Rendering
from neural_sdf.rendering.surface import surface
from neural_sdf.rendering.views import compile_views

RENDERERS = {"surface": surface}

__all__ = [
    "RENDERERS",
    "Image",
    "Renderer",
    "Rendering",
    "compile_views",
    "coverage",
    "render_image",
    "surface",
]
