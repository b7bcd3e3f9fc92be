"""A training step and its parts: what searching for the hits costs beyond the networks."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
from jax import Array
from jax.stages import Compiled

from figures import hits, products
from figures.measure import Row, Spread, alternating_times, compare, spread
from figures.searches import dense_trace, given, plain_trace
from neural_sdf.experiment.build import build
from neural_sdf.experiment.train import train
from neural_sdf.experiment.workdir import load_trained
from neural_sdf.fields import Field
from neural_sdf.geometry import clip_to_sphere
from neural_sdf.photos import load_scene
from neural_sdf.rendering import RENDERERS, render_image, render_surface
from neural_sdf.scenes import Scene, sample_batch
from neural_sdf.tracing import Found, Hits, refresh, sample_grid, trace
from neural_sdf.training import TrainState

ROOT = Path(__file__).parents[2]
BATCH = 2048
BATCHES = (512, 2048, 8192, 32768, 65536)


class Run(NamedTuple):
    """A trained field and what its next step needs.

    Attributes:
        config: of the run, with batches of `BATCH` rays.
        field: shape and colour.
        scene: the photos, on the device.
        state: after the last step, its known distances up to date.
    """

    config: Any
    field: Field
    scene: Scene
    state: TrainState


def subjects(workdir: str) -> dict[str, Callable[[], list[Row]]]:
    """What can be measured here; `scripts/benchmark.py` says what it is."""
    run = functools.cache(lambda: trained(workdir))
    return {
        "step": lambda: step_times(run()),
        "cost": lambda: evaluations(run()),
        "hits": lambda: hit_differences(run()),
        "products": lambda: bare_products(run()),
        "throughput": lambda: throughput(run()),
        "peak": lambda: peak_memory(run()),
    }


def trained(workdir: str) -> Run:
    """The run in a folder, or one of configs/quickstart.py made for the purpose."""
    with contextlib.ExitStack() as stack:
        if not workdir:
            path = ROOT / "configs" / "quickstart.py"
            spec: Any = importlib.util.spec_from_file_location("quickstart", path)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            workdir = stack.enter_context(tempfile.TemporaryDirectory())
            train(module.get_config(), workdir)
        loaded = load_trained(workdir)
    config = loaded.config
    config.train.batch_size = BATCH
    run = build(config)
    known = jax.jit(functools.partial(sample_grid, run.field.sdf))(loaded.params)
    state = run.init()._replace(params=loaded.params, known=known, step=jnp.int32(loaded.step))
    return Run(config, run.field, jax.device_put(load_scene(**config.data)), state)


def compiled_step(run: Run, tracer: Callable[..., Hits], state: TrainState) -> Compiled:
    """The step that searches with `tracer`, compiled."""
    searching = functools.partial(render_surface, tracer=tracer)
    with mock.patch.dict(RENDERERS, surface=searching):
        return build(run.config).step.lower(state, run.scene).compile()


def hits_of_next_step(run: Run) -> Hits:
    """What the next step finds."""
    key = jax.random.fold_in(jax.random.key(run.config.seed), run.state.step)
    batch = sample_batch(jax.random.split(key)[0], run.scene, BATCH)
    march = run.config.train.render.to_dict()

    @jax.jit
    def render(state: TrainState) -> Hits:
        known = state.known
        return render_surface(run.field, state.params, batch.rays, **march, known=known).hits

    return render(run.state)


def step_times(run: Run) -> list[Row]:
    """The whole step and the same with other searches."""
    now = hits_of_next_step(run)
    found = Found(now.t_min, now.status, now.num_evaluations, now.num_paid)
    unknowing = run.state._replace(known=None)
    programs = {
        "hits_given": (given(found), unknowing),
        "whole": (trace, run.state),
        "halving": (trace, unknowing),
        "plain": (plain_trace, unknowing),
        "idr": (dense_trace, unknowing),
    }
    compiled = {
        name: (compiled_step(run, tracer, state), state)
        for name, (tracer, state) in programs.items()
    }

    def once(program: Compiled, state: TrainState) -> Callable[[], Any]:
        copies = jax.tree.map(jnp.copy, state)  # the step uses its state up
        return lambda: program(jax.tree.map(jnp.copy, copies), run.scene)

    times = alternating_times({name: once(*pair) for name, pair in compiled.items()}, ())
    floors, whole, plain = times["hits_given"], times["whole"], times["plain"]
    return [
        *compare("step", times, "ms"),
        Row("step_over_hits_given", ratio(whole, floors), ""),
        Row("step_over_plain", ratio(plain, whole), ""),
    ]


def evaluations(run: Run) -> list[Row]:
    """How often the network is asked while the hits are searched for, a ray."""
    batch = sample_batch(jax.random.key(1), run.scene, BATCH)
    march = run.config.train.render.to_dict()
    searches = {
        "whole": (trace, run.state.known),
        "halving": (trace, None),
        "plain": (plain_trace, None),
        "idr": (dense_trace, None),
    }
    rows = []
    for name, (tracer, known) in searches.items():
        render = functools.partial(render_surface, run.field, tracer=tracer, known=known, **march)
        found = jax.jit(render)(run.state.params, batch.rays).hits
        rows += [
            Row(f"cost.{name}_paid", spread([int(found.num_paid) / BATCH]), ""),
            Row(f"cost.{name}_useful", spread([float(jnp.mean(found.num_evaluations))]), ""),
        ]
    asked = []

    def counted(params: Any, points: Array) -> Array:
        asked.append(len(points))
        return run.field.sdf(params, points)

    known: Any = run.state.known
    jax.eval_shape(lambda: refresh(known, counted, run.state.params, run.state.step))
    return [*rows, Row("cost.refresh", spread([sum(asked) / BATCH]), "")]


def hit_differences(run: Run) -> list[Row]:
    """Of the step's own search, known distances included, and of an image's."""
    rays = sample_batch(jax.random.key(3), run.scene, 4 * BATCH).rays
    image = {name: run.config.render[name] for name in ("dmin", "max_steps")}
    settings = {"step": run.config.train.render.to_dict(), "image": image}
    problem = (run.field.sdf, run.state.params, rays, run.state.known)
    return [row for name in settings for row in hits.differences(name, *problem, settings[name])]


def bare_products(run: Run) -> list[Row]:
    """The step against its own matrix products alone."""
    program = compiled_step(run, trace, run.state)
    paid = int(hits_of_next_step(run).num_paid)
    shapes = products.shapes_of(str(program.as_text()), rows_in_loops=paid, batch=BATCH)
    bare, arguments = products.bare(shapes)
    state = jax.tree.map(jnp.copy, run.state)
    programs = {
        "bare": lambda: bare(*arguments),
        "step": lambda: program(jax.tree.map(jnp.copy, state), run.scene),
    }
    times = alternating_times(programs, ())
    flops = sum(2 * m * k * n for m, k, n in shapes)
    speed = {name: [flops / 1e6 / t for t in values] for name, values in times.items()}
    return [*compare("products", times, "ms"), *compare("products_speed", speed, "GFLOP/s")]


def throughput(run: Run) -> list[Row]:
    """Rays a second by batch, and pixels a second of an image."""
    march = run.config.train.render.to_dict()

    def traced(params: Any, rays: Any, known: Any) -> Array:
        near, far, _ = clip_to_sphere(*rays)
        return trace(run.field.sdf, params, *rays, near=near, far=far, known=known, **march).t

    program = jax.jit(traced)
    rows = []
    for size in BATCHES:
        rays = sample_batch(jax.random.key(2), run.scene, size).rays
        arguments = (run.state.params, rays, run.state.known)
        times = alternating_times({"trace": program}, arguments)["trace"]
        rate = spread([size / t / 1e3 for t in times])
        rows.append(Row(f"throughput.batch_{size}", rate, "Mray/s"))
    return [*rows, image_rate(run)]


def image_rate(run: Run) -> Row:
    """Pixels a second of a whole view, as evaluation renders it."""
    view = len(run.scene.sizes) - 1
    size = (int(run.scene.sizes[view, 0]), int(run.scene.sizes[view, 1]))
    render = jax.jit(functools.partial(render_surface, run.field))
    camera = (run.scene.intrinsics[view], run.scene.scene_from_camera[view])
    whole = functools.partial(
        render_image, lambda rays: render(run.state.params, rays, known=run.state.known), *camera
    )
    times = alternating_times({"image": lambda: whole(size)}, ())["image"]
    return Row("throughput.image", spread([size[0] * size[1] / t / 1e3 for t in times]), "Mpixel/s")


def peak_memory(run: Run) -> list[Row]:
    """Planned and measured memory of a step, each batch in a process of its own."""
    rows = []
    for size in (BATCH, 4 * BATCH):
        config = run.config.to_dict()
        config["train"]["batch_size"] = size
        command = [sys.executable, Path(__file__).parent / "peak.py", json.dumps(config)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        printed = subprocess.run(
            command, capture_output=True, text=True, check=True, env=environment
        )
        planned, measured = (int(x) / 2**20 for x in printed.stdout.split())
        values = {"measured": [measured], "predicted": [planned]}
        rows += compare(f"peak.batch_{size}", values, "MiB")
    return rows


def ratio(values: list[float], others: list[float]) -> Spread:
    """Of each round."""
    return spread([x / y for x, y in zip(values, others, strict=True)])
