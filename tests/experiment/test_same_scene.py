"""Training does not know what layout its photos came in.

Readers agree to about 1e-13, far below what the 32-bit numbers of training tell apart. They must:
training is chaotic, and cameras that are 1e-7 off change the loss by 1e-2 within fifty steps.
"""

import numpy as np
import pytest

from neural_sdf.experiment.build import build
from neural_sdf.photos import load_scene
from neural_sdf.scenes import DeviceFeed
from tests.photos.layouts import CENTRE, LAYOUTS, RADIUS, take_photos
from tests.shipped import config_of

STEPS = 50
SMALL = {
    "field__width": 32,
    "field__depth": 2,
    "field__skip": 0,
    "field__num_features": 8,
    "field__radiance_width": 16,
    "field__radiance_depth": 1,
    "train__steps": STEPS,
    "train__batch_size": 256,
    "train__warmup": 5,
    "train__learning_rate": 5e-3,
    "train__render__max_steps": 16,
}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    photos, scenes = take_photos(), {}
    for name, (write, _) in LAYOUTS.items():
        folder = tmp_path_factory.mktemp("scene")
        write(folder, photos)
        scenes[name] = load_scene(folder, centre=CENTRE, radius=RADIUS)
    return scenes


@pytest.fixture(scope="module")
def run():
    return build(config_of("photos_mlp", **SMALL))


@pytest.fixture(scope="module")
def train(run):
    """The loss of every step on a scene."""

    def train(scene):
        batches, state, losses = DeviceFeed(scene, 256, 0), run.init(int(scene.num_train)), []
        for step in range(STEPS):
            state, metrics = run.step(state, batches(step))
            losses.append(float(metrics["loss"]))
        return np.array(losses)

    return train


@pytest.fixture(scope="module")
def expected(scenes, train):
    return train(scenes["idr"])


def test_the_loss_falls(expected):
    assert expected[-10:].mean() < 0.6 * expected[:10].mean()


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "idr"])
def test_the_loss_is_the_same_in_every_layout(scenes, train, expected, layout):
    np.testing.assert_allclose(train(scenes[layout]), expected, rtol=0, atol=1e-4)


def test_half_a_pixel_is_another_loss(scenes, train, expected):
    """A mistaken convention does not hide in the tolerance above."""
    scene = scenes["idr"]
    moved = scene._replace(intrinsics=scene.intrinsics + np.array([[0, 0, 0.5]] * 2 + [[0, 0, 0]]))
    assert np.abs(train(moved) - expected)[:10].max() > 5e-3
