"""Runs of a few steps, in this process: what they write, resume and refuse."""

import functools
import json
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache
from PIL import Image

from neural_sdf.experiment import relight
from neural_sdf.experiment import train as train_module
from neural_sdf.experiment import workdir as workdir_module
from neural_sdf.experiment.build import build, compile_step
from neural_sdf.experiment.evaluate import evaluate
from neural_sdf.experiment.export import export_mesh
from neural_sdf.experiment.train import train
from neural_sdf.experiment.workdir import load_trained
from neural_sdf.fields import FIELDS
from neural_sdf.mistake import Mistake, RunEnded
from neural_sdf.photos.prepare import prepare_dataset
from neural_sdf.rendering import RENDERERS
from neural_sdf.training import LOSSES, Checkpoints
from neural_sdf.training.losses import Loss
from tests import shipped
from tests.shipped import CONFIGS

TINY = {
    "field__width": 16,
    "field__depth": 2,
    "field__skip": 0,
    "field__num_features": 4,
    "field__radiance_width": 8,
    "field__radiance_depth": 1,
    "train__steps": 4,
    "train__batch_size": 16,
    "train__warmup": 1,
    "train__log_every": 1,
    "train__checkpoint_every": 2,
    "train__render__max_steps": 8,
}


FEW = {"size": 8, "num_samples": 1, "num_bounces": 1}


def config_of(name: str, **changes):
    """A shipped config made tiny, with another value here and there."""
    ours = shipped.config_of(name).field.keys()  # not every field has every one of these
    tiny = {k: x for k, x in TINY.items() if k.startswith("train__") or k[7:] in ours}
    return shipped.config_of(name, **tiny | changes)


def synthetic(**changes):
    return config_of("quickstart", **{"data__downscale": 8, **changes})


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(autouse=True, scope="module")
def compiled_once() -> Iterator[None]:
    """Runs of equal settings share their programs: most tests here look at files and messages."""
    runs, steps = {}, {}

    def build_once(config):
        settings = {k: x for k, x in config.to_dict().items() if k != "data"}
        told = {"checkpoint_every", "device_photos"}
        settings["train"] = {k: x for k, x in settings["train"].items() if k not in told}
        key = json.dumps([settings, sorted(map(repr, LOSSES.items()))], sort_keys=True)
        return runs[key] if key in runs else runs.setdefault(key, build(config))

    def compile_once(run, num_views, batch_size, *, available):
        key = id(run), num_views, batch_size
        if key not in steps:
            steps[key] = compile_step(run, num_views, batch_size, available=available)
        return steps[key]

    with pytest.MonkeyPatch.context() as patch:
        for module in (train_module, workdir_module):
            patch.setattr(module, "build", build_once)
        patch.setattr(train_module, "compile_step", compile_once)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    workdir = tmp_path_factory.mktemp("finished")
    train(synthetic(), workdir)
    return workdir


@pytest.mark.parametrize("name", [path.stem for path in CONFIGS])
def test_every_shipped_config_takes_a_step(name, tmp_path, transforms_folder):
    photos = name != "quickstart"
    where = {"data__path": str(transforms_folder)} if photos else {"data__downscale": 8}
    config = config_of(name, train__steps=1, train__warmup=0, **where)
    train(config, tmp_path / "run")
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
        assert set(line) >= {"loss", "psnr", "hit_rate", "rays_per_second", *LOSSES}
        weights = synthetic().train.weights
        total = sum(weights[name] * line[name] for name in LOSSES)
        np.testing.assert_allclose(line["loss"], total, rtol=1e-5)


def test_time_and_memory_of_the_step_are_told_before_training(tmp_path, capsys):
    train(synthetic(train__steps=1, train__learning_rate=1e-4), tmp_path)  # as no other has it
    told = r"compiled the step in \d+\.\d s; it needs \d+\.\d\d GiB of [\d,]+\.\d\d GiB"
    assert re.search(f"\n{told}\n.*checkpoint of", capsys.readouterr().out, re.S)


