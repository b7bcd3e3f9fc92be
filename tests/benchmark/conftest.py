import jax
import jax.numpy as jnp
import pytest
from next_step import NextStep, next_step

from neural_sdf.experiment.build import build
from neural_sdf.experiment.workdir import Trained
from neural_sdf.photos import load_scene
from tests.experiment.test_experiment import config_of


@pytest.fixture(scope="session")
def now() -> NextStep:
    """A network that is a sphere, as it starts, about to learn a cup from 64 rays."""
    config = config_of("quickstart", data__downscale=8, train__batch_size=64, train__steps=10)
    run, scene = build(config), load_scene(**config.data)
    params = run.init(int(scene.num_train)).params
    return next_step(Trained(config, run, params, 3, scene.world_from_scene), scene, 64)
