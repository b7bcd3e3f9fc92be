import collections
import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from neural_sdf.fields import mlp
from neural_sdf.geometry import pixel_rays
from neural_sdf.rendering import surface
from neural_sdf.scenes import CAMERAS, CameraModel, DeviceFeed, Scene, batch_shapes
from neural_sdf.tracing import trace
from neural_sdf.training import (
    Model,
    adam_by_part,
    fault_terms,
    init_state,
    train_step,
)
from tests.training.photo import photographed_ball

ROOT = Path(__file__).parents[2]
WEIGHTS = {"colour": 1.0, "eikonal": 0.1, "mask": 1.0}


@pytest.fixture(scope="module")
def scene() -> Scene:
    return photographed_ball()


@functools.cache
def model_of(field, *, learning_rate=1e-2, renderer=None, cameras=None) -> Model:
    """Every part at one constant rate."""
    schedules = dict.fromkeys(("field", "renderer", "cameras"), lambda step: learning_rate)
    return Model(
        field=field,
        renderer=renderer or surface(field),
        cameras=cameras or CAMERAS["given"](),
        schedules=schedules,
        optimizer=adam_by_part(schedules),
    )


STEPS = {}


def step_of(model, *, weights=WEIGHTS, log_every=1):
    """Of a hundred steps; one program for every test that asks for the same."""
    key = id(model), *weights.items(), log_every
    if key not in STEPS:
        step = train_step(model, steps=100, weights=weights, log_every=log_every)
        STEPS[key] = model, jax.jit(step)  # as long as the model is kept its id is its own
    return STEPS[key][1]


def start_of(model, seed=0):
    return init_state(model, 1, jax.random.key(seed))


def run(model, scene, steps, *, seed=0, weights=WEIGHTS):
    batches, step = DeviceFeed(scene, 64, seed), step_of(model, weights=weights)
    state, history = start_of(model), []
    for done in range(steps):
        state, metrics = step(state, batches(done))
        history.append(jax.device_get(metrics))
    return state, history


def test_update_of_the_field_is_annealed_by_the_share_of_the_run(sphere_field, scene):
    def anneal(updates, share):
        return {"radius": share * updates["radius"], "red": updates["red"]}

    held, batch = model_of(sphere_field._replace(anneal=anneal)), DeviceFeed(scene, 64, 0)(0)
    free = model_of(sphere_field)
    for done in (0, 25, 100):  # of 100 steps
        state = start_of(free)._replace(step=jnp.int32(done))
        before = state.params["field"]
        moved, annealed = (step_of(m)(state, batch)[0].params["field"] for m in (free, held))
        part = done / 100 * (moved["radius"] - before["radius"])
        np.testing.assert_allclose(annealed["radius"] - before["radius"], part, atol=1e-6)
        assert annealed["red"] == moved["red"] != before["red"]
        assert moved["radius"] != before["radius"]


def test_field_is_rendered_as_it_acts_at_the_share_of_the_run(sphere_field, scene):
    """A window that lets a quarter of the radius act at a quarter of the run."""

    def window(params, share):
        return {"radius": share * params["radius"], "red": params["red"]}

    windowed = sphere_field._replace(window=window)
    batch = DeviceFeed(scene, 64, 0)(0)
    for done in (25, 100):
        smaller = {"radius": jnp.float32(done / 100 * 0.5), "red": jnp.float32(0.2)}
        metrics = []
        for field, params in ((windowed, None), (sphere_field, smaller)):
            state = start_of(model_of(field))
            params = state.params if params is None else {**state.params, "field": params}
            memory = surface(field).recall(params, jnp.float32(done / 100))
            state = state._replace(step=jnp.int32(done), params=params, memory=memory)
            metrics.append(step_of(model_of(field))(state, batch)[1])
        assert 0 < metrics[0]["hit_rate"] < 1
        for name in ("loss", "hit_rate", "psnr"):
            np.testing.assert_allclose(metrics[0][name], metrics[1][name], rtol=1e-6)


@pytest.fixture(scope="module")
def long_run(sphere_field, scene):
    return run(model_of(sphere_field, learning_rate=2e-2), scene, 60)


def test_steps_lower_the_loss_and_move_the_parameters_to_the_truth(long_run):
    state, history = long_run
    losses = np.array([metrics["loss"] for metrics in history])
    assert losses[-10:].mean() < 0.7 * losses[:10].mean()
    assert abs(state.params["field"]["radius"] - 0.6) < 0.04  # from 0.5
    assert abs(state.params["field"]["red"] - 0.8) < 0.1  # from 0.2


