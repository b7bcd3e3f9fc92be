"""A run far from the origin of its world loses nothing of what it learned there."""

import numpy as np
import pytest

from neural_sdf.experiment.workdir import check_same_frame
from neural_sdf.geometry import Similarity
from neural_sdf.mistake import Mistake

PLACE = np.array([500_000.0, 4_600_000.0, 120.0])
FRAME = Similarity(np.array(1.25), np.eye(3), PLACE)


def test_another_region_a_millionth_of_a_northing_away_is_not_taken_for_the_same():
    check_same_frame(FRAME._replace(translation=PLACE + 1e-8), FRAME, "runs/a")
    moved = FRAME._replace(translation=np.add(PLACE, [0, 0.5, 0]))
    with pytest.raises(Mistake, match=r"about \(500000, 4600000, 120\).*4600000\.5, 120\)"):
        check_same_frame(moved, FRAME, "runs/a")
