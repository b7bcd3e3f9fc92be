import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.measure import marching_cubes

from neural_sdf.export import blocks, describe, extract_mesh, grid, grid_values, slabs
from neural_sdf.export.blocks import BLOCK
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


def spread(samples):
    """A value at every point of the grid."""
    return slabs._values(samples, (slice(None),) * 3)


def at_once(field, slope, cover):
    """Marching cubes of the whole grid in one call, as it was before there were slabs."""
    axis = grid.grid_axis(cover)
    sphere = np.sqrt(sum(np.ix_(axis**2, axis**2, axis**2))).astype(np.float32) - np.float32(1)

    def scaled(values, change):
        values = values / np.float32(change)
        return np.where(values < 0, np.minimum(values, -1e-3), np.maximum(values, 1e-3))

    solid = np.maximum(scaled(field, slope * cover.cell), scaled(sphere, cover.cell))
    vertices, faces, _, _ = marching_cubes(solid, 0.0)
    return cover.lower + cover.cell * vertices.astype(np.float64), faces


FIELDS = [torus, shell, paraboloid, ripples, outgrown_box]


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("sdf", FIELDS)
def test_culled_mesh_is_the_dense_mesh(sdf, scale):
    cover = grid.covering_grid(1.0, 64)
    field, inside = dense(sdf, scale, cover)
    samples = grid.sample_field(sdf, scale, cover, 1.0, 16384)
    np.testing.assert_array_equal((spread(samples) < 0) & inside, (field < 0) & inside)
    vertices, faces = slabs.triangulate(samples, cover, 1.0)
    plain, triangles = at_once(field, samples.slope, cover)
    np.testing.assert_array_equal(faces, triangles)
    np.testing.assert_allclose(vertices, plain, atol=1e-6)


def test_empty_space_is_not_evaluated():
    samples = grid.sample_field(torus, 1.0, grid.covering_grid(1.0, 128), 1.0, 16384)
    assert samples.num_evaluations < 0.25 * 136**3
    assert samples.blocks.size < samples.num_evaluations


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
    np.testing.assert_array_equal(spread(samples) < 0, field < 0)
    assert samples.num_evaluations < 0.2 * field.size


def test_blocks_are_evaluated_with_one_compiled_program():
    shapes_seen = []

    def sdf(_, points):
        shapes_seen.append(points.shape)
        return shapes.sphere(points, 0.5)

    extract_mesh(sdf, None, resolution=40, chunk=5000)
    assert shapes_seen == [(4608, 3)]


def test_a_cell_that_straddles_blocks_asks_for_all_of_them():
    def asked(block, point, stored=((0, 0, 0), (1, 1, 1))):
        place, negative = np.full((2, 2, 2), -1), np.zeros((2, *(BLOCK,) * 3), bool)
        for i, index in enumerate(stored):
            place[index] = i
        negative[block][point] = True
        rows = np.array(stored)[[block]]
        return blocks.mixed_blocks(negative, place, np.zeros((2, 2, 2), bool), rows)

    assert asked(0, (7, 7, 7)).all()
    assert asked(1, (0, 0, 0)).all()
    assert np.argwhere(asked(0, (3, 3, 3))).tolist() == [[0, 0, 0]]
    assert np.argwhere(asked(0, (7, 3, 3))).tolist() == [[0, 0, 0], [1, 0, 0]]


def test_an_empty_block_beside_a_full_one_asks_for_all_that_share_their_cells():
    empty, full = np.ones((4, 4, 4), bool), np.zeros((4, 4, 4), bool)
    assert not blocks.junctions(empty, full).any()
    full[0, 0, 0], empty[0, 0, 0] = True, False
    assert np.argwhere(blocks.junctions(empty, full)).max() == 1
    assert blocks.junctions(empty, full).sum() == 8
    empty[:2, :2, :2] = False  # what lies between is evaluated anyway
    assert not blocks.junctions(empty, full).any()


def test_mixed_blocks_are_those_of_the_dense_rule():
    """Against a search through all cells of a grid with random signs and some blocks not stored."""
    rng = np.random.default_rng(0)
    stored, full = rng.random((3, 3, 3)) < 0.6, rng.random((3, 3, 3)) < 0.1
    place = np.where(stored, np.cumsum(stored).reshape(stored.shape) - 1, -1)
    negative = rng.random((stored.sum(), *(BLOCK,) * 3)) < 2e-3
    signs = np.zeros((3 * BLOCK,) * 3, bool)
    for index in np.ndindex(3, 3, 3):
        block = tuple(slice(BLOCK * i, BLOCK * (i + 1)) for i in index)
        signs[block] = negative[place[index]] if stored[index] else full[index]
    expected = np.zeros((3, 3, 3), bool)
    for cell in np.ndindex(*(n - 1 for n in signs.shape)):
        corners = [np.add(cell, corner) for corner in np.ndindex(2, 2, 2)]
        owners = {tuple(map(int, corner // BLOCK)) for corner in corners}
        values = {bool(signs[tuple(corner)]) for corner in corners}
        if len(values) == 2 and any(stored[owner] for owner in owners):
            expected[tuple(np.transpose(list(owners)))] = True
    rows = np.argwhere(stored)
    np.testing.assert_array_equal(blocks.mixed_blocks(negative, place, full, rows), expected)
    assert 0 < expected.sum() < 27


def test_vertices_nearer_to_a_grid_point_than_float32_can_tell_are_joined():
    """A ball of one step in value, about a block's centre: the slopes there are 0."""
    cover = grid.covering_grid(1.0, 64)
    middle = cover.lower + cover.cell * (8 * np.array([4, 4, 5]) + 3.5)

    def step(_, points):
        return jnp.where(shapes.sphere(points - middle, 6 * cover.cell) < 0, -1.0, 1e6)

    mesh = extract_mesh(step, None, resolution=64)
    assert describe(mesh).watertight
    assert len(np.unique(mesh.vertices, axis=0)) == len(mesh.vertices)


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
