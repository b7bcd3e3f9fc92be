import contextlib
import io
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_python_example_prints_what_it_says():
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(example, {})
    assert printed.getvalue().strip() == re.findall(r"# (.*)\n$", example)[0]


def test_files_that_it_names_are_there():
    for path in re.findall(r"(?:configs|scripts|tests|docs)/\w+\.\w+|(?:train|eval)\.py", README):
        assert (ROOT / path).is_file(), path


def test_first_two_commands_stand_alone_on_a_fresh_clone():
    commands = re.findall(r"```\n(python3 -m venv .*?)\n```", README)
    assert len(commands) == 2
    assert all("pip install -e" in command for command in commands)
