import json
import math
from pathlib import Path

import pytest

from neural_sdf.training import MetricLog, Progress


def lines(path: Path) -> list[dict]:
    def refuse(constant: str):
        raise AssertionError(f"{constant} is not JSON")

    read = [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "time"} for line in read]


def test_every_line_is_one_object_with_its_step(tmp_path):
    log = MetricLog(tmp_path / "metrics.jsonl", step=0)
    log.write(10, {"loss": 0.5})
    log.write(20, {"loss": 0.25, "psnr": 30})
    assert lines(tmp_path / "metrics.jsonl") == [  # before it is closed
        {"step": 10, "loss": 0.5},
        {"step": 20, "loss": 0.25, "psnr": 30},
    ]
    log.close()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_number_that_is_not_finite_is_null(tmp_path, value):
    log = MetricLog(tmp_path / "metrics.jsonl", step=0)
    log.write(1, {"loss": value, "psnr": 1.0})
    log.close()
    assert lines(tmp_path / "metrics.jsonl") == [{"step": 1, "loss": None, "psnr": 1.0}]


@pytest.mark.parametrize(
    "cut",
    [b'{"step": 40, "lo', b'{"step": 40}garbage', b"\0\0\0", b"\xff\n", b'{"loss": 1}\n', b"[1]\n"],
)
def test_lines_after_the_resumed_step_and_a_cut_line_are_dropped(tmp_path, cut):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"".join(b'{"step": %d}\n' % step for step in (10, 20, 30)) + cut)
    log = MetricLog(path, step=20)
    log.write(30, {"loss": 1.0})
    log.close()
    assert lines(path) == [{"step": 10}, {"step": 20}, {"step": 30, "loss": 1.0}]
    assert list(tmp_path.iterdir()) == [path]


def test_line_has_the_time_of_day(tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1.75e9)
    log = MetricLog(tmp_path / "metrics.jsonl", step=0)
    log.write(1, {"loss": 1.0})
    log.close()
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["time"] == 1.75e9


def test_output_that_is_no_terminal_gets_plain_lines(capsys):
    with Progress(step=0, steps=100, rays=512) as progress:
        rate = progress.show(50, {"loss": 0.25, "psnr": 21.5, "hit_rate": 0.5})
    assert rate > 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("step 50/100  ")
    for words in ("rays/s", "loss 0.2500", "psnr 21.50 dB", "hits 50.0%", "s left"):
        assert words in line
    assert "\x1b" not in line


def test_figure_that_there_is_not_is_shown_as_a_dash(capsys):
    with Progress(step=0, steps=100, rays=512) as progress:
        progress.show(50, {"loss": 0.25, "psnr": math.nan, "hit_rate": 0.0})
    assert "loss 0.2500  psnr -  hits 0.0%" in capsys.readouterr().out
