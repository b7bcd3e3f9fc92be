"""Mesh files: one writer a format, one reader for all.

Coordinates are the world's, in every format with the digits that the mesh's edges need: PLY takes
64 bits where 32 are too few, GLB an origin of its own, OBJ more decimals. STL has 32 bits alone.
glTF says that y is up; a mesh in the frame of the photos keeps that frame instead, so a viewer may
show it lying down, but it fits the cameras.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import trimesh
from trimesh.exchange.obj import export_obj
from trimesh.exchange.stl import export_stl

from neural_sdf.export.glb import glb
from neural_sdf.export.glb_reader import read_glb
from neural_sdf.export.mesh import Mesh, as_trimesh
from neural_sdf.export.rounding import FINE, edge_length, fits_float32, float32_step
from neural_sdf.machine.files import replace_file
from neural_sdf.mistake import Doubt, Mistake

RUINED = 0.25  # of an edge: with such a step corners meet and faces turn


def ply(mesh: Mesh) -> bytes:
    """Binary PLY with vertex colours; 64-bit coordinates where 32 bits are too few."""
    real, word = ("<f4", "float") if fits_float32(mesh) else ("<f8", "double")
    columns = {axis: (real, word, mesh.vertices[:, i]) for i, axis in enumerate("xyz")}
    if mesh.colours is not None:
        for i, colour in enumerate(("red", "green", "blue")):
            columns[colour] = ("u1", "uchar", mesh.colours[:, i])
    rows = np.empty(len(mesh.vertices), [(name, column[0]) for name, column in columns.items()])
    for name, column in columns.items():
        rows[name] = column[2]
    faces = np.empty(len(mesh.faces), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, mesh.faces
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(rows)}",
        *(f"property {column[1]} {name}" for name, column in columns.items()),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header\n",
    ]
    return "\n".join(header).encode() + rows.tobytes() + faces.tobytes()


def obj(mesh: Mesh) -> bytes:
    """Wavefront OBJ with the common extension of three colour values behind each vertex."""
    decimals = max(8, math.ceil(-math.log10(FINE * edge_length(mesh) or 1.0)))
    return str(export_obj(as_trimesh(mesh), include_normals=False, digits=decimals)).encode()


def stl(mesh: Mesh) -> bytes:
    """Binary STL: loose triangles. The format holds no colours; they are dropped.

    Warns:
        Doubt: if its 32-bit coordinates are coarse against the edges.

    Raises:
        Mistake: if they are so coarse that the shape is lost.
    """
    if not fits_float32(mesh):
        step, edge = float32_step(mesh), edge_length(mesh)
        told = (
            f"STL holds 32-bit coordinates alone, which so far from the origin are {step:.3g}"
            f" apart, for edges of the mesh, or cells of its grid, of {edge:.3g}"
        )
        keep = ".ply, .obj and .glb keep all digits"
        if step > RUINED * edge:
            raise Mistake(f"{told}; expected at most {RUINED:g} of that", remedy=keep)
        warnings.warn(Doubt(told, remedy=keep), stacklevel=1)
    return export_stl(as_trimesh(mesh._replace(colours=None)))


WRITERS: dict[str, Callable[[Mesh], bytes]] = {".ply": ply, ".obj": obj, ".stl": stl, ".glb": glb}


def require_writer(path: Path) -> Callable[[Mesh], bytes]:
    """The writer for a file's suffix; call it before long work, to fail early.

    Raises:
        Mistake: if no format has this suffix.
    """
    suffix = path.suffix.lower()
    if suffix not in WRITERS:
        raise Mistake(
            f"cannot tell the mesh format of '{path}': suffix '{path.suffix}' is unknown; expected "
            f"one of {sorted(WRITERS)}"
        )
    return WRITERS[suffix]


def write_mesh(path: Path, mesh: Mesh) -> None:
    """Writes the mesh in the format of the suffix (`WRITERS`), whole or not at all.

    Raises:
        Mistake: if the suffix is unknown or the file cannot be written.
    """
    replace_file(path, require_writer(path)(mesh))


def read_mesh(path: Path) -> Mesh:
    """The shape in a mesh file, such as a reference surface: all its parts, without colours.

    STL, which has loose triangles, is taken as a slicer takes it: equal corners are one vertex.

    Raises:
        Mistake: if the file is missing, of an unknown format, damaged, written in a way that is
            not read, or holds no triangle.
    """
    if not path.is_file():
        raise Mistake(f"mesh '{path}' does not exist; expected a file {sorted(WRITERS)}")
    require_writer(path)
    try:
        mesh = READERS.get(path.suffix.lower(), _read_plain)(path)
    except Mistake:
        raise
    except Exception as error:  # readers raise whatever their parsing ran into
        raise Mistake(
            f"cannot read mesh '{path}': it is damaged, or not what its suffix says"
            f" ({type(error).__name__}: {error})",
            remedy="write it again",
        ) from error
    vertices, faces = mesh.vertices, mesh.faces
    if not len(faces):
        raise Mistake(f"mesh '{path}' holds no triangle; expected a surface, not points")
    if not np.isfinite(vertices).all() or faces.min() < 0 or faces.max() >= len(vertices):
        raise Mistake(f"mesh '{path}' is damaged: a vertex is not finite or not there")
    return mesh


def _read_plain(path: Path) -> Mesh:
    loaded = trimesh.load_mesh(path, process=False)
    return Mesh(np.asarray(loaded.vertices, np.float64), np.asarray(loaded.faces))


def _read_loose(path: Path) -> Mesh:
    """Triangles that share the corners that are equal, without those that lost one so."""
    loose = _read_plain(path)
    vertices, index = np.unique(loose.vertices + 0.0, axis=0, return_inverse=True)  # no -0
    faces = index.reshape(-1)[loose.faces]
    return Mesh(vertices, faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)])


READERS: dict[str, Callable[[Path], Mesh]] = {".glb": read_glb, ".stl": _read_loose}
