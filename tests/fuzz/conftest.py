from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.inspected import write
from tests.photos import layouts


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> Callable[[str], Path]:
    """A good set of a layout, written once; who changes a file in it puts it back."""
    made: dict[str, Path] = {}

    def find(layout: str) -> Path:
        if layout not in made:
            made[layout] = write(layout, tmp_path_factory.mktemp("set") / "scene")
        return made[layout]

    return find


@pytest.fixture(params=layouts.LAYOUTS)
def good(request, sets) -> tuple[str, Path]:
    return request.param, sets(request.param)


@pytest.fixture
def transforms(sets) -> Path:
    return sets("transforms")
