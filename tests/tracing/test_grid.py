"""Known distances change what tracing costs, and nothing that it finds."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.geometry import clip_to_sphere
from neural_sdf.tracing import DistanceGrid, refresh, sample_grid, trace
from neural_sdf.tracing.grid import walk
from tests.tracing.scenes import LUMPY, in_sphere, looking_at, lumpy
from tests.tracing.witness import dense_reference

OTHER = {"offset": np.array([0.3, 0.2, -0.2], np.float32), "ring": np.float32(0.3)}


@pytest.fixture(scope="module")
def rays():
    return looking_at(jax.random.key(0), 2048, spread=1.0)


@pytest.fixture(scope="module")
def grid():
    return sampled(LUMPY)


sampled = jax.jit(functools.partial(sample_grid, lumpy))


@jax.jit
def traced(origins, directions, known):
    return in_sphere(lumpy, LUMPY, origins, directions, known=known)


@jax.jit
def refreshed(grid, turn):
    return refresh(grid, lumpy, LUMPY, turn)


@jax.jit
def walked(grid, origins, directions):
    near, far, _ = clip_to_sphere(origins, directions, 1.0)
    return walk(grid, origins, directions, near, far, lipschitz=1.0), near, far


def assert_same_hits(hits, others):
    """But for rays that all but touch: whether those hit is a matter of where they are asked."""
    other = np.asarray(hits.hit != others.hit)
    touching = np.minimum(np.abs(hits.value), np.abs(others.value)) < 1e-3
    grazing = np.minimum(hits.cosine, others.cosine) > -0.05
    assert not (other & ~(touching | grazing)).any()
    assert other.mean() <= 0.001
    both = np.asarray(hits.hit & others.hit)
    slant = np.abs(np.asarray(hits.cosine))
    assert (np.abs(hits.t - others.t) * slant)[both].max() < 1e-6


def test_walking_stops_before_every_surface(rays, grid):
    (start, _, _), near, far = walked(grid, *rays)
    hit, t, _ = dense_reference(lumpy, LUMPY, *rays)
    assert (np.asarray(start)[hit] < t[hit]).all()
    assert (start >= near).all() and (start <= far).all()
    assert 0.1 < np.mean(np.asarray(start == far)) < np.mean(~hit)  # surely misses
    assert np.mean(np.asarray(start - near)[hit]) > 0.7 * np.mean((t - near)[hit])


def test_least_value_on_the_way_is_about_that_of_the_field(rays, grid):
    origins, directions = rays
    (start, t_min, least), near, _ = walked(grid, *rays)
    seen = np.asarray((start > near) & (least < jnp.inf))
    field = lumpy(LUMPY, origins + t_min[:, None] * directions)
    assert np.abs(field - least)[seen].max() < 1 / 24
    assert (t_min <= start).all()


def test_known_distances_change_no_hit_and_save_evaluations(rays, grid):
    alone, helped = traced(*rays, None), traced(*rays, grid)
    assert_same_hits(helped, alone)
    assert helped.num_paid < 0.6 * alone.num_paid
    assert (helped.num_evaluations == 0).mean() > 0.1
    miss = ~np.asarray(alone.hit)
    np.testing.assert_allclose(helped.value[miss], alone.value[miss], atol=0.05)


@pytest.mark.parametrize("kind", ["random", "another shape", "too great"])
def test_wrong_distances_are_found_out_and_not_used(kind, rays, grid):
    noise = jax.random.uniform(jax.random.key(1), grid.values.shape, minval=-1.0, maxval=1.0)
    wrong = {
        "random": DistanceGrid(noise, jnp.float32(0)),
        "another shape": sampled(OTHER),
        "too great": DistanceGrid(grid.values + 0.2, jnp.float32(0)),
    }[kind]
    alone = traced(*rays, None)
    trusted = traced(*rays, wrong)
    assert (trusted.hit != alone.hit).mean() > 0.01 or kind == "random", "the test tells nothing"
    for turn in (0, 7):
        checked = refreshed(wrong, turn)
        assert checked.drift > 0.1
        assert_same_hits(traced(*rays, checked), alone)


def test_a_grid_mends_itself_within_one_round(rays, grid):
    wrong = sampled(OTHER)
    for turn in range(5, 5 + 17):
        wrong = refreshed(wrong, turn)
    assert wrong.drift == 0
    near_ball = np.linalg.norm(np.stack(np.meshgrid(*[np.linspace(-1, 1, 25)] * 3)), axis=0) < 1
    np.testing.assert_array_equal(wrong.values[near_ball], grid.values[near_ball])
    assert_same_hits(traced(*rays, wrong), traced(*rays, grid))


def test_drift_is_the_greatest_change_of_what_was_sampled(grid):
    moved = refresh(grid, lambda p, x: lumpy(p, x) + 0.03 * (x[:, 0] > 0), LUMPY, jnp.int32(3))
    np.testing.assert_allclose(moved.drift, 0.03, rtol=1e-5)
    changed = int((moved.values != grid.values).sum())
    assert 0.3 < changed / (grid.values.size * np.pi / 6 / 16) < 1.0


def test_distances_that_are_not_finite_are_not_used(rays, grid):
    broken = refresh(grid, lambda p, x: lumpy(p, x) * jnp.nan, LUMPY, jnp.int32(0))
    assert np.isinf(broken.drift)
    (start, _, _), near, _ = walked(broken, *rays)
    np.testing.assert_array_equal(start, near)


def test_nothing_is_presumed_outside_the_unit_ball(grid):
    origins, directions = jnp.array([[-3.0, 0.2, 0.0]]), jnp.array([[1.0, 0.0, 0.0]])
    ends = jnp.array([0.5]), jnp.array([5.0])
    start, _, least = walk(grid, origins, directions, *ends, lipschitz=1.0)
    assert start == 0.5 and np.isinf(least)


def test_derivatives_do_not_depend_on_known_distances(rays, grid):
    origins, directions = (x[:64] for x in rays)

    def loss(params, known):
        hits = in_sphere(lumpy, params, origins, directions, known=known)
        return jnp.sum(jnp.where(hits.hit, hits.t, 0.0) ** 2)

    gradient = jax.jit(jax.grad(loss))
    alone, helped = gradient(LUMPY, None), gradient(LUMPY, grid)
    for ours, theirs in zip(jax.tree.leaves(helped), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    of_grid = jax.jit(jax.grad(loss, 1, allow_int=True))(LUMPY, grid)
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(of_grid))


def test_a_start_within_the_shape_goes_back_to_the_near_end():
    """A grid that knows nothing of a wall leads rays through it into a ball behind."""
    wall = lambda p, x: jnp.minimum(jnp.linalg.norm(x, axis=-1) - 0.5, jnp.abs(x[:, 2] + 0.8) - 0.1)
    blind = sample_grid(lambda p, x: jnp.linalg.norm(x, axis=-1) - 0.2, None)
    origins, directions = jnp.array([[0.0, 0.0, -0.99]]), jnp.array([[0.0, 0.0, 1.0]])
    traced = jax.jit(functools.partial(trace, wall, None, near=0.0, far=1.9, known=blind))
    hits = traced(origins, directions)
    np.testing.assert_allclose(hits.t, 0.09, atol=1e-6)
