"""One program with all commands, the same from a checkout and from an installed wheel."""

import functools
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neural_sdf import commands
from neural_sdf.commands import COMMANDS, as_started
from neural_sdf.mistake import Mistake
from tests.shipped import CONFIGS

ROOT = Path(__file__).parents[1]
SMALL = [
    *("--config=quickstart", "--config.data.downscale=8", "--config.train.steps=30"),
    *("--config.field.width=32", "--config.field.depth=2", "--config.field.skip=0"),
    *("--config.field.num_features=8", "--config.field.radiance_width=16"),
    *("--config.field.radiance_depth=1", "--config.train.batch_size=64"),
    *("--config.train.warmup=10", "--config.train.render.max_steps=16"),
]


@pytest.fixture(scope="module")
def module(script) -> Callable[..., subprocess.CompletedProcess]:
    """As `python -m neural_sdf`."""
    return functools.partial(script, ROOT / "neural_sdf/__main__.py")


def first_line(file: str) -> str:
    return (ROOT / file).read_text().partition("\n")[0].removeprefix('"""')


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_has_a_line_for_each_command_and_the_names_of_configs(module, flag, tmp_path):
    result = module(flag, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    for name, file in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(first_line(file))}$", result.stdout, re.M)
    assert ", ".join(path.stem for path in CONFIGS) in result.stdout


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ([], "the command is missing"),
        (["trian"], "command 'trian' is unknown"),
        (["--workdir=x", "eval"], "command '--workdir=x' is unknown"),
        (["train.py"], "command 'train.py' is unknown"),
    ],
)
def test_command_that_there_is_not_is_one_line_and_status_2(module, arguments, given):
    result = module(*arguments)
    expected = f"error: {given}; expected one of {', '.join(COMMANDS)}; see --help\n"
    assert (result.returncode, result.stdout, result.stderr) == (2, "", expected)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_is_that_of_its_file_typed_as_it_was_started(module, script, name):
    by_name, by_file = module(name, "--help"), script(COMMANDS[name], "--help")
    assert by_name.returncode == by_file.returncode == 0
    shown = by_file.stdout.replace(f"\n{COMMANDS[name]}:", f"\npython -m neural_sdf {name}:")
    for other, file in COMMANDS.items():
        shown = shown.replace(f"python {file}", f"python -m neural_sdf {other}")
    assert f"    python -m neural_sdf {name} --" in by_name.stdout
    assert "docs/" not in by_name.stdout  # a wheel has none
    assert by_name.stdout == shown


def test_mistake_and_status_of_a_command_are_those_of_its_file(module, script, tmp_path):
    frames = [{"file_path": "gone.png", "transform_matrix": np.eye(4).tolist()}]
    written = json.dumps({"camera_angle_x": 0.7, "frames": frames})
    (tmp_path / "transforms.json").write_text(written)
    by_name = module("inspect", f"--path={tmp_path}")
    by_file = script("scripts/inspect_scene.py", f"--path={tmp_path}")
    assert by_name.returncode == by_file.returncode == 1
    assert by_name.stdout == by_file.stdout != ""
    by_name, by_file = module("eval"), script("eval.py")
    assert by_name.returncode == by_file.returncode == 2
    assert by_name.stderr == by_file.stderr != ""


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        ("neural-sdf train", "neural-sdf eval --workdir=a"),
        ("python -m neural_sdf inspect", "python -m neural_sdf eval --workdir=a"),
        ("train.py", "python eval.py --workdir=a"),
        ("", "python eval.py --workdir=a"),
    ],
)
def test_a_command_that_is_told_is_typed_as_the_program_was_started(monkeypatch, argv, shown):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", [argv])
    assert as_started("next: python eval.py --workdir=a") == f"next: {shown}"
    assert str(Mistake("no <x>", remedy="python eval.py --workdir=a")) == f"no x; {shown}"


def test_a_file_that_is_not_below_the_working_folder_is_told_in_full(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    told = as_started("python scripts/convert_scene.py --masks=hull, or python eval.py")
    assert told == f"python {ROOT}/scripts/convert_scene.py --masks=hull, or python {ROOT}/eval.py"
    (tmp_path / "eval.py").write_text("of another project")
    assert as_started("python eval.py") == f"python {ROOT}/eval.py"


def test_without_a_checkout_the_installed_program_is_told(monkeypatch, tmp_path):
    (tmp_path / "neural_sdf/shipped").mkdir(parents=True)
    monkeypatch.setattr(commands, "__file__", str(tmp_path / "neural_sdf/commands.py"))
    assert as_started("python scripts/inspect_scene.py.") == "neural-sdf inspect."
    other = "python my_train.py, python train.pyc"
    assert as_started(other) == other


def test_config_is_found_by_its_name_beside_a_folder_of_that_name(script, tmp_path):
    (tmp_path / "photos").mkdir()
    arguments = "--config=photos", "--config.train.stps=1", "--workdir=run"
    result = script(ROOT / "train.py", *arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert "'stps'" in result.stderr and '"steps"' in result.stderr


@pytest.mark.parametrize("name", ["photo", "configs/photos.py", "other/config.json"])
def test_config_that_there_is_not_is_one_line_with_those_there_are(script, tmp_path, name):
    result = script(ROOT / "train.py", f"--config={name}", "--workdir=run", cwd=tmp_path)
    known = ", ".join(path.stem for path in CONFIGS)
    expected = f"error: config '{name}' is not there; expected a file, or one of {known}; see"
    assert (result.returncode, result.stderr) == (2, f"{expected} --help\n")


def test_wheel_holds_the_file_of_every_command_and_the_configs():
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    expected = {name: f"neural_sdf/shipped/{name}" for name in (*COMMANDS.values(), "configs")}
    assert build["targets"]["wheel"]["force-include"] == expected


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder that holds the package as a wheel installs it, and the program in bin/."""
    pytest.importorskip("hatchling", reason="builds the wheel; pip install -e '.[test]'")
    folder = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    place = ["--no-deps", "--no-index", "--target", str(folder / "lib"), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", *place], check=True)
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if "__pycache__" in name]
    return folder / "lib"


@pytest.mark.slow
def test_installed_program_takes_a_scene_to_a_mesh_in_another_folder(installed, tmp_path):
    def program(*arguments: str) -> str:
        environment = os.environ | {"PYTHONPATH": str(installed)}
        return subprocess.run(
            [sys.executable, installed / "bin/neural-sdf", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert "neural-sdf train --config=quickstart" in program("train", "--help")
    program("convert", "--format=synthetic", "--downscale=8", "--output=cup")
    assert json.loads(program("inspect", "--path=cup", "--json"))["usable"]
    trained = program("train", *SMALL, "--workdir=run")
    assert trained.endswith("next: neural-sdf eval --workdir=run\n")
    program("eval", "--workdir=run", "--resolution=16")
    program("export", "--workdir=run", "--output=cup.ply", "--resolution=16")
    assert (tmp_path / "cup.ply").is_file()
