"""Nothing that only this CPU can do: the shipped configs lower for accelerators."""

import functools

import jax
import jax.numpy as jnp
import pytest
from jax import export as jax_export
from jax.experimental import io_callback

from neural_sdf.experiment.build import build, compared_shapes
from neural_sdf.export import grid_values
from neural_sdf.geometry import Rays
from neural_sdf.light import cornell, path_trace
from neural_sdf.scenes import batch_shapes
from tests.shipped import CONFIGS, config_of

PLATFORMS = ["cuda", "tpu"]
# What a call back into Python is named in a lowered module, whatever the platform.
CALLBACKS = ("callback", "SendToHost", "RecvFromHost", "stablehlo.send", "stablehlo.recv")


def floats(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def module_text(function, *shapes, platforms: list[str] = PLATFORMS) -> str:
    exported = jax_export.export(jax.jit(function), platforms=platforms)(*shapes)
    assert set(exported.platforms) == set(platforms)
    return exported.mlir_module()


def callbacks(module: str) -> list[str]:
    return [name for name in CALLBACKS if name in module]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_training_step_lowers_for_accelerators(path):
    config = config_of(path.stem)
    run, photos = build(config), compared_shapes(config, 8 * 4 * 64 * 64, 8)
    assert not callbacks(module_text(run.step, run.shapes(2), batch_shapes(64), photos))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_renderer_lowers_for_accelerators(path):
    run = build(config_of(path.stem))
    state, rays = run.shapes(2), Rays(floats(8192, 3), floats(8192, 3))
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 8192))
    seen = state.params, state.memory, rays, keys, floats()
    assert not callbacks(module_text(run.renderer.render, *seen))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_grid_values_lower_for_accelerators(path):
    run = build(config_of(path.stem))
    values = functools.partial(grid_values, run.model.field.sdf)
    assert not callbacks(module_text(values, run.shapes(2).params["field"], floats(4096, 3)))


def test_path_tracer_and_its_gradient_lower_for_accelerators():
    params = jax.eval_shape(cornell.default_params)
    rays = Rays(floats(64, 3), floats(64, 3))

    def brightness(params, rays):
        light = cornell.light(params)
        settings = {"light": light, "environment": 0.0, "radius": 7.0, "num_bounces": 2}
        key = jax.random.key(0)
        return path_trace(key, cornell.sdf, cornell.material, params, rays, **settings).mean()

    assert not callbacks(module_text(jax.grad(brightness), params, rays))


PLANTED = {
    "pure_callback": lambda x: jax.pure_callback(lambda y: y, x, x),
    "io_callback": lambda x: io_callback(lambda y: y, x, x),
    "debug_print": lambda x: (jax.debug.print("{x}", x=x), x)[1],
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_call_into_python_shows_in_the_module(name):
    assert callbacks(jax.jit(PLANTED[name]).lower(floats(3)).as_text())


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("name", PLANTED)
def test_planted_call_into_python_is_refused_for_accelerators(name, platform):
    with pytest.raises(ValueError, match="platform"):
        module_text(PLANTED[name], floats(3), platforms=[platform])


def test_planted_kernel_of_the_cpu_alone_is_refused():
    with pytest.raises(NotImplementedError, match="platform"):
        module_text(lambda x: jax.lax.linalg.schur(x), floats(3, 3))
