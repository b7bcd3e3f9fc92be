"""Stopping a run from outside, between two steps."""

from __future__ import annotations

import signal
from types import FrameType


class Stop:
    """Turns the first SIGINT or SIGTERM into a request; a second one acts as usual."""

    def __init__(self) -> None:
        """Nothing is requested yet."""
        self.requested = False

    def __enter__(self) -> Stop:
        """Takes over the signals."""
        self._before = {s: signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *error: object) -> None:
        """Gives the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        signal.signal(number, self._before[signal.Signals(number)])
