"""From a signed-distance function to a mesh file: triangles, colours, frame, format."""

from neural_sdf.export.cavities import fill_cavities
from neural_sdf.export.files import WRITERS, read_mesh, require_writer, write_mesh
from neural_sdf.export.forecast import COARSE, mesh_memory, require_memory
from neural_sdf.export.grid import grid_values
from neural_sdf.export.mesh import (
    Mesh,
    MeshSummary,
    as_trimesh,
    colour_vertices,
    describe,
    extract_mesh,
    share_on_sphere,
    to_world,
)

__all__ = [
    "COARSE",
    "WRITERS",
    "Mesh",
    "MeshSummary",
    "as_trimesh",
    "colour_vertices",
    "describe",
    "extract_mesh",
    "fill_cavities",
    "grid_values",
    "mesh_memory",
    "read_mesh",
    "require_memory",
    "require_writer",
    "share_on_sphere",
    "to_world",
    "write_mesh",
]
