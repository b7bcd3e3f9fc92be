"""GLB files as other tools write them, made here by the letter of glTF 2.0."""

import base64
import json
import struct

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from neural_sdf.export import Mesh, describe, read_mesh
from neural_sdf.mistake import Mistake

KINDS = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
SOLID = trimesh.creation.icosphere(subdivisions=2)
BALL = Mesh(np.asarray(SOLID.vertices), np.asarray(SOLID.faces))
FACES = BALL.faces.astype("u2").ravel()


def document_of(
    vertices, faces=FACES, *, stride=0, accessor=None, primitive=None, node=None, **top
):
    """A file of one primitive: what is said of it, and its bytes."""
    rows = vertices if not stride else np.zeros((len(vertices), stride), "u1")
    if stride:
        width = 3 * vertices.itemsize
        rows[:, :width] = np.ascontiguousarray(vertices).view("u1").reshape(len(vertices), width)
    binary = rows.tobytes()
    binary += bytes(-len(binary) % 4)
    views = [{"buffer": 0, "byteLength": len(binary)} | ({"byteStride": stride} if stride else {})]
    views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": faces.nbytes})
    kinds = [KINDS[array.dtype.str[1:]] for array in (vertices, faces)]
    position = {"bufferView": 0, "componentType": kinds[0], "count": len(vertices), "type": "VEC3"}
    index = {"bufferView": 1, "componentType": kinds[1], "count": len(faces), "type": "SCALAR"}
    document = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0} | (node or {})],
        "meshes": [
            {"primitives": [{"attributes": {"POSITION": 0}, "indices": 1} | (primitive or {})]}
        ],
        "buffers": [{"byteLength": len(binary) + faces.nbytes}],
        "bufferViews": views,
        "accessors": [position | (accessor or {}), index],
    }
    return document | top, binary + faces.tobytes()


def pack(document, binary):
    text = json.dumps(document).encode()
    text, binary = text + b" " * (-len(text) % 4), binary + bytes(-len(binary) % 4)
    head = struct.pack("<4sII", b"glTF", 2, 28 + len(text) + len(binary))
    chunks = ((len(text), b"JSON", text), (len(binary), b"BIN\0", binary))
    return head + b"".join(struct.pack("<I4s", size, kind) + data for size, kind, data in chunks)


def read(tmp_path, *made, **said):
    path = tmp_path / "made.glb"
    path.write_bytes(pack(*(made if isinstance(made[0], dict) else document_of(*made, **said))))
    return read_mesh(path)


def quantised(kind):
    """The ball on whole numbers, and the node's transform that takes them back to it."""
    most = np.iinfo(kind).max
    lower = 0 if kind[0] == "u" else -most
    whole = np.round(lower + (BALL.vertices + 1) / 2 * (most - lower)).astype(kind)
    scale = 2 / (most - lower)
    return whole, scale, -1 - lower * scale, most


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2"])
@pytest.mark.parametrize("normalised", [True, False])
def test_quantised_coordinates_are_read_at_their_true_size(kind, normalised, tmp_path):
    """As gltfpack and gltf-transform write them: padded to four bytes, the node takes them back."""
    whole, scale, shift, most = quantised(kind)
    node = {"scale": [scale * (most if normalised else 1)] * 3, "translation": [shift] * 3}
    mesh = read(
        tmp_path,
        whole,
        stride=4 if kind[1] == "1" else 8,
        accessor={"normalized": True} if normalised else {},
        node=node,
        extensionsUsed=["KHR_mesh_quantization"],
        extensionsRequired=["KHR_mesh_quantization"],
    )
    np.testing.assert_allclose(mesh.vertices, BALL.vertices, rtol=0, atol=0.51 * scale)
    np.testing.assert_array_equal(mesh.faces, BALL.faces)


