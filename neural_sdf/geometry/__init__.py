"""Cameras, rays, similarity transforms, sparse points, analytic distances; pure JAX."""

from neural_sdf.geometry.bounds import clip_to_sphere
from neural_sdf.geometry.cameras import Rays, pixel_rays, project
from neural_sdf.geometry.rigid import rigid_from_twist
from neural_sdf.geometry.similarity import Similarity, inverse, transform_points
from neural_sdf.geometry.sparse_points import SparsePoints, standard_errors
from neural_sdf.geometry.text import coordinates

__all__ = [
    "Rays",
    "Similarity",
    "SparsePoints",
    "clip_to_sphere",
    "coordinates",
    "inverse",
    "pixel_rays",
    "project",
    "rigid_from_twist",
    "standard_errors",
    "transform_points",
]
