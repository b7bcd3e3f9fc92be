"""What no photo shows is not in a mesh; all that one may show is."""

import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.export import describe, extract_mesh, fill_cavities
from neural_sdf.geometry import shapes


def ball(points, x, radius):
    return shapes.sphere(points - jnp.array([x, 0.0, 0.0]), radius)


def mesh_of(sdf, **bounds):
    return extract_mesh(lambda _, points: sdf(points), None, resolution=64, **bounds)


def volume_of(*radii):
    return 4 / 3 * np.pi * np.sum(np.power(radii, 3))


def test_sealed_cavities_are_filled_and_pieces_outside_stay():
    def sdf(points):
        hollow = shapes.difference(ball(points, 0.3, 0.4), ball(points, 0.2, 0.15))
        hollow = shapes.difference(hollow, ball(points, 0.5, 0.1))
        return shapes.union(hollow, ball(points, -0.6, 0.1))

    mesh = mesh_of(sdf)
    assert describe(mesh).num_components == 4
    filled, count = fill_cavities(mesh)
    assert count == 2
    said = describe(filled)
    assert said.num_components == 2
    assert said.watertight
    assert said.volume == pytest.approx(volume_of(0.4, 0.1), rel=0.01)
    assert len(np.unique(filled.faces)) == len(filled.vertices)


def test_what_floats_in_a_cavity_goes_with_it():
    def sdf(points):
        shell = shapes.difference(ball(points, 0.0, 0.7), ball(points, 0.0, 0.5))
        inner = shapes.difference(ball(points, 0.1, 0.3), ball(points, 0.1, 0.15))
        return shapes.union(shell, inner)

    filled, count = fill_cavities(mesh_of(sdf))
    assert count == 2
    assert describe(filled).num_components == 1
    assert describe(filled).volume == pytest.approx(volume_of(0.7), rel=0.01)


def test_a_hollow_with_an_opening_stays_and_so_does_what_is_in_it():
    def sdf(points):
        bowl = shapes.difference(ball(points, 0.0, 0.7), ball(points, 0.0, 0.6))
        bowl = shapes.difference(bowl, ball(points, 0.7, 0.2))
        return shapes.union(bowl, ball(points, 0.0, 0.2))

    mesh = mesh_of(sdf)
    filled, count = fill_cavities(mesh)
    assert count == 0
    assert filled is mesh
    assert describe(filled).num_components == 2


def test_a_room_that_is_photographed_from_inside_stays():
    mesh = mesh_of(lambda points: -ball(points, 0.2, 0.5))
    filled, count = fill_cavities(mesh)
    assert count == 0
    assert describe(filled).num_components == 2


def test_the_bounding_sphere_may_have_any_radius():
    mesh = mesh_of(lambda points: -ball(points, 1.0, 3.0), radius=8.0)
    assert fill_cavities(mesh, radius=8.0)[1] == 0
    assert fill_cavities(mesh, radius=9.0)[1] == 1