def test_steps_are_a_function_of_seed_and_step(sphere_field, scene):
    first, history = run(model_of(sphere_field), scene, 3)
    second, again = run(model_of(sphere_field), scene, 3)
    jax.tree.map(np.testing.assert_array_equal, first, second)
    assert history == again
    _, other = run(model_of(sphere_field), scene, 3, seed=1)
    assert [m["loss"] for m in other] != [m["loss"] for m in history]


def test_batches_of_different_steps_differ(sphere_field, scene):
    model, batches = model_of(sphere_field), DeviceFeed(scene, 64, 0)
    seen = [step_of(model)(start_of(model), batches(done))[1] for done in range(6)]
    assert len({float(metrics["hit_rate"]) for metrics in seen}) > 1


def test_loss_is_made_of_its_terms_by_their_weights(sphere_field, scene):
    """A weight of zero leaves its term out; twice the weight gives twice of it."""
    model, batch = model_of(sphere_field), DeviceFeed(scene, 64, 0)(0)

    def terms(**weights):
        metrics = step_of(model, weights=weights)(start_of(model), batch)[1]
        return np.array([metrics[name] for name in ("loss", "colour", "mask")])

    loss, colour, mask = terms(colour=1.0, mask=0.0)
    assert min(colour, mask) > 0 and loss == colour
    expected = [2 * colour + 3 * mask, colour, mask]
    np.testing.assert_allclose(terms(colour=2.0, mask=3.0), expected, rtol=1e-5)


def test_metrics_are_finite(long_run):
    for metrics in long_run[1]:
        assert all(np.isfinite(value) for value in metrics.values())
        assert metrics["grazing"] <= metrics["hit_rate"]
        assert metrics["unfinished"] == 0


@pytest.mark.parametrize("radius", [0.01, 1.5])
def test_colours_that_no_ray_compares_have_no_psnr(sphere_field, scene, radius):
    """A ball between all rays, and one in which all begin; 100 dB would praise both."""
    model, batch = model_of(sphere_field), DeviceFeed(scene, 64, 0)(0)
    state = start_of(model)
    params = {**state.params, "field": {**state.params["field"], "radius": jnp.float32(radius)}}
    _, metrics = step_of(model)(state._replace(params=params), batch)
    assert metrics["hit_rate"] == 0
    assert np.isnan(metrics["psnr"])
    assert np.isfinite(metrics["loss"])


def test_running_loss_is_the_mean_of_the_first_hundred_steps(long_run):
    state, history = long_run
    assert state.step == 60
    np.testing.assert_allclose(state.loss, np.mean([m["loss"] for m in history]), rtol=1e-5)


def test_running_loss_forgets_over_a_hundred_steps(sphere_field, scene):
    model = model_of(sphere_field)
    state = start_of(model)._replace(step=jnp.int32(5000), loss=jnp.float32(1.0))
    state, metrics = step_of(model)(state, DeviceFeed(scene, 64, 0)(0))
    np.testing.assert_allclose(state.loss, 0.99 + 0.01 * metrics["loss"], rtol=1e-6)


def test_norms_are_those_of_what_was_done(sphere_field, scene):
    model, batch = model_of(sphere_field), DeviceFeed(scene, 64, 0)(0)
    before = start_of(model)
    after, metrics = step_of(model)(before, batch)
    length = lambda tree: np.sqrt(sum(float(x) ** 2 for x in jax.tree.leaves(tree)))
    moved = jax.tree.map(jnp.subtract, after.params, before.params)
    np.testing.assert_allclose(metrics["parameter_norm"], length(before.params), rtol=1e-6)
    np.testing.assert_allclose(metrics["update_norm"], length(moved), rtol=1e-4)
    assert metrics["gradient_norm"] > 0
    np.testing.assert_allclose(metrics["learning_rate"], 1e-2)
    assert metrics["sharpness"] == 50


def test_norms_are_taken_at_log_steps_and_the_last(sphere_field, scene):
    model, batch = model_of(sphere_field), DeviceFeed(scene, 64, 0)(0)
    step = step_of(model, log_every=7)
    taken = []
    for done in range(90, 100):
        metrics = step(start_of(model)._replace(step=jnp.int32(done)), batch)[1]
        taken += [done + 1] * bool(metrics["parameter_norm"] > 0 and metrics["update_norm"] > 0)
        assert metrics["gradient_norm"] > 0
    assert taken == [91, 98, 100]


