import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.export import (
    Mesh,
    colour_vertices,
    describe,
    extract_mesh,
    share_on_sphere,
    to_world,
)
from neural_sdf.geometry import Similarity, shapes


def ball(params, points):
    return shapes.sphere(points - params["centre"], params["radius"])


def ball_mesh(radius=0.5, centre=(0.0, 0.0, 0.0), **settings):
    params = {"centre": jnp.array(centre), "radius": jnp.array(radius)}
    return extract_mesh(ball, params, **settings)


TURN = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
WORLD_FROM_SCENE = Similarity(np.float64(40.0), TURN, np.array([1e6, -20.0, 3.0]))


def test_a_sphere_is_watertight_outward_and_of_the_right_radius_in_world_units():
    mesh = to_world(ball_mesh(resolution=48, centre=(0.1, 0.2, 0.0)), WORLD_FROM_SCENE)
    summary = describe(mesh)
    centre = np.array([1e6 - 40 * 0.2, -20 + 40 * 0.1, 3.0])
    radius = np.linalg.norm(mesh.vertices - centre, axis=-1)
    assert summary.watertight
    assert summary.num_components == 1
    # Linear interpolation on the grid: within cell² / (8 r) = 0.43e-3 scene units of the sphere.
    assert np.abs(radius - 20).max() < 40 * 0.5e-3
    assert summary.volume == pytest.approx(4 / 3 * np.pi * 20**3, rel=0.01)
    np.testing.assert_allclose(summary.lower, centre - 20, atol=0.02)
    np.testing.assert_allclose(summary.upper, centre + 20, atol=0.02)


def test_faces_look_outward():
    mesh = ball_mesh(resolution=32)
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces], 1, 0)
    assert (np.sum(np.cross(b - a, c - a) * (a + b + c), axis=-1) > 0).all()


def test_a_surface_through_grid_points_has_no_hole_and_no_collapsed_face():
    """An octahedron whose faces and tips all lie on points of the grid: exact zeros."""
    mesh = extract_mesh(lambda _, p: jnp.sum(jnp.abs(p), axis=-1) - 0.5, None, resolution=32)
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces], 1, 0)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=-1) / 2
    assert describe(mesh).watertight
    assert area.min() > 0
    assert len(np.unique(mesh.vertices, axis=0)) == len(mesh.vertices)
    assert describe(mesh).volume == pytest.approx(4 / 3 * 0.5**3, rel=0.01)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e3])
def test_scaling_the_field_does_not_move_the_surface(scale):
    def torus(scale, points):
        return scale * shapes.torus(points, 0.6, 0.25)

    expected = extract_mesh(torus, 1.0, resolution=32)
    mesh = extract_mesh(torus, scale, resolution=32)
    np.testing.assert_array_equal(mesh.faces, expected.faces)
    np.testing.assert_allclose(mesh.vertices, expected.vertices, atol=1e-5)


def test_a_ball_cut_by_the_bounds_is_closed_by_a_piece_of_the_sphere():
    mesh = ball_mesh(resolution=48, radius=0.8, centre=(0.7, 0.0, 0.0))
    norm = np.linalg.norm(mesh.vertices, axis=-1)
    on_ball = np.abs(np.linalg.norm(mesh.vertices - [0.7, 0, 0], axis=-1) - 0.8) < 2e-3
    assert describe(mesh).watertight
    assert norm.max() < 1 + 1e-3
    assert ((norm > 1 - 2e-3) | on_ball).mean() > 0.98  # all but the crease
    # Two caps, by Archimedes: where |x|² = 1 and |x − c|² = 0.64 meet, x = 0.85 / 1.4.
    cap = [
        np.pi * h**2 * (3 * r - h) / 3 for r, h in [(1, 1 - 0.85 / 1.4), (0.8, 0.85 / 1.4 + 0.1)]
    ]
    assert describe(mesh).volume == pytest.approx(sum(cap), rel=0.01)


def test_share_on_sphere_tells_a_cut_surface_from_a_free_one():
    assert share_on_sphere(ball_mesh(resolution=32)) == 0
    assert share_on_sphere(ball_mesh(resolution=32, centre=(0.8, 0.0, 0.0))) > 0.1


def test_the_bounding_sphere_may_have_any_radius():
    params = {"centre": jnp.zeros(3), "radius": jnp.array(5.0)}
    mesh = extract_mesh(ball, params, resolution=32, radius=8.0)
    assert describe(mesh).volume == pytest.approx(4 / 3 * np.pi * 125, rel=0.02)


@pytest.mark.parametrize(
    ("radius", "share", "cure"), [(-0.5, "0%", "train longer"), (3.0, "100%", "fills the bounds")]
)
def test_a_field_of_one_sign_is_refused_with_its_range(radius, share, cure):
    with pytest.raises(ValueError, match=f"runs from .* to .* {share} of the sphere.*{cure}"):
        ball_mesh(radius, resolution=16)


def test_pieces_are_counted():
    def two(_, points):
        offset = jnp.array([0.5, 0.0, 0.0])
        return shapes.union(
            shapes.sphere(points - offset, 0.3), shapes.sphere(points + offset, 0.2)
        )

    assert describe(extract_mesh(two, None, resolution=40)).num_components == 2


def test_a_removed_face_is_not_watertight():
    mesh = ball_mesh(resolution=16)
    assert not describe(mesh._replace(faces=mesh.faces[1:])).watertight


def test_colours_follow_the_shade_function():
    mesh = ball_mesh(resolution=48)
    coloured = colour_vertices(mesh, lambda points: 0.5 + points * jnp.array([1.0, 0.5, -2.0]))
    expected = np.clip(0.5 + mesh.vertices * [1.0, 0.5, -2.0], 0, 1) * 255
    assert coloured.colours is not None
    assert np.abs(coloured.colours - expected).max() <= 0.5 + 1e-3


def test_shade_of_a_small_mesh_is_called_with_a_power_of_two():
    seen = []
    for resolution in (8, 48):
        mesh = ball_mesh(resolution=resolution)
        colour_vertices(mesh, lambda points: seen.append(len(points)) or np.abs(points))
    small, large = seen
    assert small == 1024
    assert large / 2 < len(mesh.vertices) <= large == 2 ** (large.bit_length() - 1)


def test_shade_is_called_with_one_shape(monkeypatch):
    monkeypatch.setattr("neural_sdf.export.mesh._CHUNK", 1000)
    seen = []

    def shade(points):
        seen.append(points.shape)
        return np.abs(points)

    mesh = colour_vertices(ball_mesh(resolution=48), shade)
    assert len(seen) > 1
    assert set(seen) == {(1000, 3)}
    assert np.abs(mesh.colours - 255 * np.abs(mesh.vertices)).max() <= 0.5 + 1e-3


def test_a_colour_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="colour is not finite"):
        colour_vertices(ball_mesh(resolution=16), lambda points: points * np.nan)


def test_a_scene_far_from_the_origin_keeps_its_detail():
    mesh = Mesh(np.array([[0.0, 0, 0], [1e-3, 0, 0], [0, 1e-3, 0]]), np.array([[0, 1, 2]]))
    world = to_world(mesh, Similarity(1.0, np.eye(3), np.array([5e6 + 0.3, 0, 0])))
    assert world.vertices[0, 0] == 5e6 + 0.3
    assert world.vertices[1, 0] - world.vertices[0, 0] == pytest.approx(1e-3, rel=1e-5)
