"""The errors that are raised on purpose, and doubts: what is told to a user in one line.

Whoever raises them names a setting by its argument, in a text as <radius>. `launch.run` shows it as
the command takes it, `--radius` or `--config.data.radius`; a caller in Python sees `radius`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from contextvars import ContextVar

from neural_sdf.commands import as_started

_SECTION = ContextVar("section", default="")  # of a config, with its dot


class Told(Exception):
    """A text for a user and the settings that mend it."""

    def __init__(
        self, message: str, *, setting: str | tuple[str, ...] = (), remedy: str = ""
    ) -> None:
        """Holds the text as it is, since only the border knows how a setting is typed.

        Args:
            message: what was given, and what was expected.
            setting: the arguments any of which mends it, also with a value, "downscale=2".
            remedy: what else mends it.
        """
        super().__init__(message)
        named = (setting,) if isinstance(setting, str) else setting
        cure = " or ".join(re.sub(r"^[\w.]+", r"<\g<0>>", name) for name in named)
        self.text = "; ".join(part for part in (message, cure and f"set {cure}", remedy) if part)
        self.section = _SECTION.get()

    def told(self, typed: Callable[[str], str]) -> str:
        """The text, with each setting as `typed` says that it is given."""
        return with_settings(self.text, lambda name: typed(self.section + name))

    def __str__(self) -> str:
        """For a caller in Python, who gives a setting by its name."""
        return self.told(str)


class Mistake(Told, ValueError):
    """A user's mistake; any other error that reaches `launch.run` is a bug."""


class Doubt(Told, UserWarning):
    """What may be a user's mistake, for `warnings.warn`."""


class RunEnded(RuntimeError):
    """A run that cannot go on through no mistake in what was given; the message says what to do."""


def with_settings(text: str, typed: Callable[[str], str] = str) -> str:
    """A text with each <setting> as `typed` says that it is given, and commands `as_started`."""
    return as_started(re.sub(r"<([\w.]+)>", lambda match: typed(match[1]), text))


@contextlib.contextmanager
def within(section: str) -> Iterator[None]:
    """Says of what is told inside which section of a config holds its settings."""
    token = _SECTION.set(f"{section}.")
    try:
        yield
    finally:
        _SECTION.reset(token)


@contextlib.contextmanager
def file_mistakes(*settings: str) -> Iterator[None]:
    """Around what asks for a file that the user named: makes its failure a mistake.

    Raises:
        Mistake: the file is missing, or may not be read or written.
    """
    try:
        yield
    except OSError as error:
        raise Mistake(f"{error.filename!s:.400}: {error.strerror}", setting=settings) from error
