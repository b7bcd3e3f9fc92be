"""Meshes where surveys are: each file holds the float64 truth to a small part of a cell."""

import json
import struct
import warnings

import numpy as np
import pytest
import trimesh

from neural_sdf.export import (
    WRITERS,
    describe,
    extract_mesh,
    files,
    read_mesh,
    to_world,
    write_mesh,
)
from neural_sdf.geometry import Similarity, shapes
from neural_sdf.mistake import Doubt, Mistake

UTM, ECEF = (500_000.0, 4_600_000.0, 120.0), (4_201_000.0, 168_000.0, 4_780_000.0)
RADIUS, CELLS = 1.25, 24
CELL = 2 * RADIUS / CELLS


def torus(place):
    plain = extract_mesh(lambda _, p: shapes.torus(p, 0.6, 0.25), None, resolution=CELLS)
    coloured = plain._replace(colours=np.full((len(plain.vertices), 3), 128, np.uint8))
    return to_world(coloured, Similarity(np.array(RADIUS), np.eye(3), np.array(place, np.float64)))


def corners(mesh):
    return np.asarray(mesh.vertices)[np.asarray(mesh.faces)]


def glb_document(data):
    return json.loads(data[20 : 20 + struct.unpack_from("<I", data, 12)[0]])


@pytest.mark.parametrize("place", [UTM, ECEF])
@pytest.mark.parametrize("suffix", [".ply", ".obj", ".glb"])
@pytest.mark.parametrize("reader", [read_mesh, lambda path: trimesh.load_mesh(path, process=False)])
def test_files_far_from_the_origin_hold_the_world_coordinates(suffix, place, reader, tmp_path):
    mesh = torus(place)
    write_mesh(tmp_path / f"mesh{suffix}", mesh)
    back = reader(tmp_path / f"mesh{suffix}")
    np.testing.assert_allclose(corners(back), corners(mesh), rtol=0, atol=1e-4 * CELL)


def test_near_the_origin_coordinates_are_of_32_bits_about_no_other_origin():
    mesh = torus((3.0, -2.0, 0.5))
    assert b"property float x" in files.ply(mesh)
    assert "translation" not in glb_document(files.glb(mesh))["nodes"][0]


def test_readers_of_32_bits_place_a_glb_where_those_of_64_do():
    """Its origin is no half metre off for them, and its vertices are small numbers."""
    data = files.glb(torus(UTM))
    document = glb_document(data)
    origin = np.array(document["nodes"][0]["translation"])
    assert (origin == origin.astype(np.float32)).all()
    assert np.abs(origin - UTM).max() < 2 * RADIUS
    assert np.abs(document["accessors"][0]["max"]).max() < 2 * RADIUS


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_small_thing_keeps_its_shape(suffix, tmp_path):
    """As with a length in kilometres: no format counts decimals from one."""
    mesh = torus((0.0, 0.0, 0.0))
    small = mesh._replace(vertices=1e-7 * mesh.vertices)
    write_mesh(tmp_path / f"mesh{suffix}", small)
    back = read_mesh(tmp_path / f"mesh{suffix}")
    np.testing.assert_allclose(corners(back), corners(small), rtol=0, atol=1e-3 * 1e-7 * CELL)


@pytest.mark.parametrize("place", [UTM, ECEF])
def test_an_stl_that_would_lose_the_shape_is_refused_with_the_numbers(place, tmp_path):
    with pytest.raises(Mistake, match=r"are 0\.5 apart, .* of 0\.1.*\.ply, \.obj and \.glb keep"):
        write_mesh(tmp_path / "mesh.stl", torus(place))
    assert not list(tmp_path.iterdir())


def test_an_stl_that_loses_a_little_is_written_with_the_numbers(tmp_path):
    mesh = torus((5000.0, 0.0, 0.0))
    with pytest.warns(Doubt, match=r"are 0\.000488 apart, .* of 0\.1"):
        write_mesh(tmp_path / "mesh.stl", mesh)
    back = read_mesh(tmp_path / "mesh.stl")
    np.testing.assert_allclose(corners(back), corners(mesh), rtol=0, atol=0.0003)


@pytest.mark.parametrize("suffix", WRITERS)
def test_the_summary_of_a_file_is_that_of_the_mesh(suffix, tmp_path):
    """Also of STL, whose loose triangles a slicer joins where they meet."""
    mesh = torus((3.0, -2.0, 0.5))
    write_mesh(tmp_path / f"mesh{suffix}", mesh)
    expected, found = describe(mesh), describe(read_mesh(tmp_path / f"mesh{suffix}"))
    assert found[:4] == expected[:4] == (len(mesh.vertices), len(mesh.faces), 1, True)
    np.testing.assert_allclose(found.lower + found.upper, expected.lower + expected.upper, 1e-6)


def test_faces_that_an_stl_has_lost_are_not_in_its_summary(tmp_path):
    """Corners that have become the same number are one corner: the file is told, not the memory."""
    mesh = torus((150_000.0, 150_000.0, 150_000.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Doubt)
        write_mesh(tmp_path / "mesh.stl", mesh)
    found = describe(read_mesh(tmp_path / "mesh.stl"))
    stored = trimesh.load_mesh(tmp_path / "mesh.stl", process=False)
    distinct = [len({tuple(corner) for corner in triangle}) for triangle in stored.triangles]
    assert found.num_faces == distinct.count(3) < len(mesh.faces)
    assert found.num_vertices == len(np.unique(stored.vertices, axis=0))


def test_volume_and_extent_are_the_same_wherever_the_mesh_is():
    near, far = describe(torus((0.0, 0.0, 0.0))), describe(torus(ECEF))
    assert far.volume == pytest.approx(near.volume, rel=1e-6)
    np.testing.assert_allclose(np.subtract(far.lower, ECEF), near.lower, rtol=0, atol=1e-6)
