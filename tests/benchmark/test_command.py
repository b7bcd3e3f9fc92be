"""The command, from any folder."""

import json
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts/benchmark"


def test_figures_are_printed_and_written(script, tmp_path):
    result = script(SCRIPT, "--only=complementarity", "--json=all.json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    written = json.loads((tmp_path / "all.json").read_text())
    assert list(written) == ["machine", "complementarity.batch", "complementarity.numpy_loop"]
    for key in list(written)[1:]:
        assert key in result.stdout


def test_subject_that_there_is_not_is_refused_with_those_that_there_are(script, assert_mistake):
    assert_mistake(script(SCRIPT, "--only=stepp"), ["'stepp'", "'step'", "'modes'", "--only"])
