import numpy as np
import pytest
import trimesh

from neural_sdf.evaluation import compare_meshes, doubt_frame
from neural_sdf.evaluation.meshes import fscore
from neural_sdf.export import Mesh
from neural_sdf.mistake import Doubt

NUM_SAMPLES = 5000


def icosphere(radius=1.0, centre=(0.0, 0.0, 0.0)):
    solid = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    return Mesh(np.asarray(solid.vertices) + centre, np.asarray(solid.faces))


def square(height=0.0, size=1.0):
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float64)
    return Mesh(size * corners + [0, 0, height], np.array([[0, 1, 2], [0, 2, 3]]))


def test_chamfer_of_concentric_spheres_is_the_difference_of_their_radii():
    metrics = compare_meshes(icosphere(0.93), icosphere(1.0), num_samples=NUM_SAMPLES)
    assert metrics.chamfer == pytest.approx(0.07, rel=0.01)
    assert metrics.chamfer_relative == pytest.approx(0.07 / np.sqrt(12), rel=0.01)
    assert metrics.fscore == 0.0  # 1 % of the diagonal is 0.035
    assert metrics.normal_consistency == pytest.approx(1.0, abs=2e-3)


def test_a_mesh_is_at_no_distance_from_itself():
    metrics = compare_meshes(icosphere(), icosphere(), num_samples=NUM_SAMPLES)
    assert metrics.chamfer < 1e-12
    assert metrics.fscore == 1.0
    assert metrics.normal_consistency == pytest.approx(1.0, abs=1e-3)


def test_an_inside_out_mesh_has_normal_consistency_minus_one():
    sphere = icosphere()
    flipped = sphere._replace(faces=sphere.faces[:, ::-1])
    metrics = compare_meshes(flipped, sphere, num_samples=NUM_SAMPLES)
    assert metrics.normal_consistency == pytest.approx(-1.0, abs=1e-3)
    assert metrics.chamfer < 1e-12


def test_chamfer_is_the_mean_of_both_directions():
    """A unit square in the middle of a 3 × 3 one: none of its points is away from the large one.

    From the large square the mean distance to the small one is (4 · 1/2 + 4 · 0.7652) / 9, with
    0.7652 the mean distance of a unit square's points to its corner.
    """
    small, large = square(), square(size=3.0)
    small = small._replace(vertices=small.vertices + np.array([1, 1, 0]))
    corner = (np.sqrt(2) + np.arcsinh(1)) / 3
    expected = (2 + 4 * corner) / 9 / 2
    metrics = compare_meshes(small, large, num_samples=NUM_SAMPLES)
    assert metrics.chamfer == pytest.approx(expected, rel=0.03)
    assert metrics.chamfer_relative == pytest.approx(metrics.chamfer / np.sqrt(18))
    # All of the small one, 1/9 (and a rim of 0.042) of the large one lie within the threshold.
    rim = 0.01 * np.sqrt(18)
    recall = (1 + 4 * rim + np.pi * rim**2) / 9
    assert metrics.fscore == pytest.approx(2 * recall / (1 + recall), rel=0.05)


def test_distance_is_to_the_surface_and_not_to_its_vertices():
    metrics = compare_meshes(square(height=0.25), square(), num_samples=NUM_SAMPLES)
    assert metrics.chamfer == pytest.approx(0.25, abs=1e-12)


def test_samples_are_uniform_by_area():
    """Splitting one side of a box into 512 triangles does not draw the samples to it."""
    box = trimesh.creation.box()
    side = np.flatnonzero(box.face_normals[:, 0] < -0.5)
    vertices, faces = np.asarray(box.vertices), np.asarray(box.faces)
    for _ in range(4):
        others = np.setdiff1d(np.arange(len(faces)), side)
        num_old = len(others)
        vertices, faces = trimesh.remesh.subdivide(
            vertices, np.vstack([faces[others], faces[side]]), np.arange(num_old, len(faces))
        )
        side = np.flatnonzero((vertices[faces][:, :, 0] < -0.49).all(axis=1))
    far = Mesh(np.asarray(box.vertices) + np.array([9, 0, 0]), np.asarray(box.faces))
    even = compare_meshes(Mesh(np.asarray(box.vertices), np.asarray(box.faces)), far)
    uneven = compare_meshes(Mesh(vertices, faces), far)
    assert len(side) == 512
    assert uneven.chamfer == pytest.approx(even.chamfer, rel=0.002)


