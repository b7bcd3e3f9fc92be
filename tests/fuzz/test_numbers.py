"""Numbers and names that no camera has are told without a warning of NumPy."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neural_sdf.photos.doctor import inspect_scene
from neural_sdf.photos.load import load_scene
from tests.fuzz.inspected import VIEWS, changed, check


def with_frame(folder: Path, **values: Any) -> bytes:
    """The camera file of a transforms set with other values in one frame."""
    document = json.loads((folder / "transforms_train.json").read_text())
    document["frames"][3].update(values)
    return json.dumps(document).encode()


@pytest.mark.parametrize("width", [100_000, 1e18, 1e30])
def test_a_huge_size_of_one_view_is_told_of_that_view_alone(transforms, width):
    """It says nothing of the others, whose pixels are read at the size that they have."""
    with changed(transforms / "transforms_train.json", with_frame(transforms, w=width, h=48)):
        check(transforms)
        found = inspect_scene(transforms).findings
    assert found[0].code == "wrong-size" or "frame 3" in found[0].message


@pytest.mark.parametrize("size", [1e-300, 1e-30, 1e-6, 1e30, 1e300])
@pytest.mark.parametrize("key", ["fl_x", "fl_y", "camera_angle_x"])
def test_an_absurd_focal_length_makes_no_warning_of_numpy(transforms, key, size):
    values = {"fl_x": None, key: size, "k1": 0.1}
    with changed(transforms / "transforms_train.json", with_frame(transforms, **values)):
        check(transforms)


@pytest.mark.parametrize("size", [1e25, 1e150, 1e200, 1e300, -1e300])
def test_an_absurd_pose_makes_no_warning_of_numpy(transforms, size):
    document = json.loads((transforms / "transforms_train.json").read_text())
    for row, column in ((0, 3), (1, 1)):
        matrix = np.array(document["frames"][3]["transform_matrix"])
        matrix[row, column] = size
        spoilt = with_frame(transforms, transform_matrix=matrix.tolist())
        with changed(transforms / "transforms_train.json", spoilt):
            assert check(transforms)


@pytest.mark.parametrize("size", [1e25, 1e150, 1e300])
@pytest.mark.parametrize("key", ["world_mat_3", "scale_mat_3"])
def test_an_absurd_matrix_makes_no_warning_of_numpy(sets, key, size):
    path = sets("idr") / "cameras.npz"
    with np.load(path) as archive:
        arrays = {"scale_mat_0": np.eye(4), **archive}
    arrays = {**{f"scale_mat_{i}": np.eye(4) for i in range(VIEWS)}, **arrays}
    arrays[key] = arrays[key].copy()
    arrays[key][1, 1] = size
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    with changed(path, stream.getvalue()):
        assert check(sets("idr"))


@pytest.mark.parametrize(
    "region",
    [
        {"centre": [1e300, 0, 0], "radius": 1},
        {"centre": [0, 0, 0], "radius": 1e300},
        {"centre": [0, 0, 0], "radius": 1e-300},
        {"centre": [0, 0, 0], "radius": 5e-324},
        {"centre": [0, 0, 0], "radius": 1, "rotation": [[1e200] * 3] * 3},
    ],
)
def test_an_absurd_region_makes_no_warning_of_numpy(transforms, region):
    with changed(transforms / "region.json", json.dumps(region).encode()):
        assert check(transforms)


@pytest.mark.parametrize(
    "name",
    ["𝔸" * 250, "a" * 254, "\ud800.png", "train/" + "é" * 200 + ".png", "train/a\nb.png"],
    ids=["wide", "long", "half", "accents", "lines"],
)
@pytest.mark.parametrize("key", ["file_path", "mask_path"])
def test_a_name_that_no_file_has_is_told_in_a_line_that_can_be_printed(transforms, key, name):
    with changed(transforms / "transforms_train.json", with_frame(transforms, **{key: name})):
        assert check(transforms)
        with pytest.raises((ValueError, FileNotFoundError)) as error:
            load_scene(transforms)
    str(error.value).encode()


def test_a_long_word_in_all_frames_is_told_in_a_sentence(transforms):
    document = json.loads((transforms / "transforms_train.json").read_text())
    content = json.dumps(document | {"camera_model": "𝔸" * 250}).encode()
    with changed(transforms / "transforms_train.json", content):
        assert check(transforms)


@pytest.mark.parametrize("read", [inspect_scene, load_scene])
@pytest.mark.parametrize("centre", [(10**400, 0, 0), (np.nan, 0, 0)])
def test_a_centre_that_is_no_place_is_refused_before_anything_is_read(transforms, read, centre):
    with pytest.raises(ValueError, match=r"centre has .*: expected finite world coordinates"):
        read(transforms, centre=centre)
