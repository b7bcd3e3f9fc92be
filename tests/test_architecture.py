"""Holds the house's plan: what may import what, and what is not used at all."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]


class Floor(NamedTuple):
    """A row of the table: what a floor may import, of the package and of others."""

    ours: frozenset[str]
    others: frozenset[str]


def read_floors(page: str) -> dict[str, Floor]:
    """The table of floors in docs/architecture.md, low to high."""
    rows = re.findall(r"^\| `([\w.]+)` \|[^|]*\|([^|]*)\|([^|]*)\|$", page, re.MULTILINE)
    return {
        name: Floor(*(frozenset(re.findall(r"[\w.]+", cell)) for cell in cells))
        for name, *cells in rows
    }


FLOORS = read_floors((ROOT / "docs/architecture.md").read_text())
EVERYWHERE = {"jax", "numpy", "jaxtyping", *sys.stdlib_module_names}

BANNED = {
    "tensorflow": "is not a dependency",
    "torch": "is not a dependency",
    "nnx.jit": "hides state; split once and use jax.jit",
    "nnx.grad": "hides state; split once and use jax.grad",
    "nnx.Optimizer": "hides state; use optax",
    "trimesh.proximity": "is not exact and takes hours; use igl",
}
VAGUE = {"utils", "common", "helpers", "types", "base", "manager"}


def floor_of(module: str) -> str:
    """The floor of a module: a room if the table has it; empty for the package itself."""
    parts = module.removeprefix("neural_sdf").removeprefix(".").split(".")
    room = ".".join(parts[:2])
    return room if room in FLOORS else parts[0]


def module_of(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every imported name in full, also inside functions, and its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            yield from ((f"{start}.{alias.name}", node.lineno) for alias in node.names)


def names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every dotted name that is imported or used, and its line."""
    yield from imports(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node), node.lineno


def arrows(path: Path, tree: ast.AST) -> Iterator[tuple[str, str, int]]:
    """What a file imports of other floors and packages: floor or package, name, line."""
    for name, line in imports(tree):
        package = name.partition(".")[0]
        target = floor_of(name) if package == "neural_sdf" else package
        if target != floor_of(module_of(path)) or not target:
            yield target, name, line


def broken_floors(path: Path, tree: ast.AST) -> Iterator[str]:
    floor = floor_of(module_of(path))
    allowed = FLOORS.get(floor, Floor(frozenset(), frozenset()))
    for target, name, line in arrows(path, tree):
        where = f"({path}, line {line})"
        if name.startswith("."):
            yield f"{floor} may not import {name}: imports are absolute {where}"
        elif target not in allowed.ours | allowed.others | EVERYWHERE:
            yield f"{floor} may not import {name} {where}"


def banned_uses(path: Path, tree: ast.AST) -> Iterator[str]:
    for name, line in names(tree):
        for banned, reason in BANNED.items():
            if f".{banned}." in f".{name}.":
                yield f"{banned} {reason} ({path}, line {line})"
    for node in ast.walk(tree):
        is_given = isinstance(node, ast.keyword) and node.arg == "allow_pickle"
        if is_given and ast.unparse(node.value) != "False":
            yield f"allow_pickle runs code from a data file ({path}, line {node.value.lineno})"


def vague_names(path: Path) -> Iterator[str]:
    for part in sorted(VAGUE.intersection(path.with_suffix("").parts)):
        yield f"{part!r} does not say what is inside ({path})"


def sources(*patterns: str) -> list[Path]:
    """Files of the repository, relative to its root."""
    return sorted(path.relative_to(ROOT) for pattern in patterns for path in ROOT.glob(pattern))


def tree_of(path: Path) -> ast.AST:
    return ast.parse((ROOT / path).read_text())


def listed(faults: Iterator[str]) -> str:
    return "\n".join(faults)


@pytest.mark.parametrize("path", sources("neural_sdf/**/*.py", "train.py", "eval.py"), ids=str)
def test_every_import_points_down(path):
    assert not listed(broken_floors(path, tree_of(path)))


@pytest.mark.parametrize(
    "path", sources("neural_sdf/**/*.py", "configs/*.py", "scripts/**/*.py", "*.py"), ids=str
)
def test_nothing_banned_is_used(path):
    assert not listed(banned_uses(path, tree_of(path)))


