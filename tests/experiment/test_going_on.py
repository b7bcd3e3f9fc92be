"""Runs that go on, and folders and photos that are not theirs."""

import functools
import json
import re
import shutil
from pathlib import Path

import pytest

from neural_sdf.experiment import relight
from neural_sdf.experiment.evaluate import evaluate
from neural_sdf.experiment.train import train
from neural_sdf.experiment.workdir import load_trained
from neural_sdf.mistake import Mistake
from tests.experiment.tiny import FEW, config_of, contents, synthetic
from tests.photos.layouts import LAYOUTS, take_photos


def test_finished_run_is_left_as_it_is(finished, capsys):
    before = contents(finished)
    train(synthetic(train__learning_rate=0.5, train__steps=3), finished)
    assert contents(finished) == before
    printed = capsys.readouterr().out
    assert "nothing left to do up to step 3" in printed
    assert str(finished / "checkpoints" / "4") in printed.splitlines()[-1]


def test_longer_run_goes_on_from_the_checkpoint(finished, tmp_path, capsys):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    train(synthetic(train__steps=5), tmp_path)
    assert "resuming after step 4; train.steps: 4 -> 5; learning" in capsys.readouterr().out
    assert load_trained(tmp_path).step == 5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"field__width": 24}, "field.width: 16 -> 24"),
        ({"data__downscale": 16}, "data.downscale: 8 -> 16"),
        ({"seed": 1}, "seed: 0 -> 1"),
        ({"train__batch_size": 8}, "train.batch_size: 16 -> 8"),
    ],
)
def test_workdir_of_another_run_is_refused_and_left_alone(finished, changes, words):
    before = contents(finished)
    with pytest.raises(Mistake, match=f"{words}.*set workdir"):
        train(synthetic(train__steps=6, **changes), finished)
    assert contents(finished) == before


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory) -> Path:
    """A folder with the run of four tiny steps on photos, and the photos: they have moved since."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "photos").mkdir()
    LAYOUTS["transforms"][0](folder / "photos", take_photos())
    train(config_of("photos_mlp", data__path=str(folder / "photos")), folder / "run")
    (folder / "photos").rename(folder / "moved")
    return folder


def test_photos_that_moved_are_found_and_other_photos_refused(tmp_path, elsewhere):
    shutil.copytree(elsewhere, tmp_path, dirs_exist_ok=True)
    moved = {"data__path": str(tmp_path / "moved"), "train__steps": 5}
    metrics = evaluate(tmp_path / "run", path=tmp_path / "moved")
    assert metrics["step"] == 4
    train(config_of("photos_mlp", **moved), tmp_path / "run")
    assert evaluate(tmp_path / "run")["step"] == 5

    for path in (tmp_path / "moved").glob("transforms*.json"):
        document = json.loads(path.read_text())
        for frame in document["frames"]:
            for row in frame["transform_matrix"][:3]:
                row[3] *= 2
        path.write_text(json.dumps(document))
    before = contents(tmp_path / "run")
    picture = functools.partial(relight.render_trained, output=tmp_path / "a.png", **FEW)
    picture = functools.partial(picture, radiance="albedo")
    for work in (
        lambda run: train(config_of("photos_mlp", **moved | {"train__steps": 6}), run),
        evaluate,
        lambda run: evaluate(run, path=tmp_path / "moved"),
        lambda run: picture(run, path=tmp_path / "moved"),
    ):
        with pytest.raises(
            Mistake, match=r"cameras of 12 photos .* expected the world that it was"
        ):
            work(tmp_path / "run")
    assert contents(tmp_path / "run") == before


def test_a_picture_of_photos_that_moved_is_made_from_their_new_place(tmp_path, elsewhere):
    output = tmp_path / "a.png"
    moved = {"path": elsewhere / "moved", "radiance": "albedo"}
    relight.render_trained(elsewhere / "run", output, **moved, **FEW)
    assert output.is_file()


def test_evaluation_without_held_out_views_says_how_to_hold_some_out(
    tmp_path, elsewhere, edit_json
):
    run = shutil.copytree(elsewhere / "run", tmp_path / "run")

    def hold_out_none(document):
        for photo in document["photos"]:
            photo["held_out"] = False

    edit_json(run / "photos.json", hold_out_none)
    with pytest.raises(Mistake, match=r"none of 12 views is held out; .*holdout_every.* by path"):
        evaluate(run, path=elsewhere / "moved")
    assert not (run / "eval").exists()


def test_run_with_keys_missing_from_its_config_file_goes_on_and_is_evaluated(
    finished, tmp_path, capsys, edit_json
):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)

    def age(config):
        for section, key in (("data", "mask_shows"), ("field", "radius"), ("train", "cameras")):
            del config[section][key]
        config["train"]["march"] = config["train"].pop("render")
        config["data"]["flip"] = 3

    edit_json(tmp_path / "config.json", age)
    filled = "data.mask_shows='object', train.cameras.name='given' filled in"
    told = "data.flip=3 dropped"
    capsys.readouterr()
    assert evaluate(tmp_path, resolution=16)["step"] == 4
    said = capsys.readouterr().out
    assert "config.json of another version: " in said and told in said
    assert all(words in said for words in ("field.radius=0.6", *filled.split(", ")))
    train(synthetic(train__steps=5), tmp_path)
    assert re.search(
        "resuming after step 4; config.json of .*train.steps: 4 -> 5; learning",
        capsys.readouterr().out,
    )
    assert json.loads((tmp_path / "config.json").read_text())["field"]["radius"] == 0.6
