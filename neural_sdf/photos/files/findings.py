"""What is wrong with a photo set, as records: one list for the doctor, errors and warnings to load.

A check yields findings and knows nothing of what becomes of them. Loading settles each at once,
the doctor (`doctor.inspect_scene`) collects them and goes on.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from neural_sdf.mistake import Doubt, Mistake, with_settings

MOST_LISTED = 5  # faults of one kind spelled out in a message


class Finding(NamedTuple):
    """One thing to know about a photo set.

    Attributes:
        code: short name, the same for the same kind of fault; docs/troubleshooting.md has all.
        level: an "error" cannot be trained on, a "warning" can but may go wrong, a "note" informs.
        message: what was found and what was expected.
        remedy: how to mend it; a setting of `load_scene` is written <radius>.
        views: names of the views it is about; empty if it is about all.
    """

    code: str
    level: Literal["error", "warning", "note"]
    message: str
    remedy: str
    views: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """Message and remedy in one line."""
        return with_settings(f"{self.message}; {self.remedy}")


Report = Callable[[Finding], None]


class DataError(Mistake):
    """A photo set that cannot be used, with the finding that says why."""

    def __init__(self, finding: Finding) -> None:
        """Says the finding's sentence."""
        super().__init__(finding.message, remedy=finding.remedy)
        self.finding = finding


def settle(finding: Finding) -> None:
    """What loading does with a finding: stops at an error, warns of a warning.

    Raises:
        DataError: if it is an error.
    """
    if finding.level == "error":
        raise DataError(finding)
    if finding.level == "warning":
        warnings.warn(Doubt(finding.message, remedy=finding.remedy), stacklevel=1)


def settle_but_masks(finding: Finding) -> None:
    """As `settle`, but a set without masks is read: only training needs them."""
    if finding.code != "no-masks":
        settle(finding)


def listed(items: Sequence[str], most: int = MOST_LISTED) -> str:
    """Faults of one kind in one line, the first few spelled out."""
    more = f" and {len(items) - most} more like it" if len(items) > most else ""
    return "; ".join(items[:most]) + more


def names(views: Sequence[str], most: int = 8) -> str:
    """Names of views, the first few spelled out."""
    return ", ".join(views[:most]) + (f" and {len(views) - most} more" if len(views) > most else "")
