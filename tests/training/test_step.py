import collections
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from neural_sdf.fields import mlp
from neural_sdf.geometry import Similarity
from neural_sdf.rendering import render_surface
from neural_sdf.scenes import Scene, Source
from neural_sdf.tracing import trace
from neural_sdf.training import adam, doubling_sharpness, init_state, train_step

WEIGHTS = {"colour": 1.0, "eikonal": 0.1, "mask": 1.0}


@pytest.fixture(scope="module")
def scene() -> Scene:
    """A ball of radius 0.6, even in colour, in one photo of 16 by 16 pixels, drawn by NumPy."""
    size = 16
    intrinsics = np.array([[24.0, 0.0, 8.0], [0.0, 24.0, 8.0], [0.0, 0.0, 1.0]])
    pose = np.eye(4)
    pose[2, 3] = -3.0
    rows, columns = np.divmod(np.arange(size**2), size)
    directions = np.stack([columns + 0.5, rows + 0.5, np.ones(size**2)], axis=-1)
    directions = directions @ np.linalg.inv(intrinsics).T
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    mask = np.linalg.norm(np.cross(directions, pose[:3, 3]), axis=-1) < 0.6
    return Scene(
        rgb=np.where(mask[:, None], [204, 128, 64], 255).astype(np.uint8),
        mask=mask,
        offsets=np.array([0, size**2], np.int32),
        sizes=np.array([[size, size]], np.int32),
        intrinsics=intrinsics[None].astype(np.float32),
        scene_from_camera=pose[None].astype(np.float32),
        num_train=np.array(1, np.int32),
        world_from_scene=Similarity(np.array(1.0), np.eye(3), np.zeros(3)),
        source=Source(("photo",), (0,)),
    )


def step_of(field, *, seed=0, weights=WEIGHTS, learning_rate=1e-2):
    optimizer = optax.adam(learning_rate)
    step = train_step(
        field,
        functools.partial(render_surface, field),
        optimizer,
        seed=seed,
        steps=100,
        batch_size=64,
        weights=weights,
        sharpness=lambda step: 50.0 + 0.0 * step,
    )
    return step, init_state(field, optimizer, jax.random.key(0))


def run(field, scene, steps, **settings):
    step, state = step_of(field, **settings)
    history = []
    for _ in range(steps):
        state, metrics = step(state, scene)
        history.append(jax.device_get(metrics))
    return state, history


def test_update_is_annealed_by_the_share_of_the_run_that_is_done(sphere_field, scene):
    def anneal(updates, share):
        return {"radius": share * updates["radius"], "red": updates["red"]}

    step, state = step_of(sphere_field._replace(anneal=anneal))  # of 100 steps
    plain, _ = step_of(sphere_field)
    for done in (0, 25, 100):
        state = state._replace(step=jnp.int32(done))
        moved = plain(jax.tree.map(jnp.copy, state), scene)[0].params
        annealed = step(jax.tree.map(jnp.copy, state), scene)[0].params
        part = done / 100 * (moved["radius"] - state.params["radius"])
        np.testing.assert_allclose(annealed["radius"] - state.params["radius"], part, atol=1e-6)
        assert annealed["red"] == moved["red"] != state.params["red"]
        assert moved["radius"] != state.params["radius"]


