"""Places in words: with as many digits as the size of what is there needs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import SupportsFloat


def coordinates(point: Iterable[SupportsFloat], size: float) -> str:
    """The coordinates of a point, to a thousandth of a size, at least four digits of each.

    Far from the origin four digits do not tell the corners of a thing apart:

    >>> coordinates((500000.5, 0.25, 4600000), 2.0)
    '500000.5, 0.25, 4600000'

    Args:
        point: finite numbers.
        size: of what is there, in the same unit, positive.
    """
    numbers = [float(x) for x in point]
    return ", ".join(f"{x:.{_digits(x, size)}g}" for x in numbers)


def _digits(x: float, size: float) -> int:
    """How many digits of x reach a thousandth of a size; 17 are all that it has."""
    if not (x and size > 0):
        return 4
    return min(max(4, math.floor(math.log10(abs(x))) - math.floor(math.log10(size)) + 4), 17)