# ---- what is not finite


def poisoned(field):
    """NaN in the colour of a red that Adam reaches with its first step."""

    def radiance(params, *seen):
        return jnp.where(params["red"] > 0.205, jnp.nan, 1.0) * field.radiance(params, *seen)

    return field._replace(radiance=radiance)


def test_first_fault_is_remembered_with_its_step_and_terms(sphere_field, scene):
    state, history = run(model_of(poisoned(sphere_field)), scene, 4)
    names = [n for i, n in enumerate(fault_terms(WEIGHTS)) if int(state.fault.terms) >> i & 1]
    assert state.fault.step == 2
    assert names == ["colour", "gradient"]
    assert np.isfinite(history[0]["loss"]) and np.isnan(history[1]["loss"])


def test_healthy_run_has_no_fault(long_run):
    assert tuple(map(int, long_run[0].fault)) == (0, 0)


# ---- what rays start from


@pytest.fixture(scope="module")
def network():
    return mlp(width=48, depth=2, skip=0, num_octaves=4, num_features=8, radiance_width=24)


def test_distances_of_200_steps_ago_are_found_out_and_change_nothing(network, scene):
    model, batches = model_of(network, learning_rate=1e-3), DeviceFeed(scene, 64, 0)
    step, state = step_of(model), start_of(model)
    old = state.memory
    for done in range(200):
        state, _ = step(state, batches(done))
    _, with_old = step(state._replace(memory=old), batches(200))
    _, with_new = step(state, batches(200))
    assert with_old["drift"] > 3 * with_new["drift"]
    assert with_old["hit_rate"] == with_new["hit_rate"]
    assert with_old["evaluations"] > with_new["evaluations"]
    assert with_old["mask_error"] == with_new["mask_error"]
    np.testing.assert_allclose(with_old["colour"], with_new["colour"], rtol=1e-4)


def test_distances_are_those_that_the_field_has_now(network, scene):
    """With a learning rate of zero nothing moves, whatever the turn."""
    model, batches = model_of(network, learning_rate=0.0), DeviceFeed(scene, 64, 0)
    step, state = step_of(model), start_of(model)
    before = np.asarray(state.memory.values)
    for done in range(3):
        state, metrics = step(state, batches(done))
        assert metrics["drift"] < 1e-6  # products of another size are rounded otherwise
    np.testing.assert_allclose(state.memory.values, before, atol=1e-6)


# ---- one pass at the surface


def products_at_rays(renderer, network):
    """Matrix products of the compiled step that have a row for each ray, outside of the march."""
    model = model_of(network, renderer=renderer)
    state = jax.eval_shape(lambda: start_of(model))
    lines = step_of(model).lower(state, batch_shapes(112)).compile().as_text().splitlines()
    products = [re.search(r"= f32\[(\d+),(\d+)\].* dot\(.*op_name=\"([^\"]*)", x) for x in lines]
    found = [(int(m[2]), m[3]) for m in products if m and m[1] == "112"]
    return collections.Counter(columns for columns, name in found if "while/body" not in name)


def test_no_point_is_evaluated_twice_in_a_step(network):
    """Columns: 48 of a hidden layer, 8 of the feature, 27 of the encoded point.

    Forward 2 and the feature; the normal 1, and into the point. Its gradient: from the feature 1,
    back through the second layer 1, through the normal 2, and into the point. The hit: the slope
    along the ray 2, its gradient 1. That is 10 of a hidden layer.
    """
    count = products_at_rays(surface(network), network)
    assert (count[48], count[27], count[8]) == (10, 2, 1)


def test_points_that_the_compiler_cannot_know_equal_are_evaluated_twice(network):
    """What the test above would find: the surface at the same place, written in another way."""

    def apart(*args, **settings):
        hits = trace(*args, **settings)
        return hits._replace(t=hits.t * (1 + 1e-7))

    assert products_at_rays(surface(network, tracer=apart), network)[48] > 10


# ---- cameras that learn


