"""Runs that go on, and folders and photos that are not theirs."""

import functools
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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
    for work in (
        lambda run: train(config_of("photos_mlp", **moved | {"train__steps": 6}), run),
        evaluate,
        lambda run: evaluate(run, path=tmp_path / "moved"),
        lambda run: relight.render_trained(run, tmp_path / "a.png", radiance="albedo", **FEW),
    ):
        with pytest.raises(Mistake, match=r"was trained on a region of radius .* the same photos"):
            work(tmp_path / "run")
    assert contents(tmp_path / "run") == before


def test_other_masks_are_refused_by_all_that_reads_photos(tmp_path, elsewhere):
    photos = shutil.copytree(elsewhere / "moved", tmp_path / "photos")
    for path in (photos / "masks").glob("*.png"):
        mask = np.array(Image.open(path))
        wider = np.max([np.roll(mask, n, axis) for n in (-2, 2) for axis in (0, 1)], axis=0)
        Image.fromarray(wider).save(path)
    picture = functools.partial(relight.render_trained, output=tmp_path / "a.png", **FEW)
    for work in (evaluate, functools.partial(picture, radiance="albedo")):
        with pytest.raises(Mistake, match=r"was trained on .* set path or workdir"):
            work(elsewhere / "run", path=photos)


def test_a_picture_of_photos_that_moved_is_made_from_their_new_place(tmp_path, elsewhere):
    output = tmp_path / "a.png"
    moved = {"path": elsewhere / "moved", "radiance": "albedo"}
    relight.render_trained(elsewhere / "run", output, **moved, **FEW)
    assert output.is_file()


def test_evaluation_without_held_out_views_says_how_to_hold_some_out(
    tmp_path, elsewhere, edit_json
):
    run = shutil.copytree(elsewhere / "run", tmp_path / "run")
    frame = load_trained(run).world_from_scene  # told, for the hull of more photos is another
    none = {"holdout_every": 0, "centre": frame.translation.tolist(), "radius": float(frame.scale)}
    edit_json(run / "config.json", lambda config: config["data"].update(none))
    with pytest.raises(Mistake, match=r"none of 12 views is held out; .*holdout_every"):
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
    assert "config.json of an older version: " in said and told in said
    assert all(words in said for words in ("field.radius=0.6", *filled.split(", ")))
    train(synthetic(train__steps=5), tmp_path)
    assert re.search(
        "resuming after step 4; config.json of .*train.steps: 4 -> 5; learning",
        capsys.readouterr().out,
    )
    assert json.loads((tmp_path / "config.json").read_text())["field"]["radius"] == 0.6
