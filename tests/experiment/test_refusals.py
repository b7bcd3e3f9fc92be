"""What training refuses before it begins, and what ends it."""

import errno
import json
import math
import shutil

import jax
import jax.numpy as jnp
import pytest

from neural_sdf.experiment import train as train_module
from neural_sdf.experiment.build import build, compile_step
from neural_sdf.experiment.train import train
from neural_sdf.fields import FIELDS
from neural_sdf.machine import files as files_module
from neural_sdf.mistake import Doubt, Mistake, RunEnded
from neural_sdf.rendering import RENDERERS
from neural_sdf.training import LOSSES, Checkpoints
from neural_sdf.training.losses import Loss
from tests.experiment.tiny import config_of, synthetic


@pytest.mark.slow
def test_batch_that_memory_cannot_hold_is_refused_with_one_that_fits():
    run = build(synthetic())
    words = r"batch_size 4096 needs .* expected at most the 0\.00 GiB .* set batch_size=\d+"
    with pytest.raises(Mistake, match=words) as caught:
        compile_step(run, 40, 4096, available=5_000_000)
    fitting = int(str(caught.value).partition("batch_size=")[2].split(";")[0])
    assert compile_step(run, 40, fitting, available=5_000_000)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"field__name": "mpl"}, ["field name 'mpl'", str(sorted(FIELDS)), "set field.name"]),
        (
            {"render__name": "volume"},
            ["render name 'volume'", str(sorted(RENDERERS)), "set render.name"],
        ),
        ({"train__decay": "steep"}, ["decay 'steep'", "cosine", "set decay"]),
        ({"train__steps": 0}, ["steps is 0", "at least 1", "set steps"]),
        ({"train__batch_size": -1}, ["batch_size is -1", "at least 1", "set batch_size"]),
        ({"train__batch_size": 2**31}, ["batch_size is 2147483648", "2^31", "set batch_size"]),
        ({"train__steps": 10**20}, ["steps is 1" + 20 * "0", "2^31", "set steps"]),
        ({"train__learning_rate": -1.0}, ["learning_rate is -1", "set learning_rate"]),
        ({"train__warmup": -1}, ["warmup is -1", "set warmup"]),
        ({"train__weights__mask": -1.0}, ["weights.mask is -1", "set weights.mask"]),
        ({"train__learning_rate": 0.0}, ["learning_rate is 0", "more", "set learning_rate"]),
        (
            {f"train__weights__{name}": 0.0 for name in ("colour", "eikonal", "mask")},
            ["weights are all 0", "expected more", "set train.weights"],
        ),
        ({"render__dmin": 0.0}, ["dmin is 0.0", "more than 0", "set render.dmin"]),
        ({"train__render__dmin": math.nan}, ["dmin is nan", "set train.render.dmin"]),
        ({"train__render__dmin": 2.0}, ["dmin is 2.0", "less than", "set train.render.dmin"]),
        ({"render__max_steps": 0}, ["max_steps is 0", "at least 1", "set render.max_steps"]),
        ({"field__radius": 0.0}, ["radius is 0.0", "positive", "set field.radius"]),
        ({"field__radius": math.inf}, ["radius is inf", "set field.radius"]),
        ({"field__width": 0}, ["field width is 0", "set width"]),
        ({"data__format": "mvs"}, ["'mvs'", "idr", "transforms", "set data.format"]),
        (
            {"data__format": "auto", "data__path": "no/such/folder"},
            ["no/such/folder", "set data.path"],
        ),
    ],
)
def test_setting_that_cannot_be_used_is_named_and_nothing_is_written(tmp_path, changes, words):
    workdir = tmp_path / "run"
    with pytest.raises(Mistake) as caught:
        train(synthetic(**changes), workdir)
    for word in words:
        assert word in str(caught.value)
    assert not workdir.exists()


def test_a_workdir_that_is_a_file_is_refused_at_once(tmp_path):
    (tmp_path / "run").write_text("notes")
    with pytest.raises(Mistake, match=r"run is a file; expected a folder; set workdir"):
        train(synthetic(), tmp_path / "run")
    assert (tmp_path / "run").read_text() == "notes"


def test_a_workdir_that_cannot_be_written_is_refused_before_the_step_is_compiled(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(train_module, "compile_step", None)
    (tmp_path / "file").write_text("")
    with pytest.raises(Mistake, match=r"run cannot be written \(Not a directory\).*set workdir"):
        train(synthetic(), tmp_path / "file/run")

    def refuse(**_):
        raise PermissionError(errno.EACCES, "Permission denied")  # root may write everywhere

    monkeypatch.setattr(files_module.tempfile, "TemporaryFile", refuse)
    with pytest.raises(Mistake, match=r"run cannot be written \(Permission denied\); expected a"):
        train(synthetic(), tmp_path / "deep/run")
    assert {path.name for path in tmp_path.rglob("*")} == {"file"}


def test_photos_without_masks_are_refused_before_anything_is_written(tmp_path, idr_folder):
    shutil.rmtree(idr_folder / "mask")
    config = config_of("photos", data__path=str(idr_folder), data__downscale=1)
    with pytest.raises(Mistake, match=r"neither masks nor alpha .*; add masks"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_fresh_surface_around_all_rays_is_doubted(tmp_path):
    told = r"radius is 1.5, and every ray begins inside .*; set field.radius=0.6"
    with pytest.warns(Doubt, match=told), pytest.raises(Mistake, match="no/such"):
        train(config_of("photos", field__radius=1.5, data__path="no/such"), tmp_path / "run")


def test_photos_of_a_few_pixels_are_doubted(tmp_path):
    told = r"at most 2 pixels a side, .*; expected at least 16; .* smaller data.downscale"
    with pytest.warns(Doubt, match=told):
        train(synthetic(data__downscale=64), tmp_path / "run")


@pytest.mark.slow
def test_loss_that_is_not_finite_stops_the_run_before_a_checkpoint(tmp_path, monkeypatch):
    eikonal = LOSSES["eikonal"].value

    def poisoned(evidence):
        return jnp.where(evidence.share == 2 / 16, jnp.nan, eikonal(evidence))

    monkeypatch.setitem(LOSSES, "eikonal", Loss(poisoned))
    config = synthetic(train__steps=16, train__checkpoint_every=1)
    with pytest.raises(RunEnded, match="eikonal is not finite at step 3; no checkpoint"):
        train(config, tmp_path)
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    assert checkpoints.steps() == [1, 2]
    checkpoints.close()
    logged = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in logged] == [1, 2]


def test_fault_between_two_logged_steps_is_named_exactly_and_not_saved(tmp_path, monkeypatch):
    """One step alone, after which the parameters are as finite as before."""
    colour = LOSSES["colour"].value

    def poisoned(evidence):
        slip = jnp.where(evidence.share == 2 / 16, jnp.nan, 0.0)
        return colour(evidence) + jax.lax.stop_gradient(slip)

    monkeypatch.setitem(LOSSES, "colour", Loss(poisoned))
    config = synthetic(train__steps=16, train__checkpoint_every=8, train__log_every=7)
    with pytest.raises(RunEnded, match="colour is not finite at step 3; no checkpoint"):
        train(config, tmp_path)
    assert not (tmp_path / "checkpoints").exists()
