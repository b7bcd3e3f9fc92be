"""Masks in a scene: where they begin, and what becomes of the region of interest."""

import dataclasses
import json
import warnings

import numpy as np
import pytest
from PIL import Image

from neural_sdf.geometry import SparsePoints, transform_points
from neural_sdf.masking import MASKING
from neural_sdf.masking import scenes as module
from neural_sdf.masking.scenes import with_masks
from neural_sdf.mistake import Doubt
from neural_sdf.photos import load_photos, load_scene
from neural_sdf.photos.outlines.region import BY_HULL, BY_POINTS
from neural_sdf.photos.write import write_scene
from neural_sdf.scenes import Scene, view_masks
from neural_sdf.scenes.frame import in_frame, world_from_camera
from neural_sdf.scenes.paint import smooth
from neural_sdf.scenes.synthetic import Shoot, synthetic_scene
from tests.cases import cases
from tests.conftest import OPENGL
from tests.masking import test_shadow


@pytest.fixture(scope="module")
def cup() -> Scene:
    return synthetic_scene(Shoot(14, 2, (64, 64), smooth))


def without_masks(scene: Scene, folder) -> Scene:
    """The same photos and cameras, read by somebody who has no masks and no region."""
    bare = scene._replace(
        source=scene.source.__class__(scene.source.names, scene.source.indices, False)
    )
    write_scene(bare, folder, "transforms")
    (folder / "region.json").unlink()
    return load_scene(folder)


def test_masks_find_the_region_again_and_leave_the_cameras(cup, tmp_path):
    bare = without_masks(cup, tmp_path / "bare")
    masked = with_masks(bare, view_masks(cup))
    assert masked.source.has_masks and masked.source.region == BY_HULL
    np.testing.assert_allclose(world_from_camera(masked), world_from_camera(bare), atol=1e-9)
    np.testing.assert_allclose(masked.world_from_scene.translation, [0, 0, 3.4], atol=1)
    assert 5 < float(masked.world_from_scene.scale) < 8.5  # about a cup in a sphere of 8


def test_a_region_that_was_given_stays(cup):
    masked = with_masks(cup, [~mask for mask in view_masks(cup)])
    assert masked.source.region == cup.source.region
    assert masked.world_from_scene is cup.world_from_scene
    np.testing.assert_array_equal(masked.mask, ~cup.mask)


@pytest.mark.parametrize("way", MASKING)
def test_masks_made_from_photos_are_those_of_the_object(cup, tmp_path, way):
    made = MASKING[way](without_masks(cup, tmp_path / "bare"))
    for mask, true in zip(view_masks(made), view_masks(cup), strict=True):
        assert (mask & true).sum() > 0.97 * (mask | true).sum()


@pytest.mark.parametrize("given", [True, False])
def test_hull_begins_with_what_is_known(cup, tmp_path, monkeypatch, given):
    """With the masks of the scene, else the plain background, else the region of interest."""
    begun = []

    def refine(photos, masks, intrinsics, poses, points):
        begun.append(masks)
        return view_masks(cup)

    monkeypatch.setattr(module, "refine_by_hull", refine)
    if given:
        spoilt = cup._replace(mask=np.roll(cup.mask, 5))
        MASKING["hull"](spoilt)
        np.testing.assert_array_equal(np.concatenate([m.ravel() for m in begun[0]]), spoilt.mask)
        return
    bare = without_masks(cup, tmp_path / "bare")
    MASKING["hull"](bare)
    shares = [(m & t).sum() / (m | t).sum() for m, t in zip(begun[0], view_masks(cup), strict=True)]
    assert min(shares) > 0.97
    coloured = np.random.default_rng(0).integers(0, 255, bare.rgb.shape, np.uint8)
    with pytest.raises(ValueError, match="cannot be trusted"):  # masks that the photos belie
        MASKING["hull"](bare._replace(rgb=coloured))
    for mask in begun[1]:  # a disc that touches the sides of the photo
        assert mask[32, 32] and not mask[0, 0]
        assert 0.6 < mask.mean() < 0.85


def test_hull_is_given_the_objects_points_in_the_frame_of_the_scene(cup, tmp_path, monkeypatch):
    given = []

    def refine(photos, masks, intrinsics, poses, points):
        given.append(points)
        return view_masks(cup)

    monkeypatch.setattr(module, "refine_by_hull", refine)
    bare = without_masks(cup, tmp_path / "bare")
    ball = np.random.default_rng(0).normal(size=(500, 3))
    ball = 3 * ball / np.linalg.norm(ball, axis=1, keepdims=True) + [0.0, 0.0, 3.4]
    far = np.random.default_rng(1).uniform(60, 70, (80, 3))
    points = SparsePoints(np.concatenate([ball, far]), np.zeros(580))
    source = dataclasses.replace(bare.source, points=points)
    MASKING["hull"](bare._replace(source=source))
    world = transform_points(bare.world_from_scene, given[0])
    assert len(world) > 450
    np.testing.assert_allclose(np.linalg.norm(world - [0.0, 0.0, 3.4], axis=1), 3, atol=1e-9)


