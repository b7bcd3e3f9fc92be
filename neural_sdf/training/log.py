"""What a run tells: a line of JSON for programs, a moving line for people."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from neural_sdf.mistake import file_mistakes

# What a person sees of a step's metrics, as far as it has them.
_SHOWN = {"loss": "loss {:.4f}", "psnr": "psnr {:.2f} dB", "hit_rate": "hits {:.1%}"}


class MetricLog:
    """`metrics.jsonl`: one object a line, with `step`; a value that is not finite is null."""

    def __init__(self, path: Path, *, step: int):
        """Opens the log, without the lines of steps after `step` and any line cut short."""
        with file_mistakes():
            partial = path.with_suffix(".partial")
            partial.write_bytes(b"".join(line + b"\n" for line in _lines(path, step)))
            partial.replace(path)
            self._file = path.open("a", buffering=1)

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Adds a line, with the wall-clock time in seconds since 1970."""
        finite = {k: float(v) if math.isfinite(v) else None for k, v in metrics.items()}
        self._file.write(json.dumps({"step": step, "time": time.time(), **finite}) + "\n")

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class Progress:
    """A bar with rate, time left and what `_SHOWN` names; plain lines without a terminal."""

    def __init__(self, *, step: int, steps: int, rays: int):
        """Starts at `step` of `steps`, each of `rays` rays."""
        self._steps, self._rays = steps, rays
        self._console = Console(file=sys.stdout)
        self._bar = Bar(
            BarColumn(6),  # with the rest it fits 80 columns
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("train", total=steps, completed=step, text="starting")
        self._mark = (step, time.monotonic())

    def __enter__(self) -> Progress:
        """Shows the bar."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves the terminal as it was."""
        self._bar.stop()

    def show(self, step: int, metrics: Mapping[str, float]) -> float:
        """Shows the state after `step`; gives the rate since the last call in rays a second."""
        last, since = self._mark
        now = time.monotonic()
        rate = (step - last) * self._rays / max(now - since, 1e-9)
        self._mark = (step, now)
        shown = [_worded(name, metrics[name]) for name in _SHOWN if name in metrics]
        text = "  ".join([f"{rate:,.0f} rays/s", *shown])
        self._bar.update(self._task, completed=step, text=text)
        if not self._console.is_terminal:
            left = (self._steps - step) * self._rays / max(rate, 1e-9)
            print(f"step {step}/{self._steps}  {text}  {left:.0f} s left", flush=True)
        return rate


def _worded(name: str, value: float) -> str:
    """A figure as it is shown; a dash for one that there is not."""
    return _SHOWN[name].format(value) if math.isfinite(value) else f"{name} -"


def _lines(path: Path, last: int) -> Iterator[bytes]:
    """Those up to a step; one cut short by a crash is dropped with what follows."""
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            is_kept = json.loads(line)["step"] <= last
        except (ValueError, TypeError, KeyError, RecursionError):
            return
        if is_kept:
            yield line
