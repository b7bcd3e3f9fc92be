"""The examples of README and docs run, and print what stands behind them."""

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from neural_sdf.fields import FIELDS
from neural_sdf.photos import FORMATS
from neural_sdf.rendering import RENDERERS
from neural_sdf.training import LOSSES

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = [
    pytest.param(example, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, example in enumerate(
        re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    )
]


@pytest.fixture
def tables() -> Iterator[None]:
    """Examples add to the package's tables; other tests must not see it."""
    with contextlib.ExitStack() as stack:
        for table in (FIELDS, FORMATS, LOSSES, RENDERERS):
            stack.enter_context(mock.patch.dict(table))
        yield


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("example", EXAMPLES)
def test_example_prints_what_it_says(example):
    expected = re.findall(r"(?:^|  )# (.*)$", example, re.MULTILINE)
    assert expected, "an example that shows nothing"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(example, {})
    assert printed.getvalue().splitlines() == expected


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_are_there(page):
    text = page.read_text()
    named = re.findall(r"(?:configs|scripts|tests|docs)/[\w/]+\.\w+|(?:train|eval)\.py", text)
    pictures = [f"docs/{path}" for path in re.findall(r"!\[[^]]*\]\(([\w.]+)\)", text)]
    for path in named + pictures:
        assert (ROOT / path).is_file(), path


def test_commands_of_the_readme_that_make_an_environment_install_before_they_run():
    commands = re.findall(r"```\n(python3 -m venv .*?)\n```", (ROOT / "README.md").read_text())
    assert len(commands) == 2
    for command in commands:
        made, ran = command.index(" && pip install -e "), command.rindex(" && python ")
        assert command.index("-m venv") < command.index("activate") < made < ran
