"""Rays and pixels a second."""

import numpy as np
import pytest
import throughput as subject
from measure import spread
from next_step import NextStep
from throughput import throughput


@pytest.mark.slow
def test_rates_are_of_each_batch_and_of_a_whole_image(now: NextStep, monkeypatch):
    calls = []

    def a_millisecond(programs, arguments):
        ((name, program),) = programs.items()
        calls.append(program(*arguments))
        return {name: [1.0, 2.0]}

    monkeypatch.setattr(subject, "alternating_times", a_millisecond)
    rows = {row.key: row.value for row in throughput(now, (32, 64))}
    assert rows == {
        "throughput.batch_32": spread([0.032, 0.016]),
        "throughput.batch_64": spread([0.064, 0.032]),
        "throughput.image": spread([0.256, 0.128]),
    }
    few, many, image = calls
    assert (few.t.shape, many.t.shape, image.rgb.shape) == ((32,), (64,), (16, 16, 3))
    expected = (now.scene.mask.reshape(16, 16)).mean() * (0.5 / 0.6) ** 2
    assert np.mean(image.mask) == np.clip(np.mean(image.mask), 0.8 * expected, 1.2 * expected)
