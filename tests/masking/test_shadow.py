"""Balls on a table in the sun: which masks lose a shadow, and which keep a part of its hue."""

from typing import NamedTuple

import numpy as np
import pytest

from neural_sdf.masking.shadow import without_shadow
from tests.cases import cases

SIZE, FOCAL, VIEWS = 96, 110.0, 16
K = np.array([[FOCAL, 0, SIZE / 2], [0, FOCAL, SIZE / 2], [0, 0, 1]])
GROUND, ORANGE = np.array([205.0, 200, 190]), np.array([220.0, 120, 40])
GREY = 0.6 * GROUND
SUN = np.array([0.6, 0.2, 0.8])
BALL = ((0.0, 0.0, 0.5), 0.5, ORANGE)
HEAD = ((0.0, 0.0, 1.2), 0.25, GREY)
WHEELS = tuple(((x, y, 0.3), 0.3, GREY) for x, y in ((-0.5, 0.3), (0.5, 0.3), (0, -0.6)))


class Shoot(NamedTuple):
    """Photos, masks of what is no ground, of that and its shadow, and poses."""

    photos: list[np.ndarray]
    objects: list[np.ndarray]
    masks: list[np.ndarray]
    poses: np.ndarray


def meet(origins, directions, balls):
    """How far rays go to the first ball, infinite if to none, and which it is."""
    away = np.full((len(balls) + 1, *directions.shape[:-1]), np.inf)
    for one, (middle, radius, _) in zip(away[:-1], balls, strict=True):
        offset = origins - middle
        along = np.sum(offset * directions, axis=-1)
        inside = along**2 - np.sum(offset**2, axis=-1) + radius**2
        near = -along - np.sqrt(np.maximum(inside, 0))
        hit = (inside > 0) & (near > 1e-6)
        one[hit] = near[hit]
    return away.min(axis=0), np.where(
        np.isfinite(away.min(axis=0)), away.argmin(axis=0), len(balls)
    )


def shoot(*balls, lid=np.inf, heights=(0.5, 1.1), disc=0.0, sun=SUN) -> Shoot:
    """Seen from a ring above the table; what is higher than the lid, and a disc, are grey."""
    rng = np.random.default_rng(0)
    turns, tilts = 2.4 * np.arange(VIEWS), np.linspace(*heights, VIEWS)
    photos, objects, masks, poses = [], [], [], np.tile(np.eye(4), (VIEWS, 1, 1))
    rows, columns = np.indices((SIZE, SIZE)) + 0.5
    pixels = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ np.linalg.inv(K).T
    sun = np.array(sun) / np.linalg.norm(sun)
    for turn, tilt, pose in zip(turns, tilts, poses, strict=True):
        back = np.array([np.cos(turn) * np.cos(tilt), np.sin(turn) * np.cos(tilt), np.sin(tilt)])
        right = np.cross([0, 0, 1], back) / np.cos(tilt)
        pose[:3] = np.stack([right, np.cross(right, back), -back, 4.5 * back], axis=1)
        pose[2, 3] += 0.4
        directions = pixels @ pose[:3, :3].T
        directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
        away, which = meet(pose[:3, 3], directions, balls)
        table = pose[:3, 3] - directions * (pose[2, 3] / directions[..., 2:])
        shaded = np.isfinite(meet(table, np.broadcast_to(sun, table.shape), balls)[0])
        thing, flat = np.isfinite(away), np.hypot(*np.moveaxis(table[..., :2], -1, 0)) < disc
        high = thing & (pose[2, 3] + np.where(thing, away, 0) * directions[..., 2] > lid)
        colours = np.array([paint for *_, paint in balls] + [GROUND])[which]
        colours[high | (flat & ~thing)] = GREY
        colours[shaded & ~thing] *= 0.6
        photo = np.clip(np.rint(colours + rng.normal(0, 2, colours.shape)), 0, 255)
        photos.append(photo.astype(np.uint8))
        objects.append(thing | flat)
        masks.append(thing | flat | shaded)
    return Shoot(photos, objects, masks, poses)


def bare(shoot: Shoot, masks):
    return found(shoot, masks).masks


def found(shoot: Shoot, masks):
    return without_shadow(shoot.photos, masks, np.tile(K, (VIEWS, 1, 1)), shoot.poses)


def overlaps(masks, truth):
    return [(m & t).sum() / (m | t).sum() for m, t in zip(masks, truth, strict=True)]


def test_the_shadow_of_a_coloured_object_is_left_out():
    taken = shoot(BALL)
    assert np.mean(overlaps(taken.masks, taken.objects)) < 0.9
    assert min(overlaps(bare(taken, taken.masks), taken.objects)) > 0.94


RAISED = ((0.0, 0.0, 0.6), 0.5, ORANGE)
PARTS = {
    "all grey": lambda: shoot((*BALL[:2], GREY)),
    "a grey head": lambda: shoot(BALL, HEAD),
    "grey wheels": lambda: shoot(RAISED, *WHEELS),
    "a grey lid": lambda: shoot(BALL, lid=0.8),
    "a grey disc": lambda: shoot(disc=0.6),
    "seen from below": lambda: shoot(BALL, heights=(-0.4, 1.1)),
}


@pytest.mark.parametrize(
    "part",
    cases(
        ["all grey", "a grey head", "grey wheels", "a grey disc"], ["a grey lid", "seen from below"]
    ),
)
def test_a_part_of_the_grounds_hue_is_left_in(part):
    taken = PARTS[part]()
    for kept, mask in zip(bare(taken, taken.masks), taken.masks, strict=True):
        np.testing.assert_array_equal(kept, mask)


def test_a_flat_grey_lid_is_not_below_the_object():
    """All of the ground's hue that masks hold lies in one plane."""
    taken = shoot(((0.0, 0.0, 0.5), 0.5, ORANGE), lid=0.9)
    for kept, mask in zip(bare(taken, taken.objects), taken.objects, strict=True):
        np.testing.assert_array_equal(kept, mask)


def test_it_is_told_what_was_cut_and_what_may_be_shadow_as_well():
    taken, grey = shoot(BALL), shoot((*BALL[:2], GREY))
    sure, doubtful = found(taken, taken.masks), found(grey, grey.masks)
    share = 1 - sum(m.sum() for m in taken.objects) / sum(m.sum() for m in taken.masks)
    assert sure.cut == pytest.approx(share, abs=0.04) and sure.doubtful < 0.02
    assert doubtful.cut == 0 and doubtful.doubtful > 0.9


def test_masks_without_shadow_stay_as_they_are():
    taken = shoot(BALL)
    for kept, mask in zip(bare(taken, taken.objects), taken.objects, strict=True):
        np.testing.assert_array_equal(kept, mask)


@pytest.mark.parametrize("mask", [np.zeros, np.ones])
def test_masks_that_say_nothing_stay_as_they_are(mask):
    taken = shoot(BALL)
    masks = [mask((SIZE, SIZE), bool)] * VIEWS
    assert all((one == other).all() for one, other in zip(bare(taken, masks), masks, strict=True))


def test_a_small_grey_knob_stays_where_the_shadow_goes():
    taken = shoot(BALL, ((0.0, 0.0, 1.05), 0.08, GREY))
    knobs = [whole & ~ball for whole, ball in zip(taken.objects, shoot(BALL).objects, strict=True)]
    kept = bare(taken, taken.masks)
    assert min(overlaps(kept, taken.objects)) > 0.93
    assert sum((k & m).sum() for k, m in zip(knobs, kept, strict=True)) > 0.8 * np.sum(knobs)
