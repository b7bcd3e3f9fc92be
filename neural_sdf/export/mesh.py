"""Triangles of a field's zero level, their colours, their frame and what is to be said of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import trimesh
from jax import Array
from jaxtyping import Float, Int, UInt8

from neural_sdf.export.blocks import BLOCK
from neural_sdf.export.grid import covering_grid, in_chunks, sample_field
from neural_sdf.export.slabs import triangulate
from neural_sdf.geometry import Similarity, transform_points
from neural_sdf.machine.memory import power_of_two
from neural_sdf.mistake import Mistake

_CHUNK = 16384  # points; on two CPU cores faster than 65536, and an 8×512 network fits anywhere


class Mesh(NamedTuple):
    """Triangles, counter-clockwise seen from outside.

    Attributes:
        vertices: in the scene frame from `extract_mesh`, in the world's after `to_world`, [V, 3].
        faces: indices of vertices, [F, 3].
        colours: rgb as stored in the photos (sRGB), 0 to 255, [V, 3], or none.
    """

    vertices: Float[np.ndarray, "V 3"]
    faces: Int[np.ndarray, "F 3"]
    colours: UInt8[np.ndarray, "V 3"] | None = None


class MeshSummary(NamedTuple):
    """What a person wants to know of a mesh before using it.

    Attributes:
        num_vertices: how many vertices.
        num_faces: how many triangles.
        num_components: pieces not joined by an edge.
        watertight: whether every edge joins exactly two triangles.
        volume: enclosed, cubic units of the mesh's frame; negative if inside out, and without
            meaning if not watertight.
        lower: least coordinates.
        upper: greatest coordinates.
    """

    num_vertices: int
    num_faces: int
    num_components: int
    watertight: bool
    volume: float
    lower: tuple[float, float, float]
    upper: tuple[float, float, float]


def extract_mesh(
    sdf: Callable[[Any, Array], Array],
    params: Any,
    *,
    resolution: int = 256,
    radius: float = 1.0,
    chunk: int = _CHUNK,
) -> Mesh:
    """The surface of the solid where the field is negative, inside the bounding sphere.

    Marching cubes (Lorensen and Cline 1987, with the cases of Lewiner et al. 2003) of the greater
    of the field and |x| − radius. A solid that reaches beyond the sphere is cut there and closed
    by a piece of the sphere, so that the mesh stays watertight; `share_on_sphere` tells whether
    that happened. Space that cannot hold the surface is not evaluated (see `grid`).

    Args:
        sdf: `sdf(params, points[N, 3]) -> [N]`, jittable, negative inside, evaluated in float32;
            it need not have slope one.
        params: its parameters.
        resolution: cells across the sphere's diameter.
        radius: of the bounding sphere about the origin, scene units.
        chunk: points per evaluation, rounded down to a multiple of 512; bounds the memory.

    Returns:
        The mesh in the scene frame, without colours.

    Raises:
        Mistake: if the field has one sign in the whole sphere, or is not finite; or for fewer
            than two cells.
    """
    if resolution < 2:
        raise Mistake(
            f"mesh resolution is {resolution}; expected at least 2 cells, mostly 64 to 512",
            setting="resolution",
        )
    grid = covering_grid(radius, resolution)
    samples = sample_field(sdf, params, grid, radius, max(chunk // BLOCK**3, 1) * BLOCK**3)
    return Mesh(*triangulate(samples, grid, radius))


def to_world(mesh: Mesh, world_from_scene: Similarity) -> Mesh:
    """The mesh in the photos' own frame and units; in float64, since origins may be far off."""
    transform = Similarity(*(np.asarray(part, np.float64) for part in world_from_scene))
    return mesh._replace(vertices=np.asarray(transform_points(transform, mesh.vertices)))


def colour_vertices(mesh: Mesh, shade: Callable[[np.ndarray], Any]) -> Mesh:
    """The mesh with a colour at every vertex.

    Args:
        mesh: in the frame that `shade` speaks of, which for a field is the scene's.
        shade: `shade(points[N, 3]) -> rgb[N, 3]` in [0, 1]. It is called with a fixed N and
            float32 points; jitted, it compiles once.

    Raises:
        Mistake: if a colour is not finite.
    """
    points = mesh.vertices.astype(np.float32)
    # A power of two, so that meshes of nearly the same size share a program.
    chunk = min(_CHUNK, max(1024, power_of_two(len(points))))
    rgb = in_chunks(shade, points, chunk, "colouring")
    if not np.isfinite(rgb).all():
        raise Mistake("a vertex colour is not finite; expected rgb in [0, 1]")
    return mesh._replace(colours=np.round(255 * np.clip(rgb, 0, 1)).astype(np.uint8))


def share_on_sphere(mesh: Mesh, *, radius: float = 1.0, tolerance: float = 0.005) -> float:
    """Share of the vertices that lie on the bounding sphere: above 0, the bounds cut the surface.

    Args:
        mesh: in the scene frame.
        radius: of the bounding sphere, scene units.
        tolerance: how far from the sphere counts as on it, in radii; a cut by a grid of n cells
            lies within 1 / (2 n²) of it.
    """
    distance = np.linalg.norm(mesh.vertices, axis=-1) - radius
    return float(np.mean(np.abs(distance) < tolerance * radius))


def describe(mesh: Mesh) -> MeshSummary:
    """Counts, closedness and extent, in the units of the mesh's frame; fit for JSON."""
    solid = as_trimesh(mesh)
    lower, upper = solid.bounds.tolist()
    return MeshSummary(
        num_vertices=len(mesh.vertices),
        num_faces=len(mesh.faces),
        num_components=int(solid.body_count),
        watertight=bool(solid.is_watertight),
        volume=float(solid.volume),
        lower=tuple(lower),
        upper=tuple(upper),
    )


def as_trimesh(mesh: Mesh) -> trimesh.Trimesh:
    """The same mesh for trimesh; vertices are neither merged nor reordered."""
    return trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=mesh.colours, process=False)
