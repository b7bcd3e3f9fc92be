"""Cases of one test, shared out between the quick tests and the slow ones."""

from collections.abc import Iterable
from typing import Any

import pytest


def cases(quick: Iterable[Any], slow: Iterable[Any]) -> list[Any]:
    """For `parametrize`: the quick tests take the first, `-m slow` the others."""
    return [*quick, *(pytest.param(*_several(case), marks=pytest.mark.slow) for case in slow)]


def _several(case: Any) -> tuple:
    return case if isinstance(case, tuple) else (case,)
