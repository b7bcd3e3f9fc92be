import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from neural_sdf.experiment import train as train_module
from neural_sdf.experiment import workdir as workdir_module
from neural_sdf.experiment.build import build, compile_step
from neural_sdf.experiment.train import train
from neural_sdf.training import LOSSES
from tests.experiment.tiny import synthetic
from tests.shipped import short_config


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory) -> Callable[[str, Any], Path]:
    """The workdir of a run, trained once for all processes of the tests: not to be changed."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def workdir(name: str, config: Any) -> Path:
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (shared / name).exists():
                train(config, own / "unfinished")
                (own / "unfinished").rename(shared / name)
        return shared / name

    return workdir


@pytest.fixture(scope="session")
def short_run(trained_once) -> Path:
    """The workdir of a run that found the shape."""
    return trained_once("short_run", short_config())


@pytest.fixture(scope="module")
def finished(trained_once, tmp_path_factory) -> Path:
    """The workdir of four tiny steps; a copy of the module's own."""
    run = trained_once("tiny_run", synthetic())
    return shutil.copytree(run, tmp_path_factory.mktemp("finished") / "run")


PROGRAMS: tuple[dict, dict] = {}, {}


@pytest.fixture(autouse=True, scope="module")
def compiled_once() -> Iterator[None]:
    """Runs of equal settings share their programs: most tests here look at files and messages."""
    runs, steps = PROGRAMS

    def build_once(config):
        settings = {k: x for k, x in config.to_dict().items() if k != "data"}
        told = {"checkpoint_every", "device_photos"}
        settings["train"] = {k: x for k, x in settings["train"].items() if k not in told}
        key = json.dumps([settings, sorted(map(repr, LOSSES.items()))], sort_keys=True)
        return runs[key] if key in runs else runs.setdefault(key, build(config))

    def compile_once(run, num_views, batch_size, photos=None, *, available):
        key = id(run), num_views, batch_size, str(photos)
        if key not in steps:
            steps[key] = compile_step(run, num_views, batch_size, photos, available=available)
        return steps[key]

    with pytest.MonkeyPatch.context() as patch:
        for module in (train_module, workdir_module):
            patch.setattr(module, "build", build_once)
        patch.setattr(train_module, "compile_step", compile_once)
        yield
