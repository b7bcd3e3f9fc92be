"""The triangles of a GLB file, the binary form of glTF 2.0.

Read here because trimesh 5.2 takes quantised coordinates (`normalized`) for up to 65535 times what
they are, and passes over sparse ones and over extensions that a reader is required to know.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np
from jaxtyping import Float64, Int
from trimesh.transformations import quaternion_matrix

from neural_sdf.export.mesh import Mesh
from neural_sdf.mistake import Mistake

NUMBERS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC3": 3}
TRIANGLES, STRIP, FAN = 4, 5, 6  # modes of a primitive; all others are points and lines
# What may be required of a reader and leaves triangles as they are, by its beginning; and that
# coordinates may be whole numbers, which is read.
READ = ("KHR_mesh_quantization", "KHR_materials_", "KHR_texture_", "EXT_texture_", "KHR_lights_")
COMPRESSED = ("KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_meshopt_compression")
REPEATED = "EXT_mesh_gpu_instancing"


class File(NamedTuple):
    """What a GLB file holds: its document, and the bytes that the document speaks of."""

    document: dict[str, Any]
    buffers: list[bytes]


def read_glb(path: Path) -> Mesh:
    """All triangles of a file, each where its nodes place it, in float64 and without colours.

    Raises:
        Mistake: if it is compressed, or needs anything else that would move its triangles.
        Exception: of any kind, if it is damaged.
    """
    document, binary = _chunks(path.read_bytes())
    _refuse_extensions(path, document)
    _refuse_poses(path, document)
    buffers = [_buffer(path, entry, binary) for entry in document.get("buffers", [])]
    file, parts, count = File(document, buffers), [], 0
    for mesh, world_from_mesh in _placed_meshes(document):
        turn, place = world_from_mesh[:3, :3], world_from_mesh[:3, 3]
        for primitive in document["meshes"][mesh]["primitives"]:
            vertices, faces = _triangles(file, primitive)
            if np.linalg.det(turn) < 0:  # a mirror, which by the format keeps the outside outside
                faces = faces[:, ::-1]
            parts.append((vertices @ turn.T + place, faces + count))
            count += len(vertices)
    parts = parts or [(np.empty((0, 3)), np.empty((0, 3), np.int64))]
    return Mesh(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _refuse_extensions(path: Path, document: dict[str, Any]) -> None:
    required, used = (document.get(f"extensions{x}", []) for x in ("Required", "Used"))
    unread = [name for name in required if not name.startswith(READ)]
    # What is used and not required has plain numbers too, if the file is as it should be.
    plain = all("bufferView" in x or "sparse" in x for x in document.get("accessors", []))
    plain &= all("uri" in x for x in document.get("buffers", [])[1:])
    others = (REPEATED,) if plain else (REPEATED, *COMPRESSED)
    unread += [name for name in others if name in used and name not in unread]
    if unread:
        packed = any(name in COMPRESSED for name in unread)
        raise Mistake(
            f"mesh '{path}' is written with {', '.join(unread)}; expected triangles as plain or"
            " quantised numbers",
            remedy=f"'gltf-transform cp {path.name} plain.glb' unpacks it" * packed
            or "export it without",
        )


def _refuse_poses(path: Path, document: dict[str, Any]) -> None:
    """Bones and blended shapes move vertices away from where the file has them."""
    holders = document.get("nodes", []) + document.get("meshes", [])
    if any("skin" in holder or any(holder.get("weights", [])) for holder in holders):
        raise Mistake(
            f"mesh '{path}' is posed by bones or blended shapes; expected triangles where they are",
            remedy="apply the pose and export it again",
        )


def _placed_meshes(document: dict[str, Any]) -> Iterator[tuple[int, Float64[np.ndarray, "4 4"]]]:
    """Every mesh of the scene as often as it is shown, with world_from_mesh."""
    nodes = document.get("nodes", [])
    roots = set(range(len(nodes))) - {x for node in nodes for x in node.get("children", [])}
    if "scenes" in document:
        roots = document["scenes"][document.get("scene", 0)].get("nodes", [])
    waiting, num_shown = [(index, np.eye(4)) for index in roots], 0
    while waiting:
        index, world_from_parent = waiting.pop()
        node, num_shown = nodes[index], num_shown + 1
        if num_shown > len(nodes):
            raise ValueError("its nodes are no tree")
        world_from_node = world_from_parent @ _parent_from_node(node)
        waiting += [(child, world_from_node) for child in node.get("children", [])]
        if "mesh" in node:
            yield node["mesh"], world_from_node


def _parent_from_node(node: dict[str, Any]) -> Float64[np.ndarray, "4 4"]:
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T  # column by column
    x, y, z, w = node.get("rotation", (0.0, 0.0, 0.0, 1.0))
    matrix = quaternion_matrix([w, x, y, z])
    matrix[:3, :3] *= np.array(node.get("scale", (1.0, 1.0, 1.0)))
    matrix[:3, 3] = node.get("translation", (0.0, 0.0, 0.0))
    return matrix


def _triangles(
    file: File, primitive: dict[str, Any]
) -> tuple[Float64[np.ndarray, "V 3"], Int[np.ndarray, "F 3"]]:
    """Vertices and faces of one primitive, in the frame of its mesh; no face of points or lines."""
    vertices = _numbers(file, primitive["attributes"]["POSITION"])
    corners = np.arange(len(vertices))
    if "indices" in primitive:
        corners = _numbers(file, primitive["indices"]).astype(np.int64).ravel()
    mode, first = primitive.get("mode", TRIANGLES), np.arange(max(len(corners) - 2, 0))
    if mode == TRIANGLES:
        return vertices, corners.reshape(-1, 3)
    if mode == STRIP:  # every second one is the other way round
        odd = first % 2
        return vertices, corners[np.stack([first, first + 1 + odd, first + 2 - odd], axis=1)]
    if mode == FAN:
        return vertices, corners[np.stack([first + 1, first + 2, 0 * first], axis=1)]
    return vertices, np.empty((0, 3), np.int64)


def _numbers(file: File, index: int) -> Float64[np.ndarray, "N w"]:
    """The values of an accessor; those that are kept as shares of an integer's range, as shares."""
    accessor = file.document["accessors"][index]
    kind, shape = accessor["componentType"], (accessor["count"], WIDTHS[accessor["type"]])
    if "bufferView" in accessor:
        values = _view(file, accessor, kind, shape)
    else:
        values = np.zeros(shape, NUMBERS[kind])
    if "sparse" in accessor:
        some, where = accessor["sparse"]["count"], accessor["sparse"]["indices"]
        rows = _view(file, where, where["componentType"], (some, 1)).ravel()
        values[rows] = _view(file, accessor["sparse"]["values"], kind, (some, shape[1]))
    if not accessor.get("normalized"):
        return values.astype(np.float64)
    return np.maximum(values / np.iinfo(values.dtype).max, -1.0)


