"""Two trainings, one workdir."""

import errno
import json
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from neural_sdf.experiment import lock
from neural_sdf.experiment.lock import NAME, claimed
from neural_sdf.experiment.train import train
from neural_sdf.mistake import Mistake
from tests.experiment.tiny import synthetic

ROOT = Path(__file__).parents[2]
HOLD = """
import sys, time
from pathlib import Path
from neural_sdf.experiment.lock import claimed
with claimed(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def without_locks(monkeypatch):
    """A file system that has none."""

    def flock(file, how):
        raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr(lock.fcntl, "flock", flock)


@pytest.fixture(params=["with locks", "without"])
def any_system(request):
    if request.param == "without":
        request.getfixturevalue("without_locks")


@pytest.fixture
def holder(tmp_path):
    """Another process that trains in the folder `run`."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def written(folder: Path, **changes) -> None:
    owner = {"pid": os.getpid(), "host": platform.node(), "since": "2020-02-02 20:20:20"}
    folder.mkdir()
    (folder / NAME).write_text(json.dumps(owner | changes))


def refused(folder: Path, words: str) -> None:
    with pytest.raises(Mistake, match=words), claimed(folder):
        raise AssertionError


def ended_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_second_training_is_told_who_is_there_and_a_killed_one_gives_way(tmp_path, holder):
    config = synthetic()
    with pytest.raises(Mistake) as caught:
        train(config, tmp_path / "run")
    told = str(caught.value)
    assert re.search(rf"run is being trained in, by process {holder.pid} on ", told)
    assert time.strftime("since %Y-%m-") in told
    assert "expected one training at a time; set workdir" in told
    assert [path.name for path in (tmp_path / "run").iterdir()] == [NAME]
    holder.kill()  # as kill -9 does
    holder.wait()
    with claimed(tmp_path / "run"):
        assert json.loads((tmp_path / "run" / NAME).read_text())["pid"] == os.getpid()


def test_another_thread_of_this_process_is_another_training(tmp_path, any_system):
    with claimed(tmp_path):
        refused(tmp_path, f"process {os.getpid()} on")
    with claimed(tmp_path):  # free again
        pass


def test_without_locks_the_process_that_is_named_tells(tmp_path, without_locks):
    written(tmp_path / "run", pid=ended_process())
    with claimed(tmp_path / "run"):
        pass
    written(tmp_path / "here")
    refused(tmp_path / "here", r"since 2020-02-02 20:20:20; .* delete .*training\.lock")
    written(tmp_path / "elsewhere", host="elsewhere", pid=ended_process())
    refused(tmp_path / "elsewhere", "on elsewhere since")


def test_where_there_are_locks_what_a_dead_owner_left_is_taken_over(tmp_path, capsys):
    """Also of a machine that is no more, and a file cut short."""
    written(tmp_path / "elsewhere", host="elsewhere")
    written(tmp_path / "cut")
    (tmp_path / "cut" / NAME).write_text('{"pid": 1')
    for name in ("elsewhere", "cut"):
        with claimed(tmp_path / name):
            owner = json.loads((tmp_path / name / NAME).read_text())
        assert owner["pid"] == os.getpid()
    assert capsys.readouterr().out == ""


def test_nothing_is_left_of_a_claim(tmp_path, any_system):
    with pytest.raises(ZeroDivisionError), claimed(tmp_path / "some" / "where" / "run"):
        1 / 0  # noqa: B018
    assert not any(tmp_path.iterdir())
    (tmp_path / "run").mkdir()
    with claimed(tmp_path / "run"):
        (tmp_path / "run" / "config.json").write_text("{}")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.json"]


def test_what_cannot_be_written_in_is_left_to_whoever_writes(tmp_path):
    (tmp_path / "file").write_text("notes")
    with claimed(tmp_path / "file"):
        pass
    assert (tmp_path / "file").read_text() == "notes"
