"""Light that bounces: a path tracer on the same tracer."""

from neural_sdf.light.pathtrace import AreaLight, Material, path_trace
from neural_sdf.light.samples import render_samples

__all__ = ["AreaLight", "Material", "path_trace", "render_samples"]