def _view(file: File, part: dict[str, Any], kind: int, shape: tuple[int, int]) -> np.ndarray:
    """A copy of the numbers that a part of an accessor points to, which NumPy checks are there."""
    number, view = np.dtype(NUMBERS[kind]), file.document["bufferViews"][part["bufferView"]]
    start = view.get("byteOffset", 0)
    data = file.buffers[view["buffer"]][start : start + view["byteLength"]]
    strides = (view.get("byteStride", shape[1] * number.itemsize), number.itemsize)
    return np.ndarray(shape, number, data, part.get("byteOffset", 0), strides).copy()


def _buffer(path: Path, entry: dict[str, Any], binary: bytes) -> bytes:
    """The bytes of one buffer: in the file, in its text, or in another file beside it."""
    uri = entry.get("uri")
    if uri is None:
        return binary
    if uri.startswith("data:"):
        return base64.b64decode(uri.partition(",")[2])
    return (path.parent / unquote(uri)).read_bytes()


def _chunks(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The document of a GLB file and its bytes of numbers, which may be none."""
    magic, version, size = struct.unpack_from("<4sII", data)
    if magic != b"glTF" or version != 2:
        raise ValueError("it is no GLB file of version 2")
    if size > len(data):
        raise ValueError(f"it ends after {len(data)} of {size} bytes")
    chunks, start = {}, 12
    while start < size:
        length, kind = struct.unpack_from("<I4s", data, start)
        chunks.setdefault(kind, data[start + 8 : start + 8 + length])
        start += 8 + length
    return json.loads(chunks[b"JSON"]), chunks.get(b"BIN\0", b"")