def test_the_least_integer_is_minus_one_as_the_second_least_is(tmp_path):
    three = np.array([[-128, -127, 127], [0, 127, 0], [127, 0, 0]], "i1")
    mesh = read(tmp_path, three, np.arange(3, dtype="u1"), accessor={"normalized": True})
    np.testing.assert_array_equal(mesh.vertices, [[-1, -1, 1], [0, 1, 0], [1, 0, 0]])


def test_nodes_place_a_mesh_as_often_as_it_is_shown(tmp_path):
    turn = Rotation.from_euler("xyz", [20, -50, 110], degrees=True)
    inner = {"mesh": 0, "rotation": turn.as_quat().tolist(), "scale": [1, 2, 3]}
    matrix = np.eye(4)
    matrix[:3, 3] = 500_000.0, 4_600_000.0, 120.0
    document, binary = document_of(BALL.vertices.astype("f4"))
    document["nodes"] = [
        {"matrix": matrix.T.ravel().tolist(), "children": [1]},
        inner | {"translation": [0.5, 0.25, -1.0]},
        {"mesh": 0, "scale": [-1, 1, 1]},
    ]
    document["scenes"] = [{"nodes": []}, {"nodes": [0, 2]}]
    document["scene"] = 1
    mesh = read(tmp_path, document, binary)
    ball = BALL.vertices.astype("f4").astype(np.float64)
    placed = turn.apply(ball * [1, 2, 3]) + [0.5, 0.25, -1.0] + matrix[:3, 3]
    both = np.concatenate([placed, ball * [-1, 1, 1]])
    order = [np.lexsort(np.round(points, 6).T) for points in (mesh.vertices, both)]
    np.testing.assert_allclose(mesh.vertices[order[0]], both[order[1]], rtol=0, atol=1e-6)
    summary = describe(mesh)
    assert summary.watertight and summary.num_components == 2
    assert summary.volume == pytest.approx(7 * float(SOLID.volume), rel=1e-6)  # the mirror's too


def test_nodes_without_a_scene_are_shown(tmp_path):
    document, binary = document_of(BALL.vertices.astype("f4"), node={"translation": [1, 2, 3]})
    del document["scene"], document["scenes"]
    np.testing.assert_allclose(
        read(tmp_path, document, binary).vertices, np.add(BALL.vertices, [1, 2, 3]), atol=1e-6
    )


@pytest.mark.parametrize(("mode", "order"), [(5, [0, 1, 2, 3]), (6, [0, 1, 3, 2])])
def test_strips_and_fans_are_triangles_that_look_the_same_way(mode, order, tmp_path):
    square = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], "f4")
    mesh = read(tmp_path, square, np.array(order, "u1"), primitive={"mode": mode})
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces], 1, 0)
    np.testing.assert_allclose(np.cross(b - a, c - a), [[0, 0, 1]] * 2)


def test_triangles_without_indices_are_its_vertices_in_threes(tmp_path):
    document, binary = document_of(BALL.vertices[BALL.faces].reshape(-1, 3).astype("f4"))
    del document["meshes"][0]["primitives"][0]["indices"]
    mesh = read(tmp_path, document, binary)
    np.testing.assert_allclose(
        mesh.vertices[mesh.faces], BALL.vertices[BALL.faces], rtol=0, atol=1e-6
    )


def test_points_and_lines_beside_triangles_are_passed_over(tmp_path):
    document, binary = document_of(BALL.vertices.astype("f4"))
    document["meshes"][0]["primitives"].insert(0, {"attributes": {"POSITION": 0}, "mode": 0})
    mesh = read(tmp_path, document, binary)
    np.testing.assert_array_equal(mesh.faces - mesh.faces.min(), BALL.faces)
    assert describe(mesh).watertight


