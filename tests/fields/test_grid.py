"""The grid encoding against a loop in NumPy, and its derivatives against finite differences."""

import functools
import itertools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.fields.grid import Grid, geometric_grid, grid_encoding, opened_levels, vertex_rows
from tests.cases import cases

GRIDS = {
    "dense": geometric_grid(2, 2, 5, 216),
    "hashed": geometric_grid(2, 7, 12, 100),
    "dense and hashed": geometric_grid(4, 2, 16, 300),
}
FEATURES = 3
encoded = jax.jit(grid_encoding, static_argnums=2)

pytestmark = pytest.mark.usefixtures("x64")


@pytest.fixture(params=cases(["dense and hashed"], ["dense", "hashed"]))
def grid(request) -> Grid:
    return GRIDS[request.param]


def table_of(grid: Grid, seed: int = 0):
    return jax.random.normal(jax.random.key(seed), (sum(grid.num_rows), FEATURES))


def random_points(count: int, seed: int = 1):
    return jax.random.uniform(jax.random.key(seed), (count, 3), minval=-1.0, maxval=1.0)


def face_points(grid: Grid):
    """Random points moved, in one, two and three coordinates, onto the faces of a level's cells."""
    rng = np.random.default_rng(2)
    points = rng.uniform(-1, 1, (24, 3))
    for i, point in enumerate(points):
        resolution = grid.resolutions[i % len(grid.resolutions)]
        axes = rng.permutation(3)[: 1 + i % 3]
        point[axes] = 2 * rng.integers(1, resolution, len(axes)) / resolution - 1
    return jnp.asarray(points)


def looped(table, points, grid: Grid) -> np.ndarray:
    """Written from the paper: Python integers, one vertex after another."""
    out = np.zeros((len(points), len(grid.resolutions), table.shape[1]))
    first = 0
    for level, (resolution, num_rows) in enumerate(
        zip(grid.resolutions, grid.num_rows, strict=True)
    ):
        for n, point in enumerate(points):
            place = (np.clip(point, -1, 1) + 1) / 2 * resolution
            cell = [min(int(p), resolution - 1) for p in place]
            for corner in itertools.product((0, 1), repeat=3):
                i, j, k = (c + d for c, d in zip(cell, corner, strict=True))
                if num_rows == (resolution + 1) ** 3:
                    row = i + (resolution + 1) * (j + (resolution + 1) * k)
                else:
                    row = (i ^ (j * 2654435761 % 2**32) ^ (k * 805459861 % 2**32)) % num_rows
                weight = 1.0
                for p, c, d in zip(place, cell, corner, strict=True):
                    step = np.polyval([6, -15, 10, 0, 0, 0], p - c)
                    weight *= step if d else 1 - step
                out[n, level] += weight * table[first + row]
        first += num_rows
    return out.reshape(len(points), -1)


def test_resolutions_grow_geometrically_and_large_levels_are_hashed():
    grid = geometric_grid(5, 8, 128, 2**15)
    assert grid.resolutions == (8, 16, 32, 64, 128)
    assert grid.num_rows == (9**3, 17**3, 2**15, 2**15, 2**15)


def test_one_level_is_the_coarsest():
    assert geometric_grid(1, 4, 64, 1000) == Grid((4,), (125,))


def test_encoding_is_that_of_a_loop_over_vertices(grid):
    corners = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))
    points = jnp.concatenate([random_points(40), face_points(grid), corners, jnp.zeros((1, 3))])
    table = table_of(grid)
    expected = looped(np.asarray(table), np.asarray(points), grid)
    np.testing.assert_allclose(encoded(table, points, grid), expected, atol=1e-12)


def test_rows_of_a_dense_level_are_its_own_vertices():
    resolution = 3
    grid = geometric_grid(1, resolution, resolution, 64)
    cells = jnp.array(list(itertools.product(range(resolution), repeat=3)))
    rows = np.asarray(vertex_rows(cells[:, None], grid))
    assert np.unique(rows).tolist() == list(range(64))
    assert all(len(set(eight)) == 8 for eight in rows[:, 0].tolist())


def test_levels_share_no_row(grid):
    cells = [
        jax.random.randint(jax.random.key(i), (500, 3), 0, r)
        for i, r in enumerate(grid.resolutions)
    ]
    rows = np.asarray(vertex_rows(jnp.stack(cells, axis=1), grid))
    ends = np.cumsum(grid.num_rows)
    for level, end in enumerate(ends):
        assert rows[:, level].min() >= end - grid.num_rows[level] and rows[:, level].max() < end


