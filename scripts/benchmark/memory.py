"""Memory of the step as it is predicted before a run, and as the system measures it after one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measure import Row, compare

BATCHES = (2048, 8192)


def peak_memory(config: Any, batches: Sequence[int] = BATCHES) -> list[Row]:
    """Predicted and measured memory of a run's step, each batch in a process of its own."""
    rows = []
    for size in batches:
        predicted, measured = (x / 2**20 for x in peak_of(config, size))
        values = {"measured": [measured], "predicted": [predicted]}
        rows += compare(f"peak.batch_{size}", values, "MiB")
    return rows


def peak_of(config: Any, batch_size: int) -> tuple[int, int]:
    """What `peak.py` prints of a config with another batch."""
    own = config.copy_and_resolve_references()
    own.train.batch_size = batch_size
    command = [sys.executable, Path(__file__).parent / "peak.py", own.to_json_best_effort()]
    printed = subprocess.run(command, capture_output=True, text=True, check=True)
    predicted, measured = map(int, printed.stdout.split())
    return predicted, measured
