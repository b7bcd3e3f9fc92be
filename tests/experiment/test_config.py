"""Configs over defaults: those of configs/, those of older workdirs, and those with a mistake."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from neural_sdf.experiment.build import build
from neural_sdf.experiment.choices import settings_of
from neural_sdf.experiment.defaults import flat, with_defaults
from neural_sdf.experiment.workdir import changes, read_config, whole
from neural_sdf.fields import FIELDS
from neural_sdf.mistake import Mistake

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (ROOT / "configs").glob("*.py"))
# The config.json of a run of each, as it was before configs were laid over defaults.
OLDER = json.loads(Path(__file__).with_name("older_configs.json").read_text())
# What those runs have that the configs have changed since.
SINCE = {"photos": {"field.radiance_levels": 0, "train.steps": 12000, "train.weight_decay": 0.0}}
# Losses that the configs have had a weight for since.
WEIGHED = {"photos": ("agreed", "alike", "in_front", "off_object", "sparse_points")}


def shipped(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / f"configs/{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()


def as_it_was(name: str):
    """A shipped config with what it had when `OLDER` was written."""
    config = shipped(name)
    config.update_from_flattened_dict(SINCE.get(name, {}))
    with config.unlocked():
        for loss in WEIGHED.get(name, ()):
            del config.train.weights[loss]
    return config


def written(folder: Path, tree: dict) -> Path:
    (folder / "config.json").write_text(json.dumps(tree))
    return folder / "config.json"


def without(tree: dict, key: str) -> dict:
    """A copy that lacks a dotted key."""
    section, _, rest = key.partition(".")
    if not rest:
        return {k: x for k, x in tree.items() if k != section}
    return {k: without(x, rest) if k == section else x for k, x in tree.items()}


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_of_the_field_is_a_key_of_its_config(name):
    field = shipped(name).field
    assert set(field) == {"name", *settings_of(FIELDS[field.name])}


@pytest.mark.parametrize("name", NAMES)
def test_no_key_can_be_added_to_a_shipped_config(name):
    with pytest.raises(AttributeError, match="locked"):
        shipped(name).train.stps = 1


def test_defaults_import_no_jax():
    program = "import sys; from neural_sdf.experiment import defaults; defaults.with_defaults({})"
    check = "assert not {'jax', 'flax', 'optax'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", f"{program}; {check}"], check=True, cwd=ROOT)


@pytest.mark.parametrize("name", NAMES)
def test_older_config_file_is_read_as_todays_config(tmp_path, name):
    config, remark = read_config(written(tmp_path, OLDER[name]))
    assert flat(config.to_dict()) == flat(as_it_was(name).to_dict())
    assert remark.startswith("config.json of another version: ")
    assert "train.cameras.name='given'" in remark and remark.endswith("filled in")


@pytest.mark.parametrize("name", NAMES)
def test_run_of_an_older_config_goes_on(tmp_path, name):
    written(tmp_path, OLDER[name])
    assert changes(as_it_was(name).to_dict(), tmp_path)[0].endswith("filled in")


@pytest.mark.parametrize("name", NAMES)
def test_config_file_of_today_is_read_as_it_is_without_a_word(tmp_path, name):
    config, remark = read_config(written(tmp_path, shipped(name).to_dict()))
    assert (flat(config.to_dict()), remark) == (flat(shipped(name).to_dict()), "")
    assert changes(shipped(name).to_dict(), tmp_path) == []


def test_any_key_that_a_config_file_lacks_is_filled_in_and_told(tmp_path):
    tree = shipped("quickstart").to_dict()
    apart = {"field.name", "render.name", "train.cameras.name"}  # there since the first version
    taken_whole = ("train.render.", "train.weights.")
    keys = [k for k in flat(tree) if k not in apart and not k.startswith(taken_whole)]
    assert len(keys) > 35
    for key in keys:
        config, remark = read_config(written(tmp_path, without(tree, key)))
        value = flat(config.to_dict())[key]
        assert remark == f"config.json of another version: {key}={value!r} filled in"
        assert set(flat(config.to_dict())) == set(flat(tree))


@pytest.mark.parametrize(
    "key", ["data.flip", "field.blur", "render.blur", "train.render.blur", "train.ema", "notes.by"]
)
def test_key_that_is_not_known_is_dropped_with_its_value_told(tmp_path, key):
    tree = shipped("photos").to_dict()
    *sections, name = key.split(".")
    section = tree
    for part in sections:
        section = section.setdefault(part, {})
    section[name] = 3
    config, remark = read_config(written(tmp_path, tree))
    assert remark == f"config.json of another version: {key}=3 dropped, since unknown here"
    assert flat(config.to_dict()) == flat(shipped("photos").to_dict())


def test_weights_are_taken_as_given_and_not_laid_over_others():
    config = with_defaults({"train": {"weights": {"colour": 2.0}}})
    assert config.train.weights.to_dict() == {"colour": 2.0}


def test_renderer_of_another_name_is_given_no_setting_of_the_default_one():
    config = with_defaults({"render": {"name": "volume", "num_samples": 64}})
    assert config.render.to_dict() == {"name": "volume", "num_samples": 64}
    assert config.train.render.to_dict() == {}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"train": {"stps": 1}}, r"no key 'train.stps'; expected one of .*'train.steps'"),
        ({"data": {"holdout_evry": 1}}, r"no key 'data.holdout_evry'; .*'data.holdout_every'"),
        ({"sed": 1}, r"no key 'sed'; expected one of .*'seed'"),
        ({"data": 3}, r"has data=3; expected a section of keys"),
        ({"data": {"downscale": "half"}}, r"another kind: .*'downscale'.* half"),
        ({"train": {"steps": 1.5}}, r"another kind: .*'steps'.* 1.5"),
        ({"train": {"steps": None}}, r"has train.steps=None; expected a value like 6000"),
        ({"train": {"weights": False}}, r"has train.weights=False; expected a section of keys"),
        ({"data": {"path": 3}}, r"has data.path=3; expected a value like ''"),
        ({"data": {"radius": 10**400}}, r"another kind: .*too large"),
    ],
)
def test_config_with_a_key_or_a_value_that_cannot_be_is_refused(settings, words):
    with pytest.raises(Mistake, match=words):
        with_defaults(settings)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"field.name": "mlp"},
            r"field mlp has no setting 'coarsest', 'finest', .*'activation'",
        ),
        ({"field.widht": 8}, r"field hash_grid has no setting 'widht'; expected some of .*'width'"),
        ({"field.width": "abc"}, r"width is 'abc'; expected a whole number; set field.width"),
        ({"field.radius": True}, r"radius is True; expected a number; set field.radius"),
        ({"field.radius": 2**64}, r"radius is 1844.*; expected a finite number less than 2\^31"),
        ({"field.name": ["mlp"]}, r"field name \['mlp'\] is unknown"),
        ({"field.direction_octaves": -1}, r"direction_octaves is -1; expected 0 to 24"),
        ({"field.point_octaves": 25}, r"point_octaves is 25; expected 0 to 24"),
        ({"seed": 2**63}, r"seed is 9223372036854775808; expected at least 0, below 2\^31"),
        ({"train.weights.mask": "much"}, r"weights.mask is 'much'; expected a finite number"),
        ({"render.dmn": 1.0}, r"render surface has no setting 'dmn'; expected some of .*'dmin'"),
        ({"render.max_steps": 1.5}, r"another kind: .*'max_steps'.* 1.5"),
        ({"train.render.dmn": 1.0}, r"render surface has no setting 'dmn'.* section train.render"),
        ({"train.weights.colr": 1.0}, r"loss name 'colr' is unknown; .*'colour'"),
    ],
)
def test_setting_that_a_constructor_does_not_take_is_named(changes, words):
    with pytest.raises(Mistake, match=words):
        build(whole(flat(shipped("photos").to_dict()) | changes))


def test_name_of_another_field_on_the_command_line_is_one_line(tmp_path, script, assert_mistake):
    settings = "--config=configs/photos.py", "--config.field.name=mlp"
    result = script("train.py", *settings, f"--workdir={tmp_path}")
    assert_mistake(result, ["field mlp has no setting", "'coarsest'", "'finest'", "--config"])
    assert not list(tmp_path.iterdir())


def test_config_of_a_run_trains_and_a_workdir_goes_on_by_itself(finished, tmp_path, script):
    run = shutil.copytree(finished, tmp_path / "a run")
    result = script("train.py", f"--workdir={run}")
    assert result.returncode == 0, result.stderr
    assert "nothing left to do up to step 4" in result.stdout
    assert result.stdout.endswith(f"python eval.py --workdir='{run}'\n")
    other = f"--config={run / 'config.json'}", f"--workdir={tmp_path / 'b'}"
    result = script("train.py", *other, "--config.train.steps=1", "--config.data.downscale=16")
    assert result.returncode == 0, result.stderr
    written = json.loads((tmp_path / "b/config.json").read_text())
    assert written["train"]["steps"] == 1 and written["field"]["width"] == 16


@pytest.mark.parametrize("text", ["{", "{}"])
def test_json_that_is_no_config_is_one_line_that_names_its_flag(
    tmp_path, script, assert_mistake, text
):
    (tmp_path / "other.json").write_text(text)
    arguments = f"--config={tmp_path / 'other.json'}", f"--workdir={tmp_path / 'run'}"
    words = ["other.json", "expected what training wrote", "set --config"]
    assert_mistake(script("train.py", *arguments), words)


def test_command_without_that_flag_says_where_the_run_has_a_setting(
    finished, tmp_path, script, assert_mistake
):
    run = shutil.copytree(finished, tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    config["data"] |= {"path": str(tmp_path / "gone"), "format": "auto"}
    (run / "config.json").write_text(json.dumps(config))
    result = script("eval.py", f"--workdir={run}")
    assert_mistake(result, ["gone", "is not there", "set --path"])
    (tmp_path / "gone").mkdir()
    result = script("scripts/render.py", f"--workdir={run}", f"--output={tmp_path / 'a.png'}")
    where = f"set --path or data.format in {run / 'config.json'}"
    assert_mistake(result, ["no known format", where])
