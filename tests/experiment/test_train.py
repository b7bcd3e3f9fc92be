"""Runs of a few steps, in this process: what they write and say."""

import json
import re
import shutil
import signal

import jax
import numpy as np
import pytest
from PIL import Image

from neural_sdf.experiment.build import build
from neural_sdf.experiment.train import train
from neural_sdf.experiment.workdir import load_trained
from neural_sdf.photos.prepare import prepare_dataset
from tests.cases import cases
from tests.experiment.tiny import config_of, synthetic
from tests.shipped import CONFIGS


@pytest.mark.parametrize(
    "name",
    cases(["photos"], sorted({path.stem for path in CONFIGS} - {"photos"})),
)
def test_every_shipped_config_takes_a_step(name, tmp_path, transforms_folder, capsys):
    """And tells the time and memory of the step before."""
    photos = name != "quickstart"
    where = {"data__path": str(transforms_folder)} if photos else {"data__downscale": 8}
    config = config_of(name, train__steps=1, train__warmup=0, **where)
    train(config, tmp_path / "run")
    told = r"compiled the step in \d+\.\d s; it needs \d+\.\d\d GiB of [\d,]+\.\d\d GiB"
    assert re.search(f"\n{told}\n.*checkpoint of", capsys.readouterr().out, re.S)
    trained = load_trained(tmp_path / "run")
    assert trained.step == 1
    before = build(config).init(10).params
    moved = jax.tree.map(lambda a, b: not np.array_equal(a, b), before, trained.params)
    assert any(jax.tree.leaves(moved))


def test_every_shipped_config_has_the_keys_of_the_contract():
    for path in CONFIGS:
        config = config_of(path.stem)
        assert set(config) == {"seed", "data", "field", "render", "train"}
        for key in ("path", "format", "downscale", "holdout_every", "holdout_offset"):
            assert key in config.data


def test_config_file_holds_what_was_run(finished):
    written = json.loads((finished / "config.json").read_text())
    config = synthetic()
    assert written["train"] == config.train.to_dict()
    assert written["field"] == config.field.to_dict()
    assert written["seed"] == config.seed
    assert written["data"]["downscale"] == 8
    assert written["data"]["centre"] is None


def test_metrics_file_has_a_line_a_logged_step(finished):
    lines = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    for line in lines:
        weights = synthetic().train.weights
        assert set(line) >= {"loss", "psnr", "hit_rate", "rays_per_second", *weights}
        total = sum(weights[name] * line[name] for name in weights)
        np.testing.assert_allclose(line["loss"], total, rtol=1e-5)


def test_last_line_names_the_checkpoint_and_the_next_command(tmp_path, capsys):
    train(synthetic(), tmp_path)
    last = capsys.readouterr().out.splitlines()[-1]
    assert str(tmp_path / "checkpoints" / "4") in last
    assert f"python eval.py --workdir={tmp_path}" in last


def test_a_run_draws_its_scene(finished):
    with Image.open(finished / "scene.png") as picture:
        assert picture.size == (960, 960)


def test_photos_are_compared_where_a_loss_asks_for_it_and_a_resumed_run_learns_the_same(
    tmp_path, transforms_folder, capsys
):
    config = config_of("photos", data__path=str(transforms_folder))
    with config.unlocked():
        config.train.weights.update({"agreed": 5.0, "in_front": 10.0, "alike": 1.0})
    train(config, tmp_path)
    told = r"compared the photos in \d+\.\d s: they agree on the depth of \d+% of the object's"
    assert re.search(told, capsys.readouterr().out)
    last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert "alike" in last
    whole = load_trained(tmp_path).params
    shutil.rmtree(tmp_path / "checkpoints/4")
    train(config, tmp_path)
    assert "resuming after step 2" in capsys.readouterr().out
    jax.tree.map(np.testing.assert_array_equal, whole, load_trained(tmp_path).params)


def test_losses_of_no_weight_are_not_computed(tmp_path, transforms_folder, capsys):
    config = config_of("photos", data__path=str(transforms_folder))
    with config.unlocked():
        config.train.weights.update({"agreed": 0.0, "in_front": 0.0, "alike": 0.0})
    train(config, tmp_path)
    assert "compared" not in capsys.readouterr().out
    last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert "colour" in last and not {"agreed", "in_front", "alike"} & last.keys()


@pytest.mark.slow
def test_training_from_a_dataset_gives_the_parameters_of_training_from_the_folder(
    tmp_path, transforms_folder
):
    dataset = prepare_dataset(transforms_folder, tmp_path / "datasets")
    trained = []
    for path in (transforms_folder, dataset):
        config = config_of("photos", data__path=str(path))
        train(config, tmp_path / f"run{len(trained)}")
        trained.append(load_trained(tmp_path / f"run{len(trained)}").params)
    for one, other in zip(*map(jax.tree.leaves, trained), strict=True):
        np.testing.assert_array_equal(one, other)


def test_photos_that_stay_on_the_host_give_the_same_parameters(tmp_path, transforms_folder, capsys):
    """A set four times the budget for the device; photos that are compared are smaller then."""
    size = 12 * 36 * 48 * 4
    trained = []
    for budget in (4.0, size / 4 / 2**30):
        where = {"data__path": str(transforms_folder), "train__device_photos": budget}
        config = config_of("photos", train__weights__alike=0.0, **where)
        train(config, tmp_path / f"run{len(trained)}")
        trained.append(load_trained(tmp_path / f"run{len(trained)}").params)
    said = capsys.readouterr().out
    assert "kept on the device (config.train.device_photos=4 GiB)" in said
    assert "kept on the host" in said
    for one, other in zip(*map(jax.tree.leaves, trained), strict=True):
        np.testing.assert_array_equal(one, other)


def test_signals_are_given_back_after_a_run(tmp_path):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    train(synthetic(), tmp_path)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
