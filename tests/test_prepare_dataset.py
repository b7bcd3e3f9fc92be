"""The script that turns a photo set into a dataset."""

import functools
from pathlib import Path

import pytest

from neural_sdf.photos import load_scene

SCRIPT = Path(__file__).parents[1] / "scripts/prepare_dataset.py"


@pytest.fixture
def prepare(script, tmp_path):
    data_dir = {"TFDS_DATA_DIR": str(tmp_path / "datasets")}
    return functools.partial(script, SCRIPT, cwd=tmp_path, **data_dir)


def test_script_writes_the_dataset_and_says_how_to_train_on_it(prepare, tmp_path, idr_folder):
    result = prepare("--path=idr", "--name=ball")
    assert result.returncode == 0, result.stderr
    folder = tmp_path / "datasets/ball/1.0.0"
    assert result.stdout == f"dataset: {folder}; train on it with --config.data.path={folder}\n"
    assert load_scene(folder).source == load_scene(idr_folder).source


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["--path is missing"]),
        (["--path=no_such_set"], ["no_such_set", "set --path"]),
        (["--path=idr", "--name=My Set"], ["'My Set'", "'my_set'", "--name"]),
        (["--path=idr", "--cameras=other.npz"], ["other.npz", "set --cameras"]),
        (["--path=idr", "--data_dir=idr/cameras.npz"], ["cannot be written", "--data_dir"]),
    ],
)
def test_mistake_is_one_line_and_status_2_and_nothing_is_written(
    prepare, tmp_path, idr_folder, assert_mistake, arguments, words
):
    before = sorted(tmp_path.rglob("*"))
    result = prepare(*arguments)
    assert_mistake(result, words)
    assert sorted(tmp_path.rglob("*")) == before
