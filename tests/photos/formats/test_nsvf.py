"""NSVF's files, of which test_same_scene.py has the cameras."""

import numpy as np
import pytest

from neural_sdf.photos.formats.nsvf import read_nsvf
from tests.photos.layouts import FOCAL, SIZE, Photos, take_photos, write_nsvf

PHOTOS = Photos(*(part[:3] for part in take_photos()))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.photos.layouts.NUM_VIEWS", 3)
    write_nsvf(tmp_path, PHOTOS)
    return tmp_path


def test_names_say_the_split(folder):
    for i in range(3):
        for place in ("rgb", "pose"):
            for path in (folder / place).glob(f"00{i}.*"):
                path.rename(path.with_name(f"{i}_{path.name}"))
    views = read_nsvf(folder, "").views
    assert [(view.image.name, view.is_test) for view in views] == [
        ("0_000.png", False),
        ("2_002.png", True),
    ]


def test_the_box_is_the_region(folder):
    assert read_nsvf(folder, "").world_from_scene is None
    (folder / "bbox.txt").write_text("0 1 2 2 3 4 0.1\n")
    region = read_nsvf(folder, "").world_from_scene
    assert float(region.scale) == pytest.approx(3**0.5)
    np.testing.assert_allclose(region.translation, [1, 2, 3])
    (folder / "bbox.txt").write_text("2 1 2 0 3 4 0.1\n")
    with pytest.raises(ValueError, match=r"bbox.txt has a box from .*; expected its lower"):
        read_nsvf(folder, "")


def test_intrinsics_may_be_a_matrix(folder):
    K = np.array([[FOCAL, 0, SIZE / 2], [0, FOCAL, SIZE / 2], [0, 0, 1]])
    whole = np.eye(4)
    whole[:3, :3] = K
    for matrix in (K, whole):
        np.savetxt(folder / "intrinsics.txt", matrix)
        np.testing.assert_allclose(read_nsvf(folder, "").views[0].intrinsics, K)
    (folder / "intrinsics.txt").write_text("1 2")
    with pytest.raises(ValueError, match=r"intrinsics.txt has only 2 entries; expected 3"):
        read_nsvf(folder, "")
