"""What a run does with its photos later: placed in its frame, split as before, changes said."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from neural_sdf.experiment.evaluate import evaluate
from neural_sdf.experiment.photos import (
    earlier_photos,
    load_in_frame,
    refuse_others_to_train_on,
)
from neural_sdf.experiment.shot import find_shot
from neural_sdf.experiment.train import train
from neural_sdf.experiment.workdir import load_trained
from neural_sdf.mistake import Mistake
from neural_sdf.photos import open_scene
from tests.experiment.tiny import config_of
from tests.photos.layouts import LAYOUTS, take_photos

ALL = take_photos()
FIRST = [i for i in range(12) if i % 4 != 2]  # the others come later


def write(folder: Path, which: list[int]) -> Path:
    """Some of the photos, each named by its number."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    LAYOUTS["transforms"][0](folder, ALL)
    path = folder / "transforms_train.json"
    document = json.loads(path.read_text())
    document["frames"] = [document["frames"][i] for i in which]
    for i in set(range(12)) - set(which):
        for kind in ("train", "masks"):
            (folder / kind / f"{i:03d}.png").unlink()
    path.write_text(json.dumps(document))
    return folder


@pytest.fixture(scope="module")
def trained_run(tmp_path_factory) -> Path:
    """A folder with photos and a run on them; not to be changed."""
    folder = tmp_path_factory.mktemp("trained_run")
    write(folder / "photos", FIRST)
    train(config_of("photos_mlp", data__path=str(folder / "photos")), folder / "run")
    return folder


@pytest.fixture
def own(trained_run, tmp_path, edit_json) -> SimpleNamespace:
    """The same, to be changed: `photos`, `run`, and `trained`."""
    shutil.copytree(trained_run, tmp_path, dirs_exist_ok=True)
    photos, run = tmp_path / "photos", tmp_path / "run"
    edit_json(run / "config.json", lambda config: config["data"].update(path=str(photos)))
    return SimpleNamespace(photos=photos, run=run, trained=load_trained(run))


def held_out(scene) -> list[str]:
    return list(scene.source.names[int(scene.num_train) :])


def poses_by_name(scene) -> dict[str, np.ndarray]:
    return dict(zip(scene.source.names, np.asarray(scene.scene_from_camera), strict=True))


def test_own_photos_are_loaded_without_a_word(own, capsys):
    capsys.readouterr()
    scene = load_in_frame(own.trained, own.run)
    assert held_out(scene) == ["train_005"]
    assert capsys.readouterr().out == ""


def test_photos_of_a_folder_that_has_grown_are_placed_in_the_frame_that_was_trained_in(own, capsys):
    before = load_in_frame(own.trained, own.run)
    write(own.photos, list(range(12)))
    capsys.readouterr()
    scene = load_in_frame(own.trained, own.run)
    for one, other in zip(scene.world_from_scene, own.trained.world_from_scene, strict=True):
        np.testing.assert_array_equal(one, other)
    grown = poses_by_name(scene)
    for name, pose in poses_by_name(before).items():
        np.testing.assert_array_equal(grown[name], pose)
    assert held_out(scene) == ["train_002", "train_005", "train_006", "train_010"]
    assert capsys.readouterr().out == (
        "photos since the run last read them: 3 added (train_002, train_006, train_010)\n"
    )


def test_other_photos_of_the_same_world_are_evaluated_all(own, tmp_path, capsys):
    others = write(tmp_path / "others", [2, 6, 10])
    metrics = evaluate(own.run, path=others)
    assert [view["name"] for view in metrics["per_view"]] == ["train_002", "train_006", "train_010"]
    said = capsys.readouterr().out
    assert "none of the 3 photos is one of the run's; their cameras are taken to be in its" in said


def test_photos_that_were_trained_on_are_not_evaluated_in_whatever_folder(own, tmp_path):
    mixed = write(tmp_path / "mixed", [0, 1, 2, 5])
    metrics = evaluate(own.run, path=mixed)
    assert [view["name"] for view in metrics["per_view"]] == ["train_002", "train_005"]