def test_batch_that_memory_cannot_hold_is_refused_with_one_that_fits():
    run = build(synthetic())
    words = r"batch_size 4096 needs .* expected at most the 0\.00 GiB .* set batch_size=\d+"
    with pytest.raises(Mistake, match=words) as caught:
        compile_step(run, 40, 4096, available=5_000_000)
    fitting = int(str(caught.value).partition("batch_size=")[2].split(";")[0])
    assert compile_step(run, 40, fitting, available=5_000_000)


def test_last_line_names_the_checkpoint_and_the_next_command(tmp_path, capsys):
    train(synthetic(train__steps=1), tmp_path)
    last = capsys.readouterr().out.splitlines()[-1]
    assert str(tmp_path / "checkpoints" / "1") in last
    assert f"python eval.py --workdir={tmp_path}" in last


def test_finished_run_is_left_as_it_is(finished, capsys):
    before = contents(finished)
    train(synthetic(train__learning_rate=0.5, train__steps=3), finished)
    assert contents(finished) == before
    printed = capsys.readouterr().out
    assert "nothing left to do up to step 3" in printed
    assert str(finished / "checkpoints" / "4") in printed.splitlines()[-1]


def test_longer_run_goes_on_from_the_checkpoint(tmp_path, capsys):
    train(synthetic(train__steps=2), tmp_path)
    train(synthetic(train__steps=3), tmp_path)
    assert "resuming after step 2; train.steps: 2 -> 3\n" in capsys.readouterr().out
    assert load_trained(tmp_path).step == 3


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
        ({"train__learning_rate": -1.0}, ["learning_rate is -1", "set learning_rate"]),
        ({"train__warmup": -1}, ["warmup is -1", "set warmup"]),
        ({"train__weights__mask": -1.0}, ["weights.mask is -1", "set weights.mask"]),
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


