"""A set moved to where surveys are is the same scene, to far below what training tells apart."""

import numpy as np
import pytest

from neural_sdf.photos import load_scene
from neural_sdf.photos.doctor import as_text, inspect_scene
from tests.photos.layouts import CENTRE, LAYOUTS, RADIUS, take_photos

UTM, ECEF = (500_000.0, 4_600_000.0, 120.0), (4_201_000.0, 168_000.0, 4_780_000.0)
PHOTOS = take_photos()


def written(folder, layout, place):
    poses = PHOTOS.poses.copy()
    poses[:, :3, 3] += place
    LAYOUTS[layout].write(folder, PHOTOS._replace(poses=poses))
    return folder


@pytest.mark.parametrize("place", [UTM, ECEF])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_cameras_of_every_layout_keep_their_digits(layout, place, tmp_path):
    folder = written(tmp_path, layout, place)
    scene = load_scene(folder, centre=np.add(CENTRE, place).tolist(), radius=RADIUS)
    near = PHOTOS.poses[list(scene.source.indices), :3, 3]
    np.testing.assert_allclose(
        scene.scene_from_camera[:, :3, 3], (near - CENTRE) / RADIUS, rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("place", [UTM, ECEF])
def test_the_hull_and_its_region_move_with_the_cameras(place, tmp_path):
    near, far = (
        load_scene(written(tmp_path / name, "transforms", where))
        for name, where in (("near", (0, 0, 0)), ("far", place))
    )
    assert far.source.region == near.source.region == "the masks' visual hull"
    assert float(far.world_from_scene.scale) == pytest.approx(float(near.world_from_scene.scale))
    np.testing.assert_allclose(far.scene_from_camera, near.scene_from_camera, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(far.mask, near.mask)


def test_the_doctor_finds_the_same_and_writes_the_place_with_its_digits(tmp_path):
    near = inspect_scene(written(tmp_path / "near", "transforms", (0, 0, 0)))
    far = inspect_scene(written(tmp_path / "far", "transforms", UTM))
    assert [x.code for x in far.findings] == [x.code for x in near.findings]
    centre = as_text(far).split("about (")[1].split(")")[0].split(", ")
    expected = far.scene.world_from_scene.translation
    np.testing.assert_allclose([float(x) for x in centre], expected, rtol=0, atol=2e-3)
