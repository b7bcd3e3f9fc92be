"""Masks in a scene: where they begin, and what becomes of the region of interest."""

import numpy as np
import pytest

from neural_sdf.masking import MASKING
from neural_sdf.masking import scenes as module
from neural_sdf.masking.scenes import with_masks
from neural_sdf.photos import load_scene
from neural_sdf.photos.outlines.region import BY_HULL
from neural_sdf.photos.write import write_scene
from neural_sdf.scenes import Scene, view_masks
from neural_sdf.scenes.cup import Shoot, smooth, synthetic_scene
from neural_sdf.scenes.frame import world_from_camera


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
    """With the masks of the scene, else the plain background, else the common view."""
    begun = []

    def refine(photos, masks, intrinsics, poses):
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
    MASKING["hull"](bare._replace(rgb=coloured))
    for mask in begun[1]:  # a disc that touches the sides of the photo
        assert mask[32, 32] and not mask[0, 0]
        assert 0.6 < mask.mean() < 0.85