def test_photos_without_masks_are_refused_before_anything_is_written(tmp_path, idr_folder):
    shutil.rmtree(idr_folder / "mask")
    config = config_of("photos", data__path=str(idr_folder), data__downscale=1)
    with pytest.raises(Mistake, match=r"neither masks nor alpha .*; add masks"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_training_from_a_dataset_gives_the_parameters_of_training_from_the_folder(
    tmp_path, transforms_folder
):
    dataset = prepare_dataset(transforms_folder, tmp_path / "datasets")
    trained = []
    for path in (transforms_folder, dataset):
        config = config_of("photos", data__path=str(path), train__steps=3, train__warmup=1)
        train(config, tmp_path / f"run{len(trained)}")
        trained.append(load_trained(tmp_path / f"run{len(trained)}").params)
    for one, other in zip(*map(jax.tree.leaves, trained), strict=True):
        np.testing.assert_array_equal(one, other)


def test_photos_that_stay_on_the_host_give_the_same_parameters(tmp_path, transforms_folder, capsys):
    """A set four times the budget for the device."""
    size = 12 * 36 * 48 * 4
    trained = []
    for budget in (4.0, size / 4 / 2**30):
        settings = {"train__steps": 4, "train__warmup": 1, "train__device_photos": budget}
        config = config_of("photos", data__path=str(transforms_folder), **settings)
        train(config, tmp_path / f"run{len(trained)}")
        trained.append(load_trained(tmp_path / f"run{len(trained)}").params)
    said = capsys.readouterr().out
    assert "kept on the device (config.train.device_photos=4 GiB)" in said
    assert "kept on the host" in said
    for one, other in zip(*map(jax.tree.leaves, trained), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_run_draws_its_scene(finished):
    with Image.open(finished / "scene.png") as picture:
        assert picture.size == (960, 960)


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


def test_photos_that_moved_are_found_and_other_photos_refused(tmp_path, transforms_folder):
    where = {"data__path": str(transforms_folder), "train__steps": 1}
    train(config_of("photos", **where), tmp_path / "run")
    transforms_folder.rename(tmp_path / "moved")
    moved = {"data__path": str(tmp_path / "moved"), "train__steps": 2}
    metrics = evaluate(tmp_path / "run", path=tmp_path / "moved")
    assert metrics["step"] == 1
    train(config_of("photos", **moved), tmp_path / "run")
    assert evaluate(tmp_path / "run")["step"] == 2

    document = json.loads((tmp_path / "moved/transforms.json").read_text())
    for frame in document["frames"]:
        for row in frame["transform_matrix"][:3]:
            row[3] *= 2
    (tmp_path / "moved/transforms.json").write_text(json.dumps(document))
    before = contents(tmp_path / "run")
    for work in (
        lambda run: train(config_of("photos", **moved | {"train__steps": 3}), run),
        evaluate,
        lambda run: evaluate(run, path=tmp_path / "moved"),
        lambda run: relight.render_trained(run, tmp_path / "a.png", radiance="albedo", **FEW),
    ):
        with pytest.raises(Mistake, match=r"was trained on a region of radius .* the same photos"):
            work(tmp_path / "run")
    assert contents(tmp_path / "run") == before


def test_other_masks_are_refused_by_all_that_reads_photos(tmp_path, transforms_folder):
    train(config_of("photos", data__path=str(transforms_folder), train__steps=1), tmp_path / "run")
    for path in (transforms_folder / "images").glob("*.png"):
        rgba = np.array(Image.open(path))
        shifted = [np.roll(rgba[..., 3], n, axis) for n in (-2, 2) for axis in (0, 1)]
        rgba[..., 3] = np.max(shifted, axis=0)
        Image.fromarray(rgba).save(path)
    with pytest.raises(Mistake, match=r"was trained on .* set path or workdir"):
        evaluate(tmp_path / "run")
    with pytest.raises(Mistake, match=r"was trained on .* set path or workdir"):
        relight.render_trained(tmp_path / "run", tmp_path / "a.png", radiance="albedo", **FEW)


def test_a_picture_of_photos_that_moved_is_made_from_their_new_place(tmp_path, transforms_folder):
    train(config_of("photos", data__path=str(transforms_folder), train__steps=1), tmp_path / "run")
    transforms_folder.rename(tmp_path / "moved")
    output = tmp_path / "a.png"
    moved = {"path": tmp_path / "moved", "radiance": "albedo"}
    relight.render_trained(tmp_path / "run", output, **moved, **FEW)
    assert output.is_file()


def test_run_with_keys_missing_from_its_config_file_goes_on_and_is_evaluated(
    tmp_path, capsys, edit_json
):
    train(synthetic(train__steps=1), tmp_path)

    def age(config):
        for section, key in (("data", "mask_shows"), ("field", "radius"), ("train", "cameras")):
            del config[section][key]
        config["train"]["march"] = config["train"].pop("render")
        config["data"]["flip"] = 3

    edit_json(tmp_path / "config.json", age)
    filled = "data.mask_shows='object', train.cameras.name='given' filled in"
    told = "data.flip=3 dropped"
    capsys.readouterr()
    assert evaluate(tmp_path, resolution=16)["step"] == 1
    said = capsys.readouterr().out
    assert "config.json of an older version: " in said and told in said
    assert all(words in said for words in ("field.radius=0.6", *filled.split(", ")))
    train(synthetic(train__steps=2), tmp_path)
    assert re.search(
        "resuming after step 1; config.json of .*train.steps: 1 -> 2\n", capsys.readouterr().out
    )
    assert json.loads((tmp_path / "config.json").read_text())["field"]["radius"] == 0.6


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


def test_signals_are_given_back_after_a_run(tmp_path):

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    train(synthetic(train__steps=1), tmp_path)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


@pytest.mark.parametrize(
    "work",
    [evaluate, lambda w: export_mesh(w, w / "mesh.ply")],
    ids=["evaluate", "export"],
)
def test_workdir_that_is_not_one_is_refused(tmp_path, work):
    with pytest.raises(Mistake, match=r"no config.json in .*; set workdir"):
        work(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "work",
    [evaluate, lambda w: export_mesh(w, w / "mesh.ply")],
    ids=["evaluate", "export"],
)
def test_empty_checkpoint_folder_is_one_message_and_nothing_is_written(finished, tmp_path, work):
    (tmp_path / "config.json").write_bytes((finished / "config.json").read_bytes())
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(Mistake, match=r"no checkpoint in .*checkpoints; .*train first"):
        work(tmp_path)
    assert {path.name for path in tmp_path.rglob("*")} == {"config.json", "checkpoints"}


@pytest.fixture
def programs(tmp_path) -> Iterator[Path]:
    """The folder that this process keeps its compiled programs in meanwhile."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = [getattr(jax.config, name) for name in names]

    def keep(*values: object) -> None:
        for name, value in zip(names, values, strict=True):
            jax.config.update(name, value)
        compilation_cache.reset_cache()

    keep(str(tmp_path / "programs"), 0.0)
    yield tmp_path / "programs"
    keep(*before)


def test_programs_serve_every_checkpoint(finished, programs, tmp_path):
    """None has the parameters of one baked in, so that the second compiles nothing."""

    def use(step: int) -> set[str]:
        evaluate(finished, step=step, resolution=16)
        export_mesh(finished, tmp_path / "mesh.ply", resolution=16, step=step)
        with pytest.MonkeyPatch.context() as patch:  # a picture is of the latest
            load = functools.partial(load_trained, step=step)
            patch.setattr(relight, "load_trained", load)
            relight.render_trained(finished, tmp_path / "picture.png", radiance="albedo", **FEW)
        return {path.name for path in programs.glob("*-cache")}

    first = use(4)
    assert len(first) > 5 and use(2) == first


def test_config_file_that_is_no_json_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"seed": 0, "da')
    with pytest.raises(Mistake, match=r"config.json is not JSON .*; expected what train.py"):
        evaluate(tmp_path)


def test_step_that_was_not_saved_is_answered_with_those_that_were(finished):
    with pytest.raises(Mistake, match=r"step 3 .*; it has \[2, 4\]"):
        evaluate(finished, step=3)


def test_evaluation_without_held_out_views_says_how_to_hold_some_out(tmp_path, transforms_folder):
    where = {"data__path": str(transforms_folder), "data__holdout_every": 0}
    train(config_of("photos", train__steps=1, **where), tmp_path / "run")
    with pytest.raises(Mistake, match=r"none of 12 views is held out; .*holdout_every"):
        evaluate(tmp_path / "run")
    assert not (tmp_path / "run/eval").exists()


def test_reference_that_is_missing_is_named(finished):
    with pytest.raises(Mistake, match=r"no_such_mesh\.ply"):
        evaluate(finished, reference=finished / "no_such_mesh.ply")


def test_field_without_a_surface_is_refused_at_export_and_leaves_no_file(finished, tmp_path):
    config = synthetic()
    state = build(config).init(40)
    outside = jax.tree.map(jnp.zeros_like, state.params)
    outside["field"]["geometry"]["distance_layer"]["bias"] += 1.0
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    frame = load_trained(finished).world_from_scene
    checkpoints.save(state._replace(params=outside), frame, 40)
    checkpoints.close()
    (tmp_path / "config.json").write_text(config.to_json_best_effort())
    with pytest.raises(Mistake, match=r"no surface .* train longer"):
        export_mesh(tmp_path, tmp_path / "mesh.glb", resolution=16)
    assert not (tmp_path / "mesh.glb").exists()


@pytest.mark.parametrize("resolution", [1, 0, -5])
def test_mesh_of_less_than_two_cells_is_refused(finished, tmp_path, resolution):
    with pytest.raises(Mistake, match=f"resolution is {resolution}; expected at least 2"):
        export_mesh(finished, tmp_path / "mesh.ply", resolution=resolution)
    assert not list(tmp_path.iterdir())


def test_unknown_mesh_suffix_is_refused_before_anything_is_loaded(tmp_path):
    with pytest.raises(Mistake, match=r"\.xyz"):
        export_mesh(tmp_path, tmp_path / "mesh.xyz")
