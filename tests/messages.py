"""Every text that the code tells a user on purpose, collected from its source without running it.

A text may reach the call that tells it through a variable, an argument or what a function returns;
it is followed there by name.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

TELLS = {  # what tells a text, and which of its arguments that is
    **dict.fromkeys(("Mistake", "Doubt", "RunEnded", "Error"), 0),
    "ImageError": 1,
    "Reading": 1,
    "Finding": 2,
    "about": 4,
}
CODES = ("ImageError", "Reading", "Finding", "about")  # whose first argument is a finding's code
VARIES = "\0"  # in a text: what is known only when it is told
MOST_WORDS = 8  # of a fragment: a page may shorten what is longer
DEEPEST = 4  # steps from a call to its text


class Told(NamedTuple):
    """A text as the code has it, with `VARIES` for what varies, and the place of its call."""

    text: str
    place: str

    @property
    def fragment(self) -> str:
        """The first words of the longest part that is always the same."""
        return max(_fragments(self.text), key=len)


class Sources(NamedTuple):
    """What is looked up by name: functions, calls with the functions they are in, constants."""

    functions: dict[str, list[ast.FunctionDef]]
    calls: dict[str, list[tuple[ast.Call, ast.FunctionDef | None, str]]]
    constants: dict[str, list[ast.expr]]


def read_sources(files: Iterable[Path], root: Path) -> Sources:
    """The sources of Python files, their places told from a root."""
    sources = Sources(defaultdict(list), defaultdict(list), defaultdict(list))
    for file in files:
        _add(sources, ast.parse(file.read_text()), None, file.relative_to(root).as_posix())
    return sources


def told_messages(sources: Sources) -> list[Told]:
    """All texts that are told, but those without a word of their own."""
    found = (
        Told(text, f"{place}:{call.lineno}")
        for name, argument in TELLS.items()
        for call, function, place in sources.calls[name]
        for text in _texts(sources, call.args[argument : argument + 1], function)
    )
    return [told for told in dict.fromkeys(found) if " " in told.fragment]


def finding_codes(sources: Sources) -> set[str]:
    """All codes of findings, as regular expressions where a part varies."""
    return {
        ".+".join(map(re.escape, text.split(VARIES)))
        for name in CODES
        for call, function, _ in sources.calls[name]
        for text in _texts(sources, call.args[:1], function)
    }


def _add(sources: Sources, node: ast.AST, function: ast.FunctionDef | None, place: str) -> None:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            sources.functions[child.name].append(child)
            _add(sources, child, child, place)
            continue
        if isinstance(child, ast.Call):
            name = getattr(child.func, "id", getattr(child.func, "attr", ""))
            sources.calls[name].append((child, function, place))
        if isinstance(child, ast.Assign) and function is None:
            for target in child.targets:
                sources.constants[getattr(target, "id", "")].append(child.value)
        _add(sources, child, function, place)


def _texts(
    sources: Sources,
    expressions: Iterable[ast.expr],
    function: ast.FunctionDef | None,
    depth: int = 0,
) -> Iterator[str]:
    """What expressions of a function may come to, and its variables in them."""
    for expression in expressions if depth < DEEPEST else ():
        match expression:
            case ast.Constant(value=str(text)):
                yield text
            case ast.JoinedStr(values=parts):
                yield "".join(_constant(part) for part in parts)
                names = [getattr(getattr(part, "value", None), "id", "") for part in parts]
                inner = [value for name in names for value in _assigned(function, name)]
                yield from _texts(sources, inner, function, depth + 1)
            case ast.IfExp(body=body, orelse=orelse):
                yield from _texts(sources, (body, orelse), function, depth)
            case ast.BinOp(left=left):  # what is added is for some cases
                yield from _texts(sources, (left,), function, depth)
            case ast.Name(id=name):
                yield from _named(sources, name, function, depth + 1)
            case ast.Call(func=ast.Name(id=name)):
                for called in sources.functions[name]:
                    returns = [n.value for n in ast.walk(called) if isinstance(n, ast.Return)]
                    yield from _texts(sources, filter(None, returns), called, depth + 1)


def _constant(part: ast.expr) -> str:
    return str(part.value) if isinstance(part, ast.Constant) else VARIES


def _named(
    sources: Sources, name: str, function: ast.FunctionDef | None, depth: int
) -> Iterator[str]:
    """What a variable of a function, a parameter of it or a constant may be."""
    parameters = [argument.arg for argument in function.args.args] if function else []
    if function is None or name not in parameters:
        values = _assigned(function, name) or sources.constants[name]
        yield from _texts(sources, values, function, depth)
        return
    at = parameters.index(name)
    for call, caller, _ in sources.calls[function.name]:
        yield from _texts(sources, call.args[at : at + 1], caller, depth)


def _assigned(function: ast.FunctionDef | None, name: str) -> list[ast.expr]:
    """All that a function assigns to a variable."""
    return [
        node.value
        for node in (ast.walk(function) if function and name else ())
        if isinstance(node, ast.Assign)
        and name in [getattr(target, "id", "") for target in node.targets]
    ]


def _fragments(text: str) -> Iterator[str]:
    """The first words of each part between what varies, settings (<radius>) among it."""
    text = re.sub(r"(?:(?<=; )set )?<[\w.]+>", VARIES, text)
    text = re.sub(rf"\S*{VARIES}\S*", VARIES, text)  # words that go on in it
    for part in text.split(VARIES):
        yield " ".join(part.split()[:MOST_WORDS]).strip(" ,;:")
