import json
import struct

import jax.numpy as jnp
import numpy as np
import pytest
import trimesh

from neural_sdf.export import (
    WRITERS,
    Mesh,
    colour_vertices,
    extract_mesh,
    files,
    read_mesh,
    require_writer,
    write_mesh,
)
from neural_sdf.geometry import shapes
from neural_sdf.machine.files import replace_file


@pytest.fixture(scope="module")
def mesh():
    plain = extract_mesh(lambda _, p: shapes.torus(p, 0.6, 0.25), None, resolution=16)
    return colour_vertices(plain._replace(vertices=30 * plain.vertices + 7), lambda p: p / 60 + 0.4)


@pytest.mark.parametrize("suffix", WRITERS)
def test_read_back_equals_written(suffix, mesh, tmp_path):
    path = tmp_path / f"mesh{suffix}"
    write_mesh(path, mesh)
    back = read_mesh(path)
    np.testing.assert_allclose(
        back.vertices[back.faces], mesh.vertices[mesh.faces], rtol=1e-6, atol=1e-6
    )
    if suffix != ".stl":  # loose triangles
        np.testing.assert_array_equal(back.faces, mesh.faces)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".ply", ".obj"])
def test_colours_read_back_by_trimesh_equal_those_written(suffix, mesh, tmp_path):
    write_mesh(tmp_path / f"mesh{suffix}", mesh)
    back = trimesh.load_mesh(tmp_path / f"mesh{suffix}", process=False)
    np.testing.assert_array_equal(back.visual.vertex_colors[:, :3], mesh.colours)


def test_glb_colours_are_linear_light_of_the_photos_colours(mesh):
    """Read by hand from the bytes, with the sRGB formula the other way round."""
    data = files.glb(mesh)
    magic, version, size = struct.unpack("<4sII", data[:12])
    assert (magic, version, size) == (b"glTF", 2, len(data))
    (length,) = struct.unpack("<I", data[12:16])
    document = json.loads(data[20 : 20 + length])
    accessor = document["accessors"][
        document["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]
    ]
    view = document["bufferViews"][accessor["bufferView"]]
    start = 28 + length + view["byteOffset"]
    linear = np.frombuffer(data[start : start + view["byteLength"]], "<f4").reshape(-1, 3)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(255 * srgb, mesh.colours, atol=0.01)
    assert "KHR_materials_unlit" in document["materials"][0]["extensions"]


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_mesh_without_colours_is_written_too(suffix, mesh, tmp_path):
    write_mesh(tmp_path / f"mesh{suffix}", mesh._replace(colours=None))
    assert len(read_mesh(tmp_path / f"mesh{suffix}").faces) == len(mesh.faces)


def test_suffix_may_be_in_capitals(mesh, tmp_path):
    write_mesh(tmp_path / "MESH.PLY", mesh)
    assert len(read_mesh(tmp_path / "MESH.PLY").faces) == len(mesh.faces)


@pytest.mark.parametrize("name", ["mesh.fbx", "mesh"])
def test_an_unknown_suffix_is_refused_with_the_choices(name, mesh, tmp_path):
    with pytest.raises(ValueError, match=r"expected one of \['.glb', '.obj', '.ply', '.stl'\]"):
        write_mesh(tmp_path / name, mesh)
    with pytest.raises(ValueError, match="suffix"):
        require_writer(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_field_without_a_zero_crossing_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="no surface"):
        write_mesh(
            tmp_path / "mesh.ply",
            extract_mesh(lambda _, p: 1.0 + jnp.sum(p**2, axis=-1), None, resolution=16),
        )
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "mesh.ply"
    path.write_bytes(b"old")

    def fail(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(ValueError, match="No space left"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_missing_folders_are_made(mesh, tmp_path):
    write_mesh(tmp_path / "new" / "mesh.stl", mesh)
    assert (tmp_path / "new" / "mesh.stl").is_file()


def test_a_missing_reference_is_refused(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        read_mesh(tmp_path / "mesh.ply")


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.6])
def test_a_truncated_reference_is_refused(suffix, share, mesh, tmp_path):
    path = tmp_path / f"mesh{suffix}"
    data = WRITERS[suffix](mesh)
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match=r"mesh\."):
        read_mesh(path)


def test_a_point_cloud_is_no_reference(tmp_path):
    trimesh.PointCloud(np.eye(3)).export(tmp_path / "points.ply")
    with pytest.raises(ValueError, match=r"points\.ply"):
        read_mesh(tmp_path / "points.ply")


def test_a_vertex_that_is_not_finite_is_refused(tmp_path):
    broken = Mesh(np.array([[0.0, 0, 0], [np.nan, 0, 0], [0, 1, 0]]), np.array([[0, 1, 2]]))
    write_mesh(tmp_path / "mesh.ply", broken)
    with pytest.raises(ValueError, match="not finite"):
        read_mesh(tmp_path / "mesh.ply")
