"""The errors that are raised on purpose: a user's mistake, and the end of a run.

`launch.run` shows them as one line. Any other error that reaches it is a bug.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator


class Mistake(ValueError):
    """What a user gave and what was expected; whoever raises it names settings by their argument.

    Attributes:
        settings: the arguments any of which mends it, also with a value, "downscale=2"; from
            `within` on with the section of the config before it, "data.downscale".
        remedy: what else mends it.
    """

    def __init__(
        self, message: str, *, setting: str | tuple[str, ...] = (), remedy: str = ""
    ) -> None:
        """Holds the parts, since only the border knows how a setting is typed."""
        super().__init__(message)
        self.settings = (setting,) if isinstance(setting, str) else setting
        self.remedy = remedy

    def told(self, typed: Callable[[str], str]) -> str:
        """The mistake and its remedy, each setting as `typed` says that it is given."""
        settings = " or ".join(typed(setting) for setting in self.settings)
        parts = [str(self.args[0]), f"set {settings}" if settings else "", self.remedy]
        return "; ".join(part for part in parts if part)

    def __str__(self) -> str:
        """For a caller in Python, who gives a setting by its name."""
        return self.told(str)


class RunEnded(RuntimeError):
    """A run that cannot go on through no mistake in what was given; the message says what to do."""


@contextlib.contextmanager
def within(section: str) -> Iterator[None]:
    """Says of mistakes made inside which section of a config holds their settings."""
    try:
        yield
    except Mistake as error:
        error.settings = tuple(f"{section}.{setting}" for setting in error.settings)
        raise


@contextlib.contextmanager
def file_mistakes(*settings: str) -> Iterator[None]:
    """Around what asks for a file that the user named: makes its failure a mistake.

    Raises:
        Mistake: the file is missing, or may not be read or written.
    """
    try:
        yield
    except OSError as error:
        raise Mistake(f"{error.filename}: {error.strerror}", setting=settings) from error
