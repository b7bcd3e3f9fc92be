"""A run that is broken off and resumed ends where the unbroken one does, to the bit."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
import pytest

from neural_sdf.experiment.workdir import load_trained

ROOT = Path(__file__).parents[2]
STEPS = 400
SETTINGS = [
    *("--config=configs/quickstart.py", "--config.data.downscale=8"),
    *("--config.field.width=32", "--config.field.depth=2", "--config.field.skip=0"),
    *("--config.field.num_features=8", "--config.field.radiance_width=16"),
    *("--config.field.radiance_depth=1", "--config.train.batch_size=64"),
    *("--config.train.render.max_steps=16", f"--config.train.steps={STEPS}"),
    *("--config.train.warmup=10", "--config.train.log_every=5"),
]
# train.py, but for a save that never ends.
ENDLESS_SAVE = """
import runpy, time
from neural_sdf import launch

launch.correct_reductions()
from neural_sdf.training import Checkpoints

def save(*_, **settings):
    print("saving", flush=True)
    while True:
        time.sleep(0.01)

Checkpoints.save = save
runpy.run_path("train.py", run_name="__main__")
"""


def start(
    workdir: Path, checkpoint_every: int, *, program: Sequence[str] = ("train.py",)
) -> subprocess.Popen:
    where = (f"--workdir={workdir}", f"--config.train.checkpoint_every={checkpoint_every}")
    return subprocess.Popen(
        [sys.executable, *program, *SETTINGS, *where],
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> str:
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    return output


def wait_until(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)


def checkpoint_steps(workdir: Path) -> list[int]:
    folders = (workdir / "checkpoints").glob("*")
    return sorted(int(folder.name) for folder in folders if folder.name.isdigit())


def logged_steps(workdir: Path) -> list[int]:
    path = workdir / "metrics.jsonl"
    text = path.read_text() if path.exists() else ""
    complete = text[: text.rfind("\n") + 1]
    return [json.loads(line)["step"] for line in complete.splitlines()]


def digest(workdir: Path) -> str:
    trained = load_trained(workdir)
    assert trained.step == STEPS
    sha256 = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(trained.params):
        sha256.update(jax.tree_util.keystr(path).encode())
        sha256.update(np.asarray(leaf).tobytes())
    return sha256.hexdigest()


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> Path:
    workdir = tmp_path_factory.mktemp("unbroken")
    finish(start(workdir, checkpoint_every=40))
    return workdir


@pytest.mark.slow
def test_killed_run_resumes_to_the_same_parameters(unbroken, tmp_path):
    process = start(tmp_path, checkpoint_every=20)
    wait_until(lambda: bool(checkpoint_steps(tmp_path)), process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    left = checkpoint_steps(tmp_path)[-1]
    assert process.returncode == -signal.SIGKILL
    assert 0 < left < STEPS

    assert f"resuming after step {left}\n" in finish(start(tmp_path, checkpoint_every=20))
    assert digest(tmp_path) == digest(unbroken)
    assert logged_steps(tmp_path) == logged_steps(unbroken) == [*range(5, STEPS + 1, 5)]


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_signalled_run_saves_and_resumes_to_the_same_parameters(unbroken, tmp_path, number):
    process = start(tmp_path, checkpoint_every=10 * STEPS)
    wait_until(lambda: bool(logged_steps(tmp_path)), process)
    logged = logged_steps(tmp_path)[-1]
    process.send_signal(number)
    output = finish(process)
    (left,) = checkpoint_steps(tmp_path)
    assert logged <= left < STEPS
    assert f"stopped at step {left}: " in output.splitlines()[-1]

    assert f"resuming after step {left}\n" in finish(start(tmp_path, checkpoint_every=10 * STEPS))
    assert digest(tmp_path) == digest(unbroken)


def test_a_second_signal_ends_the_run_at_once_without_a_word_too_much(tmp_path):
    process = start(tmp_path, checkpoint_every=10 * STEPS, program=("-c", ENDLESS_SAVE))
    wait_until(lambda: bool(logged_steps(tmp_path)), process)
    assert process.stdout is not None
    process.send_signal(signal.SIGINT)
    assert "saving\n" in iter(process.stdout.readline, "")
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate()
    assert process.returncode == 128 + signal.SIGINT
    assert errors == "stopped at once; the run goes on from its last checkpoint\n"
    assert "stopped at step" not in output
