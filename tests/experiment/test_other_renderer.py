"""A renderer from outside of the package trains, resumes and is evaluated by its commands."""

import json

import jax
import numpy as np
import pytest

from neural_sdf.experiment.defaults import with_defaults
from neural_sdf.experiment.evaluate import evaluate
from neural_sdf.experiment.train import train
from neural_sdf.experiment.workdir import load_trained
from neural_sdf.mistake import Mistake
from neural_sdf.rendering import RENDERERS
from tests.rendering.fixed_samples import fixed_samples


def config_of(**weights: float):
    small = {"width": 16, "depth": 2, "skip": 0, "num_features": 4, "num_octaves": 2}
    return with_defaults(
        {
            "data": {"format": "synthetic", "downscale": 8},
            "field": {"name": "mlp", **small, "radiance_width": 8, "radiance_depth": 1},
            "render": {"name": "fixed_samples", "num_samples": 12},
            "train": {
                "steps": 10,
                "batch_size": 64,
                "log_every": 5,
                "checkpoint_every": 5,
                "warmup": 1,
                "weights": weights,
                "render": {"num_samples": 8},
            },
        }
    )


@pytest.fixture(autouse=True)
def listed(monkeypatch):
    """All that is done to add it: one line."""
    monkeypatch.setitem(RENDERERS, "fixed_samples", fixed_samples)


def test_ten_steps_train_its_own_number_and_what_it_watches_is_logged(tmp_path):
    train(config_of(colour=1.0, eikonal=0.1), tmp_path)
    trained = load_trained(tmp_path)
    assert trained.step == 10
    assert abs(float(trained.params["renderer"]["log_s"]) - 3.0) > 1e-3
    lines = [json.loads(x) for x in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [5, 10]
    assert all(0 < line["fog"] < 1 and np.isfinite(line["loss"]) for line in lines)
    assert "grazing" not in lines[0]
    assert 0 < evaluate(tmp_path, resolution=16)["mask_iou"] <= 1


@pytest.mark.slow
def test_run_that_was_stopped_goes_on_to_the_same_bits(tmp_path):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    train(config_of(colour=1.0), whole)
    train(config_of(colour=1.0), halves)
    for path in (halves / "checkpoints/10").rglob("*"):
        path.unlink() if path.is_file() else None
    (halves / "checkpoints/10").rename(tmp_path / "gone")
    train(config_of(colour=1.0), halves)
    for one, other in zip(
        *(jax.tree.leaves(load_trained(w).params) for w in (whole, halves)), strict=True
    ):
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


def test_loss_that_needs_what_it_lacks_is_refused_by_name(tmp_path):
    with pytest.raises(Mistake, match=r"loss 'mask' needs distance_min, which this renderer"):
        train(config_of(colour=1.0, mask=10.0), tmp_path / "run")
    assert not (tmp_path / "run").exists()