def test_sparse_coordinates_are_put_in_their_places(tmp_path):
    document, binary = document_of(BALL.vertices.astype("f4"))
    moved = np.array([[9, 8, 7]], "f4")
    document["bufferViews"] += [
        {"buffer": 0, "byteOffset": len(binary), "byteLength": 4},
        {"buffer": 0, "byteOffset": len(binary) + 4, "byteLength": moved.nbytes},
    ]
    document["accessors"][0]["sparse"] = {
        "count": 1,
        "indices": {"bufferView": 2, "componentType": 5123},
        "values": {"bufferView": 3},
    }
    mesh = read(tmp_path, document, binary + struct.pack("<HH", 5, 0) + moved.tobytes())
    expected = BALL.vertices.copy()
    expected[5] = 9, 8, 7
    np.testing.assert_allclose(mesh.vertices, expected, atol=1e-6)


def test_numbers_may_stand_in_the_text_or_in_a_file_beside_it(tmp_path):
    document, binary = document_of(BALL.vertices.astype("f4"))
    (tmp_path / "the numbers.bin").write_bytes(binary)
    coded = "data:application/octet-stream;base64," + base64.b64encode(binary).decode()
    for uri in (coded, "the%20numbers.bin"):
        document["buffers"][0]["uri"] = uri
        np.testing.assert_allclose(read(tmp_path, document, b"").vertices, BALL.vertices, atol=1e-6)


@pytest.mark.parametrize(
    "extension",
    ["EXT_meshopt_compression", "KHR_meshopt_compression", "KHR_draco_mesh_compression"],
)
def test_compressed_files_are_refused_by_name_with_the_way_out(extension, tmp_path):
    with pytest.raises(Mistake, match=rf"{extension}.*'gltf-transform cp made\.glb plain\.glb'"):
        read(tmp_path, BALL.vertices.astype("f4"), extensionsRequired=[extension])


@pytest.mark.parametrize("extension", ["EXT_meshopt_compression", "KHR_draco_mesh_compression"])
def test_compressed_files_that_forget_to_require_it_are_refused_too(extension, tmp_path):
    document, binary = document_of(BALL.vertices.astype("f4"), extensionsUsed=[extension])
    read(tmp_path, document, binary)  # with the plain numbers beside the others
    if extension.startswith("KHR"):
        del document["accessors"][0]["bufferView"]
    else:
        document["buffers"].append({"byteLength": 100})
    with pytest.raises(Mistake, match=extension):
        read(tmp_path, document, binary)


@pytest.mark.parametrize("level", ["extensionsUsed", "extensionsRequired"])
def test_repeated_meshes_are_refused_by_the_extensions_name(level, tmp_path):
    with pytest.raises(Mistake, match="EXT_mesh_gpu_instancing"):
        read(tmp_path, BALL.vertices.astype("f4"), **{level: ["EXT_mesh_gpu_instancing"]})


def test_what_only_changes_the_looks_may_be_required(tmp_path):
    names = [
        "KHR_materials_unlit",
        "KHR_texture_basisu",
        "EXT_texture_webp",
        "KHR_mesh_quantization",
    ]
    mesh = read(tmp_path, BALL.vertices.astype("f4"), extensionsRequired=names)
    assert len(mesh.faces) == len(BALL.faces)


@pytest.mark.parametrize("node", [{"skin": 0}, {"weights": [0.0, 0.5]}])
def test_posed_meshes_are_refused(node, tmp_path):
    with pytest.raises(Mistake, match="posed by bones or blended shapes"):
        read(tmp_path, BALL.vertices.astype("f4"), node=node)


def break_count(document):
    document["accessors"][0]["count"] *= 2


def break_tree(document):
    document["nodes"][0]["children"] = [0]


def break_kind(document):
    document["accessors"][0]["componentType"] = 7


def break_view(document):
    document["accessors"][0]["bufferView"] = 99


@pytest.mark.parametrize("damage", [break_count, break_tree, break_kind, break_view])
def test_damaged_files_are_told_in_one_line(damage, tmp_path):
    document, binary = document_of(BALL.vertices.astype("f4"))
    damage(document)
    with pytest.raises(Mistake, match="it is damaged, or not what its suffix says"):
        read(tmp_path, document, binary)
