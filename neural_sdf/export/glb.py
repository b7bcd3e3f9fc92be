"""GLB, the binary form of glTF 2.0, written for one coloured mesh.

Written here because the photos' colours are sRGB with the light in them: glTF wants linear vertex
colours, and a material without lighting (KHR_materials_unlit) to show them unchanged; trimesh
writes them as if linear, too bright, under a default material of shaded metal.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from neural_sdf.export.mesh import Mesh
from neural_sdf.export.rounding import fits_float32


def glb(mesh: Mesh) -> bytes:
    """Binary glTF 2.0 with vertex colours shown as they are.

    Where 32 bits do not hold the coordinates they are about an origin of the mesh's own, which
    stands in the node; it is a 32-bit number too, so that readers of either precision agree on it.
    """
    origin = np.zeros(3)
    if not fits_float32(mesh):
        middle = (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0)) / 2
        origin = middle.astype(np.float32).astype(np.float64)
    vertices = (mesh.vertices - origin).astype("<f4")
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
        "nodes": [{"mesh": 0} | ({"translation": origin.tolist()} if origin.any() else {})],
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
    return _container(document, b"".join(array.tobytes() for array in arrays))


def _linear(colours: UInt8[np.ndarray, "V 3"]) -> Float[np.ndarray, "V 3"]:
    """Linear light of sRGB values (IEC 61966-2-1), in [0, 1]."""
    s = colours.astype(np.float64) / 255
    return np.where(s <= 0.04045, s / 12.92, ((s + 0.055) / 1.055) ** 2.4).astype("<f4")


def _container(document: dict[str, Any], binary: bytes) -> bytes:
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