def test_same_seed_gives_the_same_numbers():
    a, b = icosphere(0.9), icosphere(1.0, (0.1, 0, 0))
    first = compare_meshes(a, b, num_samples=1000, seed=3)
    assert first == compare_meshes(a, b, num_samples=1000, seed=3)
    assert first != compare_meshes(a, b, num_samples=1000, seed=4)


def test_faces_of_no_area_change_nothing():
    sphere = icosphere()
    spoiled = sphere._replace(faces=np.vstack([sphere.faces, [[0, 0, 1], [5, 5, 5]]]))
    assert compare_meshes(spoiled, sphere, num_samples=1000) == compare_meshes(
        sphere, sphere, num_samples=1000
    )


def moved(factor=1.0, by=(0.0, 0.0, 0.0)):
    return lambda mesh: mesh._replace(vertices=factor * mesh.vertices + np.array(by))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            moved(1000),
            r"mesh is 3\.464 .* about \(1, 2, 3\), the reference 3464, about \(1000, ",
        ),
        (moved(0.001), r"the reference 0\.003464, .* the same units and frame"),
        (moved(1 / 3.2808), "see to those of reference"),
        (moved(4, (-3, -6, -9)), r"the reference 13\.86, about \(1, 2, 3\)"),
        (moved(by=(2.1, 0, 0)), r"about \(3\.1, 2, 3\)"),
        (moved(by=(0, 0, -50)), r"about \(1, 2, -47\)"),
    ],
)
def test_reference_of_other_units_or_another_place_is_doubted(change, words):
    mesh = icosphere(centre=(1.0, 2.0, 3.0))
    with pytest.warns(Doubt, match=words):
        doubt_frame(mesh, change(mesh))


@pytest.mark.parametrize(
    "change", [moved(), moved(2.0, (-1, -2, -3)), moved(0.5, (0.5, 1, 1.5)), moved(by=(0, 1.0, 0))]
)
def test_reference_of_about_the_same_size_and_place_is_not(change):
    mesh = icosphere(centre=(1.0, 2.0, 3.0))
    doubt_frame(mesh, change(mesh))
    doubt_frame(square(), square(height=0.1))


@pytest.mark.parametrize(
    ("accuracy", "completeness", "expected"),
    [
        ([0.0, 0.0], [0.0, 0.0], 1.0),
        ([2.0, 2.0], [2.0, 2.0], 0.0),
        ([0.0, 2.0], [0.0, 0.0], 2 * 0.5 / 1.5),
        ([0.0, 2.0], [2.0, 2.0], 0.0),
        ([0.0, 2.0, 2.0, 2.0], [0.0, 2.0], 2 * 0.125 / 0.75),
    ],
)
def test_fscore_of_known_distances(accuracy, completeness, expected):
    assert fscore(np.array(accuracy), np.array(completeness), 1.0) == pytest.approx(expected)


@pytest.mark.parametrize(
    "empty",
    [
        Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64)),
        Mesh(np.eye(3), np.array([[0, 0, 1]])),
    ],
)
def test_an_empty_mesh_is_refused_by_name(empty):
    with pytest.raises(ValueError, match="the mesh has no area"):
        compare_meshes(empty, icosphere())
    with pytest.raises(ValueError, match="the reference has no area"):
        compare_meshes(icosphere(), empty)


@pytest.mark.parametrize("place", [(500_000.0, 4_600_000.0, 120.0), (4.2e6, 1.7e5, 4.8e6)])
def test_no_digit_goes_to_where_in_the_world_the_meshes_are(place):
    here = icosphere(1.0, place)
    assert compare_meshes(here, here, num_samples=NUM_SAMPLES).chamfer < 1e-13
    metrics = compare_meshes(icosphere(0.93, place), here, num_samples=NUM_SAMPLES)
    assert metrics.chamfer == pytest.approx(0.07, rel=0.01)
