"""A step by several searches for the same hits, and what they ask of the field."""

import jax
import numpy as np
import pytest
from next_step import hits_of
from step import evaluations, programs, step_times

from neural_sdf.tracing import HIT, MISS


@pytest.fixture(scope="module")
def done(now):
    return {name: program() for name, program in programs(now).items()}


def test_step_that_is_given_its_hits_asks_nothing_for_them(done):
    paid = {name: float(metrics["evaluations"]) for name, (_, metrics) in done.items()}
    assert paid["hits_given"] == 0
    assert paid["idr"] == 118
    assert 0 < paid["whole"] < paid["plain"]
    assert paid["halving"] < paid["plain"]


def test_step_by_any_search_moves_the_parameters_to_the_same(now, done):
    hits = hits_of(now)
    assert set(np.unique(hits.status)) == {HIT, MISS}
    for name in ("hits_given", "halving", "plain", "idr"):
        for ours, other in zip(
            *(jax.tree.leaves(done[k][0].params) for k in ("whole", name)), strict=True
        ):
            np.testing.assert_allclose(ours, other, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(done["whole"][1]["loss"], done[name][1]["loss"], rtol=1e-3)


def test_step_is_the_one_that_training_takes(now, done):
    state, metrics = now.trained.run.step(jax.tree.map(np.array, now.state), now.batch)
    for name, value in metrics.items():
        np.testing.assert_allclose(done["whole"][1][name], value, rtol=1e-5, err_msg=name)
    assert state.step == done["whole"][0].step == now.trained.step + 1


def test_times_of_a_step_are_told_by_search(now):
    rows = {row.key: row for row in step_times(now)}
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
    assert rows["cost.refresh"] == pytest.approx(KEPT / 16 / 64, rel=0.1)