def shifted_and_zoomed() -> CameraModel:
    """Two numbers: what moves every pixel to the right, and the logarithm of a zoom."""

    def rays(params, batch):
        zoomed = batch.intrinsics * jnp.exp(params["zoom"] * jnp.diag(jnp.array([1.0, 1.0, 0.0])))
        moved = batch.pixels + params["shift"] * jnp.eye(2)[0]
        return pixel_rays(zoomed, batch.scene_from_camera, moved)

    zero = lambda num_views: {"shift": jnp.zeros(()), "zoom": jnp.zeros(())}
    return CameraModel(init=zero, rays=rays)


@pytest.mark.usefixtures("x64")
def test_gradient_of_the_step_reaches_the_cameras_as_finite_differences_do(sphere_field, scene):
    """By plain gradient descent at rate 1, whose update is the gradient. Pixels well inside: no
    finite difference sees a silhouette."""
    model = model_of(sphere_field, cameras=shifted_and_zoomed())
    model = model._replace(optimizer=optax.sgd(1.0))
    batch = DeviceFeed(scene, 256, 0)(0)
    inside = np.flatnonzero(np.linalg.norm(np.asarray(batch.pixels) - 8, axis=-1) < 3.4)[:24]
    points = slice(len(inside) // 2)
    batch = jax.tree.map(lambda x: x[inside[: len(inside) // 2 * 2]], batch)._replace(
        points=batch.points[points], point_weights=batch.point_weights[points]
    )
    double = lambda x: x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x
    batch, state = jax.tree.map(double, (batch, start_of(model)))
    step = step_of(model, weights={"colour": 1.0, "mask": 1.0})

    def loss(shift, zoom):
        cameras = {"shift": jnp.float64(shift), "zoom": jnp.float64(zoom)}
        return step(state._replace(params={**state.params, "cameras": cameras}), batch)

    after, metrics = loss(0.1, 0.02)
    assert metrics["hit_rate"] == 1
    slopes = 0.1 - after.params["cameras"]["shift"], 0.02 - after.params["cameras"]["zoom"]
    for slope, (du, dz) in zip(slopes, [(1e-5, 0.0), (0.0, 1e-5)], strict=True):
        ahead, behind = (loss(0.1 + s * du, 0.02 + s * dz)[1]["loss"] for s in (1, -1))
        expected = (ahead - behind) / 2e-5
        assert abs(expected) > 1e-4
        np.testing.assert_allclose(slope, expected, rtol=1e-6)


# ---- several devices

ON_FOUR_DEVICES = """
import functools
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, PartitionSpec as P
from neural_sdf.fields import mlp
from neural_sdf.rendering import surface
from neural_sdf.scenes import CAMERAS, DeviceFeed
from neural_sdf.training import Model, adam_by_part, init_state, train_step
from tests.rendering.fixed_samples import fixed_samples
from tests.training.photo import photographed_ball

field = mlp(width=16, depth=2, skip=0, num_features=4, num_octaves=2, radiance_width=8)
rates = dict.fromkeys(("field", "renderer", "cameras"), lambda step: 1e-3)
batches = DeviceFeed(photographed_ball(), 128, 0)
mesh = jax.make_mesh((4,), ("rays",), axis_types=(AxisType.Auto,))
renderers = (surface(field), {"mask": 1.0}), (fixed_samples(field), {})
for renderer, weights in renderers:
    model = Model(field, renderer, CAMERAS["given"](), rates, adam_by_part(rates))
    weights |= {"colour": 1.0, "eikonal": 0.1}
    make = functools.partial(train_step, model, steps=10, weights=weights)
    one = jax.jit(make())
    split = jax.shard_map(make(axis="rays"), mesh=mesh, in_specs=(P(), P("rays")), out_specs=P())
    four = jax.jit(split)
    alone = together = init_state(model, 1, jax.random.key(0))
    for step in range(10):
        alone, expected = one(alone, batches(step))
        together, metrics = four(together, batches(step))
        for name in ("loss", "psnr", "mask_error", "gradient_norm"):
            np.testing.assert_allclose(metrics[name], expected[name], rtol=1e-4, err_msg=name)
    assert expected["loss"] > 0
print("same on four devices")
"""


@pytest.mark.slow
def test_ten_steps_cut_among_four_devices_have_the_losses_of_one():
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=4"
    done = subprocess.run(
        [sys.executable, "-c", ON_FOUR_DEVICES],
        cwd=ROOT,
        env=os.environ | {"XLA_FLAGS": flags},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "same on four devices", done.stderr[-2000:]
