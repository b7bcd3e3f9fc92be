"""The commands by name, `neural-sdf train`: the files that a checkout has at its top, `train.py`.

An installed package has the same files in its folder `shipped/`, and `configs/` beside them.
"""

import ast
import importlib.util
import os
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

COMMANDS = {
    "photos-to-scene": "scripts/photos_to_scene.py",
    "inspect": "scripts/inspect_scene.py",
    "convert": "scripts/convert_scene.py",
    "prepare": "scripts/prepare_dataset.py",
    "train": "train.py",
    "eval": "eval.py",
    "export": "scripts/export_mesh.py",
    "render": "scripts/render.py",
}
_PROGRAM, _MODULE = "neural-sdf", "python -m neural_sdf"


def home() -> Path:
    """The folder that has the commands' files and `configs/`."""
    package = Path(__file__).resolve().parent
    shipped = package / "shipped"
    return shipped if shipped.is_dir() else package.parent


def configs() -> dict[str, Path]:
    """The files of `configs/` by their names."""
    return {path.stem: path for path in sorted((home() / "configs").glob("*.py"))}


@contextmanager
def until_enough_is_read() -> Iterator[None]:
    """What is printed here may be read in part: where `head` has enough, the program ends."""
    try:
        try:
            yield
        finally:
            print(end="", flush=True)  # here, since at exit Python itself would complain
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


@until_enough_is_read()
def main() -> NoReturn:
    """Runs the command that the first argument names, as if its file had been started."""
    name = "".join(sys.argv[1:2])
    if name in ("-h", "--help"):
        print(_overview())
        sys.exit(0)
    if name not in COMMANDS:
        given = f"command {name!r} is unknown" if name else "the command is missing"
        print(f"error: {given}; expected one of {', '.join(COMMANDS)}; see --help", file=sys.stderr)
        sys.exit(2)
    program = _MODULE if Path(sys.argv[0]).name == "__main__.py" else _PROGRAM
    sys.argv[:2] = [f"{program} {name}"]
    _become(home() / COMMANDS[name])
    sys.exit(0)


def _overview() -> str:
    """One line for each command, the first of its file."""
    lines = ["neural-sdf COMMAND --help shows what a command does, and its flags.", ""]
    for name, script in COMMANDS.items():
        about = ast.get_docstring(ast.parse((home() / script).read_text("utf-8"))) or ""
        lines.append(f"  {name:<17}{about.partition(chr(10))[0]}")
    lines += ["", f"Configs by name, for train --config: {', '.join(configs())}."]
    return "\n".join(lines)


def _become(script: Path) -> None:
    """Runs a file as the program's main module; `runpy` would not let it keep `sys.argv[0]`."""
    spec = importlib.util.spec_from_file_location("__main__", script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["__main__"] = module
    spec.loader.exec_module(module)


def as_started(text: str) -> str:
    """A text whose commands, written as `python train.py`, are typed as this program was.

    That is `neural-sdf train`, or `python -m neural_sdf train`, if it was started so or if there is
    no checkout; else the file, in full if it is not below the working directory.
    """
    named = {script: name for name, script in COMMANDS.items()}
    scripts = "|".join(map(re.escape, named))
    return re.sub(
        rf"\bpython ({scripts})(?![\w/])", lambda match: _typed(match[1], named[match[1]]), text
    )


def _typed(script: str, name: str) -> str:
    started = re.fullmatch(rf"({_PROGRAM}|{_MODULE}) [\w-]+", "".join(sys.argv[:1]))
    if started or home() != Path(__file__).resolve().parents[1]:
        return f"{started[1] if started else _PROGRAM} {name}"
    here, path = Path(script), home() / script
    return f"python {script if here.is_file() and here.samefile(path) else shlex.quote(str(path))}"
