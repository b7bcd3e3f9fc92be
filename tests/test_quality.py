"""What the script of quality against seconds makes of runs, and that it makes them."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.experiment.tiny import TINY

SCRIPT = Path(__file__).parents[1] / "scripts/quality.py"


@pytest.fixture(scope="module")
def quality():
    spec = importlib.util.spec_from_file_location("quality", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["quality"] = module  # where its records look for their own annotations
    spec.loader.exec_module(module)
    yield module
    del sys.modules["quality"]


def test_a_set_is_named_before_what_is_said_of_it(quality):
    assert quality.setting("skull:path=a=b,downscale=4") == (
        "skull",
        {"path": "a=b", "downscale": "4"},
    )
    assert quality.setting("whole") == ("whole", {})
    for wrong in ("", "a b", "skull:path", ":path=x", "../x:path=y"):
        with pytest.raises(ValueError, match="is no NAME:KEY=VALUE"):
            quality.setting(wrong)


def test_table_is_of_the_last_checkpoints_and_tells_how_seeds_differ(quality):
    common = {"set": "cup", "seconds": 9.6}
    results = [
        {**common, "change": "whole", "seed": 0, "step": 50, "psnr_masked": 1.0},
        {**common, "change": "whole", "seed": 0, "step": 100, "psnr_masked": 20.0, "pieces": 1},
        {**common, "change": "less", "seed": 0, "step": 100, "psnr_masked": 18.0, "pieces": 3},
        {**common, "change": "whole", "seed": 1, "step": 100, "psnr_masked": 23.0, "pieces": 2},
    ]
    assert quality.table(results).splitlines() == [
        "| set | change | seeds | PSNR, dB | pieces | seconds |",
        "| --- | --- | --- | --- | --- | --- |",
        "| cup | less | 1 | 18.00 | 3.0 | 10 |",
        "| cup | whole | 2 | 21.50 ± 1.50 | 1.5 ± 0.5 | 10 ± 0 |",
    ]


@pytest.mark.slow
def test_runs_are_made_measured_and_not_made_again(tmp_path):
    pytest.importorskip("matplotlib")
    keys = {k.replace("__", "."): x for k, x in TINY.items() if "checkpoint" not in k}
    tiny = ",".join(f"{k}={x}" for k, x in keys.items() if k != "train.steps")
    command = [
        *(sys.executable, SCRIPT, "--config=configs/quickstart.py", "--steps=4", "--points=2"),
        *("--seeds=1", "--set=cup:format=synthetic,downscale=8", f"--change=tiny:{tiny}"),
        f"--output={tmp_path}",
    ]
    for runs in (4, 0):
        done = subprocess.run(command, cwd=SCRIPT.parents[1], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("python ") == runs
    results = json.loads((tmp_path / "quality.json").read_text())["runs"]
    assert [result["step"] for result in results] == [2, 4]
    assert results[0]["seconds"] < results[1]["seconds"]
    for picture in ("quality.png", "normals.png"):
        assert (tmp_path / picture).stat().st_size > 1000
