import fcntl
import os
from pathlib import Path

import pytest

from neural_sdf.experiment.train import train
from tests.shipped import short_config


@pytest.fixture(scope="session")
def short_run(tmp_path_factory) -> Path:
    """The workdir of one run that found the shape, trained once for all processes of the tests."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    workdir = shared / "short_run"
    with (shared / "short_run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not workdir.exists():
            train(short_config(), own / "unfinished")
            (own / "unfinished").rename(workdir)
    return workdir
