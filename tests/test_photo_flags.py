"""Flags by which commands read a photo set are settings, and those that their messages name."""

import re
from pathlib import Path

import numpy as np
import pytest

from neural_sdf.photos import Settings, load_scene

ROOT = Path(__file__).parents[1]
READERS = ("inspect_scene", "convert_scene")  # which find the region of interest
# What the doctor chooses itself; what a written set does not need.
CHOSEN = {"holdout_every", "holdout_offset", "holdout_views", "downscale", "background"}


def flags_of(script, name: str) -> dict[str, str]:
    """Flags of a script by their names, with their defaults, as --help shows them."""
    text = script(ROOT / f"scripts/{name}.py", "--help", cwd=ROOT).stdout
    found = re.findall(r"^  --(?:\[no\])?(\w+):(.*?)(?=\n  -|\Z)", text, re.M | re.S)
    default = r"\(default: '?(.*?)'?\)"
    return {flag: (re.findall(default, about) or ["None"])[0] for flag, about in found}


@pytest.mark.parametrize("name", [*READERS, "prepare_dataset"])
def test_flag_of_a_setting_has_its_default(script, name):
    usual = {field: str(value) for field, value in Settings._field_defaults.items()}
    given = {f: d for f, d in flags_of(script, name).items() if f in usual}
    assert {"format", "cameras", "mask_shows", "skip_missing"} <= set(given)
    assert {f: d.casefold() for f, d in given.items()} == {f: usual[f].casefold() for f in given}


@pytest.mark.parametrize("name", READERS)
def test_every_setting_that_a_message_about_a_set_names_is_a_flag(script, name):
    sources = (ROOT / "neural_sdf/photos").rglob("*.py")
    named = {n for path in sources for n in re.findall(r"<(\w+)>", path.read_text())}
    assert {"centre", "radius", "box", "skip_missing"} <= named
    assert (named & set(Settings._fields)) - CHOSEN <= set(flags_of(script, name))


REGION = {"centre": (1.0, -2.0, 0.25), "radius": 1.5}


@pytest.mark.parametrize(
    ("flags", "settings"),
    [
        (["--centre=1,-2,0.25", "--radius=1.5"], REGION),
        (["--box=(0, -3, -1, 2, -1, 2)"], {"box": (0, -3, -1, 2, -1, 2)}),
    ],
)
def test_region_is_given_by_flags(script, tmp_path, idr_folder, flags, settings):
    path = f"--path={idr_folder}"
    result = script(ROOT / "scripts/convert_scene.py", path, "--output=out", *flags, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    expected = load_scene(idr_folder, **settings).world_from_scene
    written = load_scene(tmp_path / "out").world_from_scene
    np.testing.assert_allclose(written.translation, expected.translation, atol=1e-12)
    np.testing.assert_allclose(written.scale, expected.scale)


@pytest.mark.parametrize(
    "flag", ["--centre=0,zero,1", "--centre=0,1", "--box=1,2,3", "--radius=-1"]
)
def test_place_that_is_none_is_one_line_that_names_the_flag(
    script, tmp_path, idr_folder, assert_mistake, flag
):
    path = f"--path={idr_folder}"
    result = script(ROOT / "scripts/inspect_scene.py", path, flag, cwd=tmp_path)
    assert_mistake(result, [flag.partition("=")[0], "expected"])
