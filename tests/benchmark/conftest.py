import jax
import jax.numpy as jnp
import pytest
from next_step import NextStep, next_step

from neural_sdf.experiment.build import Run
from neural_sdf.experiment.workdir import Trained
from neural_sdf.fields import Field
from neural_sdf.rendering import surface
from neural_sdf.training import init_state, train_step
from tests.shipped import config_of
from tests.training.photo import photographed_ball
from tests.training.test_step import model_of


@pytest.fixture(scope="session")
def ellipsoid() -> Field:
    """|Ax| − r with one matrix product, a ball of radius 0.5 at first; its colour tells A n."""

    def init(key):
        return {"matrix": jnp.eye(3), "radius": jnp.float32(0.5)}

    def sdf(params, points):
        return jnp.sqrt(jnp.sum((points @ params["matrix"]) ** 2, axis=-1)) - params["radius"]

    def surface(params, points):
        distance, pullback = jax.vjp(lambda points: sdf(params, points), points)
        (gradient,) = pullback(jnp.ones_like(distance))
        return distance, gradient, jnp.zeros((len(points), 1))

    def radiance(params, points, gradients, directions, features):
        return (gradients @ params["matrix"] + 1) / 2

    return Field(init, sdf, surface, radiance)


@pytest.fixture(scope="module")
def now(ellipsoid: Field) -> NextStep:
    """The fourth step of a run on one photo of a ball, with 128 rays."""
    scene = photographed_ball()
    config = config_of("quickstart", train__steps=10, train__render__max_steps=24)
    settings = config.train
    model = model_of(ellipsoid, renderer=surface(ellipsoid, **settings.render))
    step = train_step(model, steps=settings.steps, weights=settings.weights.to_dict())
    start = init_state(model, 1, jax.random.key(0))
    run = Run(model, surface(ellipsoid), lambda _: start, lambda _: start, jax.jit(step))
    return next_step(Trained(config, run, start.params, 3, scene.world_from_scene), scene, 128)