def test_training_on_photos_that_were_added_goes_on_with_the_split(own, capsys):
    write(own.photos, list(range(12)))
    capsys.readouterr()
    train(config_of("photos_mlp", data__path=str(own.photos), train__steps=6), own.run)
    said = capsys.readouterr().out
    assert "3 added (train_002, train_006, train_010)" in said
    assert "11 photos to train on and 1 held out" in said and "from the run" in said
    capsys.readouterr()
    scene = load_in_frame(load_trained(own.run), own.run)
    assert held_out(scene) == ["train_005"]
    assert capsys.readouterr().out == ""


def test_training_on_the_same_photos_writes_the_same_file_again(own, capsys):
    before = (own.run / "photos.json").read_bytes()
    train(config_of("photos_mlp", data__path=str(own.photos), train__steps=5), own.run)
    assert (own.run / "photos.json").read_bytes() == before
    assert "photos since" not in capsys.readouterr().out


def test_nothing_is_left_to_train_on_when_only_held_out_photos_are_there(own):
    write(own.photos, [5])
    with pytest.raises(Mistake, match=r"all photos are held out; expected one to train on"):
        train(config_of("photos_mlp", data__path=str(own.photos), train__steps=6), own.run)


def test_cameras_that_learn_of_each_photo_go_on_with_no_others(own):
    settings = own.trained.config.data.to_dict()
    earlier = earlier_photos(own.run, own.trained.world_from_scene, has_moved=False)
    refuse_others_to_train_on(open_scene(**settings, earlier=earlier).photos, earlier)
    for which, words in (([*range(12)], "11 now, 8 then"), (FIRST[1:], "7 now, 8 then")):
        write(own.photos, which)
        with pytest.raises(Mistake, match=f"learns something of each photo, .*{words}"):
            refuse_others_to_train_on(open_scene(**settings, earlier=earlier).photos, earlier)


def test_other_masks_are_said(own, tmp_path, capsys):
    photos = shutil.copytree(own.photos, tmp_path / "masked")
    for path in (photos / "masks").glob("*.png"):
        mask = np.array(Image.open(path))
        wider = np.max([np.roll(mask, n, axis) for n in (-2, 2) for axis in (0, 1)], axis=0)
        Image.fromarray(wider).save(path)
    capsys.readouterr()
    load_in_frame(own.trained, own.run, photos)
    assert "9 with another mask (train_000, " in capsys.readouterr().out


def test_run_that_knows_no_photos_takes_those_of_its_region_and_no_others(own, capsys):
    """As runs were before they remembered any."""
    (own.run / "photos.json").unlink()
    capsys.readouterr()
    assert held_out(load_in_frame(own.trained, own.run)) == ["train_005"]
    assert capsys.readouterr().out == ""
    train(config_of("photos_mlp", data__path=str(own.photos), train__steps=5), own.run)
    assert (own.run / "photos.json").exists()
    (own.run / "photos.json").unlink()
    write(own.photos, list(range(0, 12, 2)))
    with pytest.raises(Mistake, match=r"was trained on a region of radius .* the same photos"):
        load_in_frame(own.trained, own.run)


@pytest.mark.parametrize("text", ['{"photos": [', "[]", "{}", '{"photos": [{}], "background": []}'])
def test_photos_file_that_is_not_a_runs_is_refused(own, text):
    (own.run / "photos.json").write_text(text)
    with pytest.raises(Mistake, match=r"photos.json cannot be read .* expected what training"):
        load_in_frame(own.trained, own.run)


def test_embedded_scene_has_no_photos_to_remember(finished):
    assert not (finished / "photos.json").exists()


def test_path_of_photos_is_kept_so_that_it_holds_in_every_folder(own, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train(config_of("photos_mlp", data__path="photos", train__steps=5), own.run)
    monkeypatch.chdir("/")
    assert held_out(load_in_frame(load_trained(own.run), own.run)) == ["train_005"]


def test_camera_of_a_photo_is_remembered_as_the_photos_have_it(own):
    shots = [find_shot(own.trained, own.run, view, own.photos) for view in (None, 3, "train_009")]
    shutil.rmtree(own.photos)
    for view, shot in zip((None, "3", "train_009"), shots, strict=True):
        for one, other in zip(find_shot(own.trained, own.run, view), shot, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("view", [9, "005", "-1", "train_002"])
def test_view_that_is_not_remembered_is_answered_with_those_that_are(own, view):
    with pytest.raises(Mistake, match=r"view .* is not there; expected 0 to 8, .* like train_000"):
        find_shot(own.trained, own.run, view)
