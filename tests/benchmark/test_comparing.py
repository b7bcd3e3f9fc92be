"""What comparing photos costs a step."""

import numpy as np
import pytest
from comparing import comparing_times

pytestmark = pytest.mark.slow


def test_step_is_timed_without_and_with_comparing(now):
    rows = {row.key: row for row in comparing_times(now)}
    assert set(rows) == {"comparing.alone", "comparing.with", "comparing_over_alone"}
    assert all(np.isfinite(row.value).all() and min(row.value) > 0 for row in rows.values())
