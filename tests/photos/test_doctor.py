"""Every fault that the doctor knows, put into a good set; and the real sets, which have none."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neural_sdf.photos.doctor import _few, as_json, as_text, inspect_scene
from neural_sdf.photos.write import write_scene
from neural_sdf.scenes.paint import smooth
from neural_sdf.scenes.scene import view_photo
from neural_sdf.scenes.synthetic import Shoot, synthetic_scene
from tests.photos.faults import FAULTS, SIZE, VIEWS, Set, inverted


@pytest.fixture(scope="module")
def cup_set(tmp_path_factory) -> Path:
    """The embedded scene, seen from all round, as a transforms folder."""
    folder = tmp_path_factory.mktemp("good") / "cup"
    write_scene(synthetic_scene(Shoot(VIEWS, 0, (SIZE, SIZE), smooth)), folder, "transforms")
    return folder


@pytest.fixture
def cup(cup_set, tmp_path) -> Path:
    """A copy of it to spoil."""
    return Path(shutil.copytree(cup_set, tmp_path / "cup"))


def codes(path: Path, **settings) -> set[str]:
    return {finding.code for finding in inspect_scene(path, **settings).findings}


def test_nothing_is_found_in_a_good_set(cup):
    report = inspect_scene(cup)
    assert report.findings == ()
    assert report.is_usable
    assert "nothing found; the set can be trained on" in as_text(report)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_and_nothing_else(cup, fault):
    spoil, expected = FAULTS[fault]
    spoilt = Set(cup)
    spoil(spoilt)
    (cup / "transforms.json").write_text(json.dumps(spoilt.document))
    report = inspect_scene(cup)
    assert {finding.code for finding in report.findings} == expected, as_text(report)


def test_a_finding_names_the_views_it_is_about(cup):
    spoilt = Set(cup)
    for i in (3, 8):
        spoilt.change(spoilt.mask(i), inverted)
    (finding,) = inspect_scene(cup).findings
    assert finding.views == ("images_003", "images_008")
    assert "images_003, images_008" in finding.message
    assert finding.level == "error"


def test_a_photo_that_is_not_looked_at_is_still_told_to_be_cut_off(cup):
    unseen = [i for i in range(VIEWS) if i not in _few(VIEWS)]
    path = Set(cup).photo(unseen[0])
    path.write_bytes(path.read_bytes()[:-900])
    assert codes(cup) == {"unreadable-images"}


def test_of_the_photos_some_are_read_and_the_first_among_them(cup):
    scene = inspect_scene(cup).scene
    read = [i for i in range(VIEWS) if view_photo(scene, i).any()]
    first = np.asarray(Image.open(Set(cup).photo(int(scene.source.indices[0]))))
    assert read == _few(VIEWS)
    np.testing.assert_array_equal(view_photo(scene, 0), first)


def test_several_faults_are_found_at_once(cup):
    spoilt = Set(cup)
    spoilt.photo(2).unlink()
    spoilt.photo(5).write_text("photo")
    spoilt.change(spoilt.mask(9), lambda image: image.resize((48, 40)))
    spoilt.change(spoilt.mask(12), inverted)
    found = {finding.code: finding.views for finding in inspect_scene(cup).findings}
    assert found == {
        "missing-files": ("images_002",),
        "unreadable-images": ("images_005",),
        "wrong-size": ("images_009",),
        "inverted-masks": ("images_012",),
    }


def test_a_set_is_judged_as_it_is_read_with_the_settings(cup):
    spoilt = Set(cup)
    spoilt.photo(2).unlink()
    assert not inspect_scene(cup).is_usable
    report = inspect_scene(cup, skip_missing=True, centre=(0, 0, 3), radius=9)
    assert report.is_usable
    assert [(f.code, f.level) for f in report.findings] == [("missing-files", "warning")]
    np.testing.assert_allclose(report.scene.world_from_scene.translation, (0, 0, 3))
    assert report.scene.world_from_scene.scale == 9
    assert report.scene.source.region == "the settings"


def test_a_set_of_which_skipping_leaves_nothing_is_an_error(cup):
    shutil.rmtree(cup / "images")
    report = inspect_scene(cup, skip_missing=True)
    assert not report.is_usable
    assert "no photo of" in report.findings[0].message and report.findings[0].level == "error"


def test_the_report_is_json_with_every_finding(cup):
    Set(cup).mask(3).unlink()
    document = json.loads(as_json(inspect_scene(cup)))
    assert document["format"] == "transforms"
    assert document["num_views"] == VIEWS
    assert not document["usable"]
    (finding,) = document["findings"]
    assert finding["code"] == "missing-files"
    assert finding["level"] == "error"
    assert finding["remedy"]


ONE_SIDED = {"one-sided"}
REAL = {
    "dtu_scan65": ("", ONE_SIDED),
    "dtu_scan65 sphere": ("cameras_sphere.npz", ONE_SIDED),
    "dtu_scan65 linear init": ("cameras_linear_init.npz", {"one-sided", "pose-noise"}),
    "middlebury_templeRing": ("", {"duplicate-poses"}),  # 1 and 30, a note
    "spot": ("", set()),
    "spot/idr": ("", set()),
    "spot_tiny": ("", set()),
    "spot_tiny/idr": ("", set()),
    "fox": ("", {"missing-files", "no-masks", "one-sided"}),
}


QUICK = {"spot_tiny/idr"}


@pytest.mark.parametrize(
    "name", [pytest.param(x, marks=[] if x in QUICK else [pytest.mark.slow]) for x in REAL]
)
def test_the_findings_in_a_real_set_are_those_of_the_table(photo_set, name):
    cameras, expected = REAL[name]
    folder, _, inner = name.split()[0].partition("/")
    assert codes(photo_set(folder) / inner, cameras=cameras) == expected


def test_what_a_set_with_masks_does_without_is_not_imported():
    heavy = "{'skimage', 'scipy.spatial', 'matplotlib', 'flax'}"
    show = f"import sys, neural_sdf.photos.doctor; print({heavy} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", show], capture_output=True, check=True)
    assert result.stdout == b"set()\n"