def test_every_module_name_says_what_is_inside():
    assert not listed(
        fault for path in sources("neural_sdf/**/*.py") for fault in vague_names(path)
    )


def test_every_folder_of_the_package_is_a_floor():
    folders = {path.parent.name for path in sources("neural_sdf/*/__init__.py")}
    assert folders <= set(FLOORS)


def test_floors_lie_on_those_above_them_in_the_table():
    order = list(FLOORS)
    for index, (floor, allowed) in enumerate(FLOORS.items()):
        assert allowed.ours <= set(order[:index]), f"{floor} imports upwards"


def test_every_arrow_of_the_table_is_used():
    used = {floor: set() for floor in FLOORS}
    for path in sources("neural_sdf/**/*.py", "train.py", "eval.py"):
        floor = floor_of(module_of(path))
        used.setdefault(floor, set()).update(t for t, *_ in arrows(path, tree_of(path)))
    unused = {floor: (row.ours | row.others) - used[floor] for floor, row in FLOORS.items()}
    assert not {floor: names for floor, names in unused.items() if names}


@pytest.mark.parametrize(
    ("path", "source", "sentence"),
    [
        (
            "neural_sdf/geometry/rays.py",
            "from neural_sdf.training import step",
            "geometry may not import neural_sdf.training.step",
        ),
        (
            "neural_sdf/geometry/rays.py",
            "def late():\n    import neural_sdf.training.step",
            "geometry may not import neural_sdf.training.step",
        ),
        (
            "neural_sdf/tracing/trace.py",
            "from neural_sdf import fields",
            "tracing may not import neural_sdf.fields",
        ),
        (
            "neural_sdf/launch.py",
            "from neural_sdf import experiment",
            "launch may not import neural_sdf.experiment",
        ),
        (
            "neural_sdf/__init__.py",
            "from neural_sdf.scenes import scene",
            " may not import neural_sdf.scenes.scene",
        ),
        ("neural_sdf/scenes/scene.py", "import neural_sdf", "scenes may not import neural_sdf"),
        ("neural_sdf/tracing/trace.py", "from flax import nnx", "tracing may not import flax"),
        ("neural_sdf/fields/mlp.py", "import ml_collections", "may not import ml_collections"),
        ("neural_sdf/rendering/images.py", "import optax", "rendering may not import optax"),
        ("neural_sdf/scenes/scene.py", "from . import load", "imports are absolute"),
        (
            "neural_sdf/photos/files/lens.py",
            "from neural_sdf.photos import load",
            "photos.files may not import neural_sdf.photos.load",
        ),
        ("train.py", "import jax, optax", "train may not import optax"),
    ],
)
def test_planted_import_is_caught(path, source, sentence):
    (fault,) = broken_floors(Path(path), ast.parse(source))
    assert sentence in fault


@pytest.mark.parametrize(
    ("source", "banned"),
    [
        ("import tensorflow as tf", "tensorflow"),
        ("def late():\n    from torch import nn", "torch"),
        ("step = nnx.jit(step)", "nnx.jit"),
        ("from flax.nnx import grad", "nnx.grad"),
        ("flax.nnx.Optimizer", "nnx.Optimizer"),
        ("from trimesh import proximity", "trimesh.proximity"),
        ("np.load(path, allow_pickle=True)", "allow_pickle"),
        ("np.load(path, allow_pickle=trusted)", "allow_pickle"),
    ],
)
def test_planted_use_is_caught(source, banned):
    (fault,) = banned_uses(Path("neural_sdf/fields/mlp.py"), ast.parse(source))
    assert fault.startswith(banned)


@pytest.mark.parametrize(
    "source",
    ["import tensorflow_datasets", "nnx.split(module)", "np.load(path, allow_pickle=False)"],
)
def test_what_only_resembles_a_banned_name_passes(source):
    assert not list(banned_uses(Path("neural_sdf/scenes/scene.py"), ast.parse(source)))


def test_planted_vague_name_is_caught():
    assert list(vague_names(Path("neural_sdf/photos/utils.py")))
    assert list(vague_names(Path("neural_sdf/common/scene.py")))
