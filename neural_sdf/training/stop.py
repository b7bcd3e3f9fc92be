"""Stopping a run from outside, between two steps."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType


class Stop:
    """Turns the first SIGINT or SIGTERM into a request; a second one ends the process at once.

    Outside the main thread Python allows no handlers: there nothing is ever requested.
    """

    def __init__(self) -> None:
        """Nothing is requested yet."""
        self.requested = False

    def __enter__(self) -> Stop:
        """Takes over the signals."""
        main = threading.current_thread() is threading.main_thread()
        taken = (signal.SIGINT, signal.SIGTERM) if main else ()
        self._before = {number: signal.signal(number, self._note) for number in taken}
        return self

    def __exit__(self, *error: object) -> None:
        """Gives the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            # Not by an exception: it would unwind through a save and leave its threads complaining.
            sys.stderr.write("stopped at once; the run goes on from its last checkpoint\n")
            sys.stderr.flush()
            os._exit(128 + number)
        self.requested = True
