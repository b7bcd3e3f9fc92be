"""A room that stands still behind a turntable is told from photos from all round."""

import numpy as np
import pytest

from neural_sdf.motion.turntable import refuse_still_room

RNG = np.random.default_rng(0)
ROOM = RNG.normal(loc=(0.0, 0.0, 5.0), size=(200, 3))
ALL, FEW = np.full((20, 20), 30), np.diag(np.full(19, 30), 1)


def ring(radius):
    turns = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    return radius * np.stack([np.cos(turns), np.sin(turns), 0 * turns], axis=-1)


def test_cameras_in_one_place_that_all_see_the_same_are_refused():
    with pytest.raises(ValueError, match=r"found in one place .* object turns; .* mask for each"):
        refuse_still_room(ring(0.05), ROOM, ALL)


def test_one_camera_far_off_does_not_hide_it():
    centres = ring(0.05)
    centres[3] += 9.0
    with pytest.raises(ValueError, match="found in one place"):
        refuse_still_room(centres, ROOM, ALL)


@pytest.mark.parametrize(("radius", "matches"), [(0.6, ALL), (5.0, ALL), (0.05, FEW)])
def test_cameras_that_moved_or_see_other_things_pass(radius, matches):
    refuse_still_room(ring(radius), ROOM, matches)
