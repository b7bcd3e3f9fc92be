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
from tests.messages import finding_codes, read_sources, told_messages

ROOT = Path(__file__).parents[1]
CODE = [*(ROOT / "neural_sdf").rglob("*.py"), *(ROOT / "scripts").rglob("*.py")]
TROUBLES = ROOT / "docs" / "troubleshooting.md"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = [
    pytest.param(example, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, example in enumerate(
        re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    )
]
SAID = """
BAD = "bad"

def check(count, name):
    why = "there is nothing else" if count else "as it is"
    message = f"{count} photos are too few; expected {why} or more; set <path>=x" + "!" * count
    raise Mistake(message) if count else Mistake(reason(), remedy="mend it")

def reason():
    return "the file has no frames"

def strange(what):
    yield Finding(f"{what}-masks", "error", f"m_{name} is no mask, and was {name}_1 before", "")
    yield Finding(BAD, "error", what, "")

def all():
    strange("the poses cannot be read")
    warn(Doubt("one two three four five six seven eight nine"))
"""


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


def test_troubleshooting_has_every_message_that_is_told():
    page = " ".join(TROUBLES.read_text().replace(r"\|", "|").split())
    told = told_messages(read_sources(CODE, ROOT))
    missing = [f"{t.place}: {t.fragment}" for t in told if t.fragment not in page]
    assert not missing, (
        f"write these words, each as part of its message, into a row of {TROUBLES.name}, and delete"
        " the row of a message that is no more:\n" + "\n".join(sorted(missing))
    )


def test_troubleshooting_has_a_row_for_every_code_of_a_finding_and_no_other():
    section = TROUBLES.read_text().partition("\n## Findings")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]*`) \|", section, re.MULTILINE)
    codes = {code for row in rows for code in re.findall(r"`([^`]*)`", row)}
    known = finding_codes(read_sources(CODE, ROOT))
    assert not [k for k in known if not any(re.fullmatch(k, code) for code in codes)]
    assert not [code for code in codes if not any(re.fullmatch(k, code) for k in known)]


def test_messages_are_found_behind_variables_arguments_and_functions(tmp_path):
    (tmp_path / "code.py").write_text(SAID)
    sources = read_sources([tmp_path / "code.py"], tmp_path)
    assert {told.fragment for told in told_messages(sources)} == {
        "photos are too few; expected",
        "there is nothing else",
        "as it is",
        "is no mask, and was",
        "the file has no frames",
        "the poses cannot be read",
        "one two three four five six seven eight",
    }
    assert finding_codes(sources) == {"bad", ".+\\-masks"}