def test_encoding_of_a_constant_table_is_that_constant(grid):
    table = jnp.ones((sum(grid.num_rows), FEATURES)) * jnp.arange(1.0, 1 + FEATURES)
    points = random_points(50)
    features, slopes = jax.jvp(lambda x: encoded(table, x, grid), (points,), (points,))
    expected = np.tile(np.arange(1.0, 1 + FEATURES), (50, len(grid.resolutions)))
    np.testing.assert_allclose(features, expected, rtol=1e-12)
    np.testing.assert_allclose(slopes, 0.0, atol=1e-11)


def test_features_beyond_the_cube_are_those_of_the_nearest_face(grid):
    table = table_of(grid)
    outside = jnp.array(
        [[1.5, 0.2, -0.3], [-7.0, 2.0, 0.4], [1e30, -1e30, 1.0], [np.inf, 0.0, 0.0]]
    )
    found = encoded(table, outside, grid)
    np.testing.assert_array_equal(found, encoded(table, jnp.clip(outside, -1, 1), grid))
    assert np.isfinite(found).all()


def test_point_that_is_no_number_has_no_features(grid):
    points = jnp.array([[jnp.nan, 0.0, 0.0], [0.1, 0.2, 0.3]])
    features = encoded(table_of(grid), points, grid)
    assert np.isnan(features[0]).all() and np.isfinite(features[1]).all()


def test_single_precision_is_double_precision_rounded(grid):
    table, points = table_of(grid), random_points(200)
    found = encoded(table.astype(jnp.float32), points.astype(jnp.float32), grid)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, encoded(table, points, grid), atol=2e-5)


class Derivatives(NamedTuple):
    """Of a number that depends on all features, and not linearly; over points [N, 3]."""

    value: Callable
    gradient: Callable
    hessian: Callable


def one_value(table, x, grid: Grid):
    directions = jax.random.normal(jax.random.key(5), (len(grid.resolutions) * FEATURES,))
    return jnp.sin(grid_encoding(table, x[None], grid)[0] @ directions)


@functools.cache
def derivatives_of(grid: Grid, hessian=jax.hessian) -> Derivatives:
    f = lambda x: one_value(table_of(grid), x, grid)
    return Derivatives(*map(at_points, (f, jax.grad(f), hessian(f))))


def at_points(function: Callable) -> Callable:
    """Of up to 64 points [N, 3]: one program for every number of them."""
    batch = jax.jit(jax.vmap(function))
    return lambda points: batch(jnp.pad(points, ((0, 64 - len(points)), (0, 0))))[: len(points)]


def central(function, points, step: float):
    """Derivatives by the three coordinates, of fourth order in the step; the last axis."""
    columns = []
    for shift in step * np.eye(3):
        far_back, back, ahead, far_ahead = (function(points + k * shift) for k in (-2, -1, 1, 2))
        columns.append((8 * (ahead - back) - (far_ahead - far_back)) / (12 * step))
    return np.stack(columns, axis=-1)


def points_within_cells(grid: Grid, distance: float):
    points = random_points(60)
    places = (points[:, None] + 1) / 2 * np.array(grid.resolutions)[:, None]
    apart = jnp.abs(places - places.round()) / np.array(grid.resolutions)[:, None] * 2
    kept = points[apart.min(axis=(1, 2)) > distance]
    assert len(kept) > 30
    return kept


def test_gradient_and_hessian_are_those_of_finite_differences(grid):
    f = derivatives_of(grid)
    points, step = points_within_cells(grid, 3e-4), 1e-4
    gradient = central(f.value, points, step)
    np.testing.assert_allclose(f.gradient(points), gradient, rtol=1e-6, atol=1e-6)
    hessian = central(f.gradient, points, step)
    np.testing.assert_allclose(f.hessian(points), hessian, rtol=1e-6, atol=1e-4)


def test_gradient_and_hessian_on_faces_are_those_of_finite_differences_across_them(grid):
    f = derivatives_of(grid)
    points = face_points(grid)
    # The third derivative, of the order of 1e5, jumps here: the error of the gradient falls with
    # the square of the step, that of the Hessian with the step.
    gradient, hessian = central(f.value, points, 1e-6), central(f.gradient, points, 1e-8)
    np.testing.assert_allclose(f.gradient(points), gradient, atol=1e-6)
    np.testing.assert_allclose(f.hessian(points), hessian, atol=1e-2)
    assert np.abs(hessian).max() > 10


