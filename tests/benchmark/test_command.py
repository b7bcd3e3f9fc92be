"""The command, from any folder."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts/benchmark"


def start(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, SCRIPT, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_figures_are_printed_and_written(tmp_path):
    result = start(tmp_path, "--only=complementarity", "--json=all.json")
    assert result.returncode == 0, result.stderr
    written = json.loads((tmp_path / "all.json").read_text())
    assert list(written) == ["machine", "complementarity.batch", "complementarity.numpy_loop"]
    for key in list(written)[1:]:
        assert key in result.stdout


def test_subject_that_there_is_not_is_refused_with_those_that_there_are(tmp_path, assert_mistake):
    assert_mistake(start(tmp_path, "--only=stepp"), ["'stepp'", "'step'", "'modes'", "--only"])