@pytest.mark.parametrize(
    ("region", "scale", "held"), [("", 0.5, 0.5), ("", 3, 1), (BY_POINTS, 3, 3)]
)
def test_hull_begins_with_a_region_that_tells_more_than_the_view(
    cup, tmp_path, monkeypatch, region, scale, held
):
    """A given one counts if it is smaller than what all photos show, that of points always."""
    begun = []

    def spheres(*sphere):
        begun.append(sphere[:2])
        return view_masks(cup)

    monkeypatch.setattr(module, "sphere_masks", spheres)
    monkeypatch.setattr(module, "refine_by_hull", lambda *args: view_masks(cup))
    bare = without_masks(cup, tmp_path / "bare")
    frame, view = bare.world_from_scene, float(bare.world_from_scene.scale)
    source = dataclasses.replace(bare.source, region=region)
    noise = np.random.default_rng(0).integers(0, 255, bare.rgb.shape, np.uint8)
    scene = in_frame(bare._replace(source=source), frame._replace(scale=frame.scale * scale))
    with pytest.raises(ValueError, match="cannot be trusted"):
        MASKING["hull"](scene._replace(rgb=noise))
    assert begun[0][1] * float(scene.world_from_scene.scale) == pytest.approx(held * view, rel=0.02)


@pytest.mark.parametrize("way", MASKING)
def test_bad_masks_are_refused_whatever_made_them(cup, monkeypatch, way):
    wrong = [np.roll(mask, 20 * (i % 3), axis=1) for i, mask in enumerate(view_masks(cup))]
    name = {"background": "plain_background", "hull": "refine_by_hull"}[way]
    monkeypatch.setattr(module, name, lambda *args: wrong)
    with pytest.raises(ValueError, match=f"made by {way} cannot be trusted"):
        MASKING[way](cup)


def photographed(taken: test_shadow.Shoot, folder, **settings) -> Scene:
    """Photos in a folder, and what is read of them."""
    frames = []
    for i, (photo, pose) in enumerate(zip(taken.photos, taken.poses, strict=True)):
        Image.fromarray(photo).save(folder / f"{i:02d}.png")
        frames.append({"file_path": f"{i:02d}.png", "transform_matrix": (pose @ OPENGL).tolist()})
    lens = {"fl_x": test_shadow.FOCAL, "cx": test_shadow.SIZE / 2, "cy": test_shadow.SIZE / 2}
    (folder / "transforms.json").write_text(json.dumps({**lens, "frames": frames}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of cameras on one side
        return load_photos(folder, holdout_every=0, **settings)


@pytest.mark.parametrize("way", cases(["background"], ["hull"]))
def test_a_shadow_is_left_out_and_told(tmp_path, way):
    taken = test_shadow.shoot(test_shadow.BALL)
    with pytest.warns(Doubt, match=r"2\d\.\d% of the masks is left out as the object's shadow"):
        made = MASKING[way](photographed(taken, tmp_path))
    assert min(test_shadow.overlaps(view_masks(made), taken.objects)) > 0.9


def test_what_may_be_shadow_or_a_part_is_told(tmp_path):
    taken = test_shadow.shoot((*test_shadow.BALL[:2], test_shadow.GREY))
    with pytest.warns(Doubt, match=r"\d\d% of the masks .* may be the object's shadow or a part"):
        made = MASKING["background"](photographed(taken, tmp_path))
    assert np.mean(test_shadow.overlaps(view_masks(made), taken.masks)) > 0.9


@pytest.mark.filterwarnings("ignore:.*the object's shadow")
def test_masks_end_where_a_region_does_that_was_given(tmp_path):
    """Of two balls, the region holds one."""
    other = ((1.4, 0.0, 0.5), 0.3, np.array([40.0, 120, 220]))
    taken = test_shadow.shoot(test_shadow.BALL, other, sun=(0.0, 0.0, 1.0))
    alone = test_shadow.shoot(test_shadow.BALL, sun=(0.0, 0.0, 1.0))
    bounds = {"centre": (0.0, 0.0, 0.5), "radius": 0.6}
    with pytest.warns(Doubt, match=r"\d\d% of the masks lies outside .*, from the settings, and"):
        made = MASKING["background"](photographed(taken, tmp_path, **bounds))
    assert np.mean(test_shadow.overlaps(view_masks(made), alone.objects)) > 0.8
