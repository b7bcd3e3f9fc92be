import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.export import extract_mesh, grid, grid_values, mesh
from neural_sdf.geometry import shapes


def torus(scale, points):
    return scale * shapes.torus(points, 0.6, 0.2)


def shell(scale, points):
    """Two nested surfaces with a thin wall: 1.5 cells at 64³."""
    return scale * shapes.difference(shapes.sphere(points, 0.7), shapes.sphere(points, 0.65))


def paraboloid(scale, points):
    """No distance: the slope grows from 0 at the centre to 2."""
    return scale * (jnp.sum(points**2, axis=-1) - 0.5)


def ripples(scale, points):
    """Steeper than at most block centres, with many separate pieces."""
    return scale * (jnp.prod(jnp.sin(9 * points), axis=-1) - 0.3)


def outgrown_box(scale, points):
    """Reaches beyond the sphere in x and y."""
    return scale * shapes.box(points, jnp.array([2.0, 1.0, 0.3]))


def dense(sdf, params, cover):
    """The plain method: every point of the grid evaluated, no blocks."""
    axis = grid.grid_axis(cover)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    values = sdf(params, jnp.asarray(points.reshape(-1, 3), jnp.float32))
    return np.asarray(values).reshape(points.shape[:-1]), np.linalg.norm(points, axis=-1) < 1


FIELDS = [torus, shell, paraboloid, ripples, outgrown_box]


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("sdf", FIELDS)
def test_culled_mesh_is_the_dense_mesh(sdf, scale):
    cover = grid.covering_grid(1.0, 64)
    field, inside = dense(sdf, scale, cover)
    samples = grid.sample_field(sdf, scale, cover, 1.0, 16384)
    np.testing.assert_array_equal((samples.values < 0) & inside, (field < 0) & inside)
    culled = mesh.triangulate(samples, cover, 1.0)
    plain = mesh.triangulate(samples._replace(values=field), cover, 1.0)
    np.testing.assert_array_equal(culled.faces, plain.faces)
    np.testing.assert_allclose(culled.vertices, plain.vertices, atol=1e-5)


def test_empty_space_is_not_evaluated():
    samples = grid.sample_field(torus, 1.0, grid.covering_grid(1.0, 128), 1.0, 16384)
    assert samples.num_evaluations < 0.25 * samples.values.size


def test_a_surface_is_followed_where_the_slopes_at_the_centres_say_nothing():
    """A ball with a thin rod, saturated to ±1 at every block's centre: all slopes are 0 there.

    The ball covers one centre; the rod keeps between the centres and crosses a row of blocks.
    """
    cover = grid.covering_grid(1.0, 64)
    centre = cover.lower + cover.cell * (8 * np.array([2, 4, 4]) + 3.5)
    middle = centre + cover.cell * np.array([16, 2.5, 2.5])

    def saturated(_, points):
        ball = shapes.sphere(points - centre, 4 * cover.cell)
        rod = shapes.box(points - middle, cover.cell * jnp.array([16, 1.2, 1.2]))
        return jnp.tanh(20 / cover.cell * shapes.union(ball, rod))

    samples = grid.sample_field(saturated, None, cover, 1.0, 16384)
    field, _ = dense(saturated, None, cover)
    np.testing.assert_array_equal(samples.values < 0, field < 0)
    assert samples.num_evaluations < 0.2 * field.size


def test_blocks_are_evaluated_with_one_compiled_program():
    shapes_seen = []

    def sdf(_, points):
        shapes_seen.append(points.shape)
        return shapes.sphere(points, 0.5)

    extract_mesh(sdf, None, resolution=40, chunk=5000)
    assert shapes_seen == [(4608, 3)]


def test_a_cell_that_straddles_blocks_asks_for_all_of_them():
    negative = np.zeros((16, 16, 16), bool)
    negative[7, 7, 7] = True
    assert grid._mixed_blocks(negative).all()
    negative[7, 7, 7], negative[8, 8, 8] = False, True
    assert grid._mixed_blocks(negative).all()
    negative[8, 8, 8], negative[3, 3, 3] = False, True
    assert np.argwhere(grid._mixed_blocks(negative)).tolist() == [[0, 0, 0]]


def test_a_field_that_is_not_finite_is_refused():
    def broken(_, points):
        return jnp.where(points[:, 0] > 0.3, jnp.nan, shapes.sphere(points, 0.5))

    with pytest.raises(ValueError, match="not finite"):
        extract_mesh(broken, None, resolution=32)


def test_grid_values_lower_for_accelerators_without_callbacks():
    evaluate = jax.jit(partial(grid_values, torus))
    arguments = (jax.ShapeDtypeStruct((), jnp.float32), jax.ShapeDtypeStruct((512, 3), jnp.float32))
    exported = jax.export.export(evaluate, platforms=["cuda", "tpu"])(*arguments)
    assert not re.findall(r"custom_call.*callback", exported.mlir_module())
