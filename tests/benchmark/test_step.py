"""A step by several searches for the same hits, and what they ask of the field."""

import jax
import numpy as np
import pytest
from next_step import hits_of
from step import evaluations, searching_steps, step_times

from neural_sdf.tracing import HIT, MISS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def programs(now):
    return searching_steps(now)


@pytest.fixture(scope="module")
def done(programs):
    return {name: program() for name, program in programs.items()}


def test_step_that_is_given_its_hits_asks_nothing_for_them(done):
    paid = {name: float(metrics["evaluations"]) for name, (_, metrics) in done.items()}
    assert paid["hits_given"] == 0
    assert paid["idr"] == 118
    assert 0 < paid["whole"] < paid["plain"]
    assert paid["halving"] < paid["plain"]


def test_step_by_any_search_moves_the_parameters_to_the_same(now, done):
    assert set(np.unique(hits_of(now).status)) == {HIT, MISS}
    whole, metrics = done["whole"]
    for name in ("hits_given", "halving", "plain", "idr"):
        for ours, other in zip(
            *map(jax.tree.leaves, (whole.params, done[name][0].params)), strict=True
        ):
            np.testing.assert_allclose(ours, other, rtol=1e-4, atol=1e-5, err_msg=name)
        # Not the mask's loss: the least value met on a miss depends on where a search looks.
        np.testing.assert_allclose(metrics["colour"], done[name][1]["colour"], rtol=1e-4)
    np.testing.assert_allclose(metrics["loss"], done["hits_given"][1]["loss"], rtol=1e-5)


def test_step_is_the_one_that_training_takes(now, done):
    state, metrics = now.trained.run.step(now.state, now.batch)
    for name, value in metrics.items():
        np.testing.assert_allclose(done["whole"][1][name], value, rtol=1e-5, err_msg=name)
    assert state.step == done["whole"][0].step == now.trained.step + 1


def test_times_of_a_step_are_told_by_search(programs):
    rows = {row.key: row for row in step_times(programs)}
    assert set(rows) == {
        *("step.hits_given", "step.whole", "step.halving", "step.plain", "step.idr"),
        *("step_over_hits_given", "step_over_plain"),
    }
    assert all(np.isfinite(row.value).all() and min(row.value) > 0 for row in rows.values())
    assert rows["step.whole"].ratio == rows["step_over_hits_given"].value


def test_evaluations_are_those_of_the_step(now, done):
    rows = {row.key: row.value.median for row in evaluations(now)}
    for name in ("whole", "halving", "plain", "idr"):
        paid = float(done[name][1]["evaluations"])
        assert rows[f"cost.{name}_paid"] == pytest.approx(paid, rel=1e-6)
        assert 0 < rows[f"cost.{name}_useful"] <= paid
    corners = np.stack(np.meshgrid(*3 * [np.linspace(-1, 1, 25)]), axis=-1)
    kept = np.sum(np.linalg.norm(corners, axis=-1) < 1 + 3**0.5 / 12)
    assert rows["cost.refresh"] == -(-kept // 16) / 128