@pytest.mark.parametrize("steps", [8, 800, 5000])
def test_sharpness_doubles_after_each_eighth_from_50_to_1600(steps):
    eighths = jnp.arange(8) * (steps // 8)
    values = jax.vmap(lambda step: doubling_sharpness(step, steps=steps))(eighths)
    assert values.tolist() == [50, 100, 200, 400, 800, 1600, 1600, 1600]


def learning_rates(optimizer, steps: int) -> np.ndarray:
    """What Adam moves by at each step under a constant gradient, which is the learning rate."""
    state = optimizer.init(jnp.float32(0))
    _, updates = jax.lax.scan(
        lambda state, _: optimizer.update(jnp.float32(-1), state)[::-1], state, length=steps
    )
    return np.asarray(updates)


def test_learning_rate_warms_up_and_falls_as_a_cosine():
    rates = learning_rates(adam(learning_rate=2e-3, steps=200, warmup=20, decay="cosine"), 201)
    k = np.arange(201)
    cosine = 0.05 + 0.95 * (1 + np.cos(np.pi * (k - 20) / 180)) / 2
    np.testing.assert_allclose(rates, 2e-3 * np.where(k < 20, k / 20, cosine), rtol=1e-3)


def test_learning_rate_halves_at_half_and_three_quarters_of_the_run():
    rates = learning_rates(adam(learning_rate=1e-3, steps=100, warmup=10, decay="halving"), 100)
    np.testing.assert_allclose(rates[10:50], 1e-3, rtol=1e-3)
    np.testing.assert_allclose(rates[51:75], 5e-4, rtol=1e-3)
    np.testing.assert_allclose(rates[76:], 2.5e-4, rtol=1e-3)


def test_learning_rate_without_warm_up_starts_at_its_highest():
    rates = learning_rates(adam(learning_rate=1e-3, steps=10, warmup=0), 1)
    np.testing.assert_allclose(rates, 1e-3, rtol=1e-3)


def test_unknown_decay_is_answered_with_those_that_exist():
    with pytest.raises(
        ValueError,
        match=r"decay 'linear' is unknown; expected one of \['cosine', 'halving'\]; set config",
    ):
        adam(learning_rate=1e-3, steps=10, warmup=1, decay="linear")


def test_unknown_loss_is_answered_with_those_that_exist(sphere_field):
    with pytest.raises(
        ValueError,
        match=r"loss name 'depth' is unknown; expected some of \['colour', .*; set config",
    ):
        step_of(sphere_field, weights={"colour": 1.0, "depth": 1.0})


@pytest.fixture(scope="module")
def long_run(sphere_field, scene):
    return run(sphere_field, scene, 60, learning_rate=2e-2)


def test_steps_lower_the_loss_and_move_the_parameters_to_the_truth(long_run):
    state, history = long_run
    losses = np.array([metrics["loss"] for metrics in history])
    assert losses[-10:].mean() < 0.7 * losses[:10].mean()
    assert abs(state.params["radius"] - 0.6) < 0.04  # from 0.5
    assert abs(state.params["red"] - 0.8) < 0.1  # from 0.2


def test_steps_are_a_function_of_seed_and_step(sphere_field, scene):
    first, history = run(sphere_field, scene, 3)
    second, again = run(sphere_field, scene, 3)
    jax.tree.map(np.testing.assert_array_equal, first, second)
    assert history == again
    _, other = run(sphere_field, scene, 3, seed=1)
    assert [m["loss"] for m in other] != [m["loss"] for m in history]


def test_batches_of_different_steps_differ(sphere_field, scene):
    _, history = run(sphere_field, scene, 6, learning_rate=0.0)
    assert len({float(metrics["hit_rate"]) for metrics in history}) > 1


def test_metrics_are_finite(long_run):
    for metrics in long_run[1]:
        assert all(np.isfinite(value) for value in metrics.values())
        assert metrics["grazing"] <= metrics["hit_rate"]
        assert metrics["unfinished"] == 0


def test_running_loss_is_the_mean_of_the_first_hundred_steps(long_run):
    state, history = long_run
    assert state.step == 60
    np.testing.assert_allclose(state.loss, np.mean([m["loss"] for m in history]), rtol=1e-5)


def test_running_loss_forgets_over_a_hundred_steps(sphere_field, scene):
    step, state = step_of(sphere_field)
    state = state._replace(step=jnp.int32(5000), loss=jnp.float32(1.0))
    state, metrics = step(state, scene)
    np.testing.assert_allclose(state.loss, 0.99 + 0.01 * metrics["loss"], rtol=1e-6)


# ---- what rays start from


@pytest.fixture(scope="module")
def network():
    return mlp(width=48, depth=2, skip=0, num_octaves=4, num_features=8, radiance_width=24)


def test_distances_of_200_steps_ago_are_found_out_and_change_nothing(network, scene):
    step, state = step_of(network, learning_rate=1e-3)
    old = jax.tree.map(jnp.copy, state.known)
    for _ in range(200):
        state, _ = step(state, scene)
    stale = state._replace(known=old)
    _, with_old = step(jax.tree.map(jnp.copy, stale), scene)
    _, with_new = step(state, scene)
    assert with_old["drift"] > 3 * with_new["drift"]
    assert with_old["hit_rate"] == with_new["hit_rate"]
    assert with_old["evaluations"] > with_new["evaluations"]
    assert with_old["mask_error"] == with_new["mask_error"]
    np.testing.assert_allclose(with_old["colour"], with_new["colour"], rtol=1e-4)


def test_distances_are_those_that_the_field_has_now(network, scene):
    """With a learning rate of zero nothing moves, whatever the turn."""
    step, state = step_of(network, learning_rate=0.0)
    before = np.asarray(state.known.values)
    for _ in range(3):
        state, metrics = step(state, scene)
        assert metrics["drift"] < 1e-6  # products of another size are rounded otherwise
    np.testing.assert_allclose(state.known.values, before, atol=1e-6)


# ---- one pass at the surface


def products_at_rays(render, network, scene):
    """Matrix products of the compiled step that have a row for each ray, outside of the march."""
    step = train_step(
        network,
        render,
        optax.adam(1e-3),
        seed=0,
        steps=100,
        batch_size=112,
        weights=WEIGHTS,
        sharpness=lambda step: 50.0 + 0.0 * step,
    )
    state = jax.eval_shape(lambda: init_state(network, optax.adam(1e-3), jax.random.key(0)))
    lines = step.lower(state, scene).compile().as_text().splitlines()
    products = [re.search(r"= f32\[(\d+),(\d+)\].* dot\(.*op_name=\"([^\"]*)", x) for x in lines]
    found = [(int(m[2]), m[3]) for m in products if m and m[1] == "112"]
    return collections.Counter(columns for columns, name in found if "while/body" not in name)


def test_no_point_is_evaluated_twice_in_a_step(network, scene):
    """Columns: 48 of a hidden layer, 8 of the feature, 27 of the encoded point.

    Forward 2 and the feature; the normal 1, and into the point. Its gradient: from the feature 1,
    back through the second layer 1, through the normal 2, and into the point. The hit: the slope
    along the ray 2, its gradient 1. That is 10 of a hidden layer.
    """
    count = products_at_rays(functools.partial(render_surface, network), network, scene)
    assert (count[48], count[27], count[8]) == (10, 2, 1)


def test_points_that_the_compiler_cannot_know_equal_are_evaluated_twice(network, scene):
    """What the test above would find: the surface at the same place, written in another way."""

    def apart(*args, **settings):
        hits = trace(*args, **settings)
        return hits._replace(t_min=hits.t_min * (1 + 1e-7))

    render = functools.partial(render_surface, network, tracer=apart)
    assert products_at_rays(render, network, scene)[48] > 10