def test_value_gradient_and_hessian_are_continuous_across_faces(grid):
    points = face_points(grid)
    normals = np.random.default_rng(4).normal(size=points.shape)
    for derivative in derivatives_of(grid):
        sides = [derivative(points + distance * normals) for distance in (-1e-10, 1e-10)]
        np.testing.assert_allclose(*sides, atol=1e-4)


def test_encoding_is_flat_to_second_order_at_the_faces_of_the_cube(grid):
    points = [[1.0, 0.3, -0.2], [0.3, -1.0, 0.1], [1.7, 0.3, -0.2], [0.0, 0.1, 1.0]]
    axes = np.abs(points).argmax(axis=1)
    f, points = derivatives_of(grid), jnp.array(points)
    gradients, hessians = f.gradient(points), f.hessian(points)
    np.testing.assert_allclose(gradients[np.arange(4), axes], 0.0, atol=1e-12)
    np.testing.assert_allclose(hessians[np.arange(4), axes], 0.0, atol=1e-9)
    assert (np.abs(gradients).max(axis=1) > 1e-3).all()


@pytest.mark.parametrize(
    "order",
    [
        lambda f: jax.jacrev(jax.grad(f)),
        lambda f: jax.jacfwd(jax.jacfwd(f)),
        lambda f: jax.jacrev(jax.jacfwd(f)),
    ],
    ids=["reverse over reverse", "forward over forward", "reverse over forward"],
)
def test_hessian_is_the_same_by_every_order_of_modes(grid, order):
    points = jnp.concatenate([random_points(20), face_points(grid)])
    expected = derivatives_of(grid).hessian(points)  # forward over reverse
    found = derivatives_of(grid, hessian=order).hessian(points)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_table_gradient_of_the_slope_is_that_of_finite_differences(grid):
    """What a step on the eikonal term needs: d/dθ of Σ |∇f|², a mixed second derivative."""
    points = jnp.concatenate([random_points(20), face_points(grid)])

    @jax.jit
    def slope(table):
        gradients = jax.vmap(jax.grad(lambda x: one_value(table, x, grid)))(points)
        return jnp.sum(gradients**2)

    table, gradient = table_of(grid), jax.jit(jax.grad(slope))(table_of(grid))
    forward = jax.jit(lambda table, tangent: jax.jvp(slope, (table,), (tangent,))[1])
    for seed in range(5):
        tangent = table_of(grid, seed=10 + seed)
        ends = [slope(table + step * tangent) for step in (-2e-4, -1e-4, 1e-4, 2e-4)]
        expected = (8 * (ends[2] - ends[1]) - (ends[3] - ends[0])) / 12e-4
        along = jnp.vdot(gradient, tangent)
        np.testing.assert_allclose(along, expected, rtol=1e-6, atol=1e-6 * ends[0])
        np.testing.assert_allclose(along, forward(table, tangent), rtol=1e-9)


def test_table_gradient_reaches_only_the_corners_of_the_cell(grid):
    point = random_points(1)
    gradient = jax.grad(lambda table: encoded(table, point, grid).sum())(table_of(grid))
    cell = jnp.floor((point[:, None] + 1) / 2 * np.array(grid.resolutions)[:, None])
    rows = np.asarray(vertex_rows(cell.astype(jnp.int32), grid))
    assert set(np.flatnonzero(gradient[:, 0])) == set(rows.ravel().tolist())
    np.testing.assert_allclose(gradient.sum(), len(grid.resolutions) * FEATURES, rtol=1e-12)


def test_levels_open_one_after_the_other_and_all_before_half_of_the_run():
    shares = np.linspace(0.0, 1.0, 201)
    windows = np.asarray(jax.vmap(lambda share: opened_levels(share, 5))(jnp.asarray(shares)))
    assert windows[0].tolist() == [1, 0, 0, 0, 0]
    assert (windows[shares >= 0.5] == 1).all()
    assert (np.diff(windows, axis=0) >= 0).all() and (np.diff(windows, axis=1) <= 0).all()
    opening = (windows > 0) & (windows < 1)
    assert opening.sum(axis=1).max() == 1 and opening[:, 1:].sum(axis=0).min() > 15
