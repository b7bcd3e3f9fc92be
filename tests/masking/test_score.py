"""Masks that cannot be trusted are told from those that can."""

import numpy as np
import pytest

from neural_sdf.masking.score import Score, require_sound, score
from neural_sdf.photos.outlines.cells import Views
from neural_sdf.scenes import view_masks, view_photos
from neural_sdf.scenes.paint import smooth
from neural_sdf.scenes.synthetic import Shoot, synthetic_scene


@pytest.fixture(scope="module")
def cup():
    scene = synthetic_scene(Shoot(16, 0, (96, 96), smooth))
    poses = np.asarray(scene.scene_from_camera)
    return Views(view_photos(scene), scene.intrinsics, poses), view_masks(scene)


def refused(views, masks, whole=True):
    with pytest.raises(ValueError, match="cannot be trusted") as caught:
        require_sound(score(views, masks), "hull", whole=whole)
    return str(caught.value)


def test_true_masks_are_sound(cup):
    views, masks = cup
    made = score(views, masks)
    assert made.contrast > 2.5 and made.agreement > 0.92 and made.cut_off == 0
    require_sound(made, "hull", whole=True)
    few = Views(views.photos[::4], views.intrinsics[::4], views.world_from_camera[::4])
    require_sound(score(few, masks[::4]), "hull", whole=True)


def test_blank_masks_say_nothing(cup):
    views, masks = cup
    some = [np.zeros_like(mask) for mask in masks[:3]] + masks[3:]
    require_sound(score(views, some), "hull", whole=True)
    assert score(views, [np.zeros_like(mask) for mask in masks]) == Score(0.0, 0.0, 1.0)


def test_masks_of_a_patch_of_table_beside_the_object_are_refused(cup):
    """What is inside looks as what is outside."""
    views, masks = cup
    rng = np.random.default_rng(0)
    photos = [rng.integers(100, 110, photo.shape, np.uint8) for photo in views.photos]
    told = refused(views._replace(photos=photos), masks)
    assert "nearly the same colours" in told and "expected 1.6" in told


def test_masks_of_different_things_are_refused(cup):
    """As of a table full of things, another part of which each mask leaves out."""
    views, masks = cup
    parts = [mask.copy() for mask in masks]
    for i, mask in enumerate(parts):
        rows, columns = np.nonzero(mask)
        side = [columns < np.median(columns), columns > np.median(columns)][i % 2]
        mask[rows[side], columns[side]] &= rows[side] < np.median(rows)
    photos = [
        np.where(mask[..., None], photo, 255).astype(np.uint8)
        for photo, mask in zip(views.photos, parts, strict=True)
    ]
    told = refused(views._replace(photos=photos), parts)
    assert "not of one object, or the cameras are wrong" in told and "hull of all of them" in told


def test_masks_that_run_out_of_most_photos_are_refused_unless_the_region_was_given(cup):
    views, masks = cup
    cut = [photo[:, 30:66] for photo in views.photos]
    intrinsics = views.intrinsics.copy()
    intrinsics[:, 0, 2] -= 30
    views, masks = Views(cut, intrinsics, views.world_from_camera), [m[:, 30:66] for m in masks]
    assert "100% of the photos" in refused(views, masks)
    require_sound(score(views, masks), "hull", whole=False)


@pytest.mark.parametrize(("way", "other"), [("hull", "background"), ("background", "hull")])
def test_the_refusal_names_the_other_ways(way, other):
    with pytest.raises(ValueError, match=rf"made by {way} .*; make masks elsewhere .*{other}"):
        require_sound(Score(0.5, 0.95, 0.0), way, whole=True)
