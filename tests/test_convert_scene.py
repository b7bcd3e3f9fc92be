"""The script that writes a photo set in another layout."""

import functools
import json
import re
from pathlib import Path

import numpy as np
import pytest

from neural_sdf.photos import FORMATS, load_scene

SCRIPT = Path(__file__).parents[1] / "scripts/convert_scene.py"


@pytest.fixture
def convert(script, tmp_path):
    return functools.partial(script, SCRIPT, cwd=tmp_path)


def test_script_writes_the_set_and_says_how_to_hold_out_the_same_views(
    convert, tmp_path, idr_folder
):
    result = convert("--path=idr", "--output=out", "--to=colmap", "--downscale=2")
    assert result.returncode == 0, result.stderr
    assert result.stdout == (
        "out: 12 views in the layout colmap, 1 of them held out if trained with"
        " --config.data.holdout_views='(4,)'\n"
    )
    scene, again = load_scene(idr_folder, downscale=2), load_scene(tmp_path / "out")
    np.testing.assert_array_equal(again.rgb, scene.rgb)
    np.testing.assert_allclose(again.scene_from_camera, scene.scene_from_camera, atol=1e-9)


def test_masks_that_were_made_are_to_be_looked_at(convert, tmp_path):
    result = convert("--format=synthetic", "--output=cup", "--downscale=4", "--masks=background")
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith(
        "8 of them held out\nmasks: background; look at masks.png there before you train\n"
    )
    assert (tmp_path / "cup/masks.png").is_file()


def test_embedded_example_is_written_without_photos(convert, tmp_path):
    result = convert("--format=synthetic", "--output=cup", "--downscale=16")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "cup: 48 views in the layout transforms, 8 of them held out\n"
    document = json.loads((tmp_path / "cup/transforms.json").read_text())
    assert len(document["frames"]) == 48 and len(document["test_filenames"]) == 8


def test_help_names_the_layouts_that_can_be_written(convert):
    about = re.search(r"--to: (.*)", convert("--help").stdout)
    writers = {name for name, form in FORMATS.items() if form.write is not None}
    assert about and set(re.split(r"\W+", about[1])) & set(FORMATS) == writers


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--path=idr"], ["--output is missing"]),
        (["--output=out"], ["--path is missing", "--format=synthetic"]),
        (["--path=idr", "--output=out", "--to=llff"], ["llff", "idr", "transforms", "colmap"]),
        (["--path=idr", "--output=idr"], ["is there already", "--output"]),
        (["--path=no_such_set", "--output=out"], ["no_such_set"]),
    ],
)
def test_mistake_is_one_line_and_status_2(
    convert, tmp_path, idr_folder, assert_mistake, arguments, words
):
    before = sorted(tmp_path.rglob("*"))
    result = convert(*arguments)
    assert_mistake(result, words)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_layout_without_a_writer_is_refused_with_all_that_have_one(convert, assert_mistake):
    writers = [name for name, form in FORMATS.items() if form.write is not None]
    result = convert("--format=synthetic", "--output=out", "--to=middlebury")
    assert_mistake(result, [f"'middlebury' cannot be written; expected one of {writers}", "--to"])
