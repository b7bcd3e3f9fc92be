"""Mesh files: one writer a format, one reader for all.

Coordinates are written as they are. glTF says that y is up; a mesh in the frame of the photos keeps
that frame instead, so a viewer may show it lying down, but it fits the cameras. PLY, STL and GLB
hold 32-bit floats: about 7 digits of a coordinate.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float, UInt8
from trimesh.exchange.obj import export_obj
from trimesh.exchange.ply import export_ply
from trimesh.exchange.stl import export_stl

from neural_sdf.export.mesh import Mesh, as_trimesh
from neural_sdf.machine.files import replace_file
from neural_sdf.mistake import Mistake


def ply(mesh: Mesh) -> bytes:
    """Binary PLY with vertex colours."""
    return export_ply(as_trimesh(mesh), vertex_normal=False)


def obj(mesh: Mesh) -> bytes:
    """Wavefront OBJ with the common extension of three colour values behind each vertex."""
    return str(export_obj(as_trimesh(mesh), include_normals=False)).encode()


def stl(mesh: Mesh) -> bytes:
    """Binary STL: loose triangles. The format holds no colours; they are dropped."""
    return export_stl(as_trimesh(mesh._replace(colours=None)))


def glb(mesh: Mesh) -> bytes:
    """Binary glTF 2.0 with vertex colours shown as they are.

    Written here because the photos' colours are sRGB with the light in them: glTF wants linear
    vertex colours, and a material without lighting (KHR_materials_unlit) to show them unchanged;
    trimesh writes them as if linear, too bright, under a default material of shaded metal.
    """
    vertices = mesh.vertices.astype("<f4")
    lowest, highest = vertices.min(axis=0).tolist(), vertices.max(axis=0).tolist()
    arrays = [vertices, mesh.faces.astype("<u4").ravel()]
    accessors: list[dict[str, Any]] = [
        {"type": "VEC3", "componentType": 5126, "min": lowest, "max": highest},
        {"type": "SCALAR", "componentType": 5125},
    ]
    attributes, material = {"POSITION": 0}, {}
    if mesh.colours is not None:
        arrays.append(_linear(mesh.colours))
        accessors.append({"type": "VEC3", "componentType": 5126})
        attributes["COLOR_0"] = 2
        material["KHR_materials_unlit"] = {}
    ends = np.cumsum([array.nbytes for array in arrays]).tolist()
    document = {
        "asset": {"version": "2.0", "generator": "neural_sdf"},
        "extensionsUsed": list(material),
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": 1, "material": 0}]}],
        "materials": [{"pbrMetallicRoughness": {"metallicFactor": 0.0}, "extensions": material}],
        "buffers": [{"byteLength": ends[-1]}],
        "bufferViews": [
            {"buffer": 0, "byteOffset": end - array.nbytes, "byteLength": array.nbytes}
            for array, end in zip(arrays, ends, strict=True)
        ],
        "accessors": [
            accessor | {"bufferView": index, "count": len(arrays[index])}
            for index, accessor in enumerate(accessors)
        ],
    }
    if not material:  # glTF allows no empty list here
        del document["extensionsUsed"]
    return _glb_container(document, b"".join(array.tobytes() for array in arrays))


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

    Raises:
        Mistake: if the file is missing, of an unknown format, damaged, or holds no triangle.
    """
    if not path.is_file():
        raise Mistake(f"mesh '{path}' does not exist; expected a file {sorted(WRITERS)}")
    require_writer(path)
    try:
        loaded = trimesh.load_mesh(path, process=False)
        vertices, faces = np.asarray(loaded.vertices, np.float64), np.asarray(loaded.faces)
    except Exception as error:  # trimesh's readers raise whatever their parsing ran into
        raise Mistake(f"cannot read mesh '{path}': {error}", remedy="write it again") from error
    if not len(faces):
        raise Mistake(f"mesh '{path}' holds no triangle; expected a surface, not points")
    if not np.isfinite(vertices).all() or faces.min() < 0 or faces.max() >= len(vertices):
        raise Mistake(f"mesh '{path}' is damaged: a vertex is not finite or not there")
    return Mesh(vertices, faces)


def _linear(colours: UInt8[np.ndarray, "V 3"]) -> Float[np.ndarray, "V 3"]:
    """Linear light of sRGB values (IEC 61966-2-1), in [0, 1]."""
    s = colours.astype(np.float64) / 255
    return np.where(s <= 0.04045, s / 12.92, ((s + 0.055) / 1.055) ** 2.4).astype("<f4")


def _glb_container(document: dict[str, Any], binary: bytes) -> bytes:
    """The two chunks of a GLB file; both must fill multiples of four bytes, as 32-bit data does."""
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    return b"".join(
        [
            struct.pack("<4sII", b"glTF", 2, 28 + len(text) + len(binary)),
            struct.pack("<I4s", len(text), b"JSON") + text,
            struct.pack("<I4s", len(binary), b"BIN\0") + binary,
        ]
    )
