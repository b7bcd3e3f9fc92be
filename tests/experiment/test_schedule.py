"""A run that goes on after its last step: how its learning rate goes on."""

import json
import shutil

import jax
import numpy as np
import pytest

from neural_sdf.experiment.build import learning_rate
from neural_sdf.experiment.train import train
from neural_sdf.experiment.workdir import leap, load_trained
from neural_sdf.mistake import Mistake
from tests.experiment.tiny import synthetic

LONGER = {"train__steps": 8, "train__schedule_steps": 4}


@pytest.mark.parametrize("decay", ["cosine", "halving"])
def test_rate_goes_on_as_it_ended_after_the_steps_of_its_schedule(decay):
    short = learning_rate(synthetic(train__decay=decay).train)
    longer = learning_rate(synthetic(train__decay=decay, **LONGER).train)
    for step in range(5):
        assert float(longer(step)) == float(short(step)) > (0 if step else -1)
    assert {float(longer(step)) for step in range(4, 9)} == {float(short(4))}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"steps": 8},
            "learning rate goes back from {0:.2e} to {1:.2e}, worse before it gets better "
            "(train.schedule_steps=4 goes on without that)",
        ),
        ({"steps": 8, "learning_rate": 1e-4, "schedule_steps": 4}, "from {0:.2e} to {1:.2e}"),
        ({"steps": 8, "learning_rate": 1.0}, "back from {0:.2e} to {1:.2e}, worse before it gets"),
        ({"steps": 8, "schedule_steps": 4}, ""),
    ],
)
def test_rate_that_leaps_is_said_with_the_way_round_it_where_there_is_one(finished, changes, told):
    now = synthetic(**{f"train__{name}": value for name, value in changes.items()})
    rates = [float(learning_rate(config.train)(4)) for config in (synthetic(), now)]
    said = leap(now, finished, 4)
    assert told.format(*rates) in said and bool(told) == bool(said)
    assert ("schedule_steps" in said) == (changes == {"steps": 8})


def test_run_goes_on_at_the_last_rate_to_the_same_bits_with_and_without_a_break(
    finished, tmp_path, capsys
):
    unbroken, broken = (shutil.copytree(finished, tmp_path / name) for name in ("a", "b"))
    train(synthetic(**LONGER), unbroken)
    said = capsys.readouterr().out
    assert "train.schedule_steps: None -> 4" in said and "learning rate" not in said
    train(synthetic(**LONGER), broken)
    shutil.rmtree(broken / "checkpoints/8")
    train(synthetic(**LONGER), broken)
    assert "resuming after step 6\n" in capsys.readouterr().out
    one, other = (load_trained(run) for run in (unbroken, broken))
    assert one.step == other.step == 8 and one.share == 1.0
    for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(other.params), strict=True):
        np.testing.assert_array_equal(a, b)
    logged = [json.loads(line) for line in (unbroken / "metrics.jsonl").read_text().splitlines()]
    assert logged[-1]["sharpness"] == 1600
    rate = float(learning_rate(synthetic().train)(4))
    np.testing.assert_allclose([line["learning_rate"] for line in logged[4:]], rate, rtol=1e-6)


def test_schedule_of_no_step_is_refused(tmp_path):
    with pytest.raises(Mistake, match=r"schedule_steps is 0; expected at least 1"):
        train(synthetic(train__schedule_steps=0), tmp_path / "run")


def test_finished_run_says_how_to_train_on_either_way(finished, capsys):
    train(synthetic(), finished)
    said = capsys.readouterr().out
    assert "raise train.steps; train.schedule_steps=4 goes on at the last rate" in said
