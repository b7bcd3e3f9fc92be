"""Holds the house's plan: what may import what, and what is not used at all."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What each floor may import of neural_sdf, besides itself.
FLOORS = {
    "implicit": set(),
    "geometry": set(),
    "tracing": {"implicit", "geometry"},
    "fields": {"geometry"},
    "data": {"geometry", "tracing"},
    "rendering": {"geometry", "tracing", "fields"},
    "export": {"geometry", "tracing"},
    "training": {"geometry", "tracing", "fields", "data", "rendering"},
    "evaluation": {
        *("implicit", "geometry", "tracing", "fields", "data"),
        *("rendering", "export", "training"),
    },
    "experiment": {
        *("implicit", "geometry", "tracing", "fields", "data"),
        *("rendering", "export", "training", "evaluation", "resume", "run", "launch"),
    },
    "run": {"fields", "data", "rendering", "training", "program_cache"},
    "resume": {"geometry"},
    "picture": {"geometry", "data", "rendering", "evaluation", "experiment", "launch"},
    "launch": {"program_cache"},
    "program_cache": set(),
    "train": {"launch", "experiment"},
    "eval": {"launch", "experiment"},
}

# What each floor may import of others, besides the standard library, jax, numpy and jaxtyping.
THIRD_PARTY = {
    "fields": {"flax"},
    "data": {"tensorflow_datasets", "PIL", "scipy", "skimage", "rich", "pycolmap"},
    "rendering": {"rich"},
    "export": {"skimage", "trimesh", "rich"},
    "training": {"optax", "orbax", "rich"},
    "evaluation": {"scipy", "skimage", "igl", "trimesh", "PIL"},
    "experiment": {"ml_collections"},
    "launch": {"absl"},
    "train": {"absl", "ml_collections"},
    "eval": {"absl"},
}
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


def floor_of(path: Path) -> str:
    """The floor a file lies on; empty for neural_sdf/__init__.py."""
    inside = path.with_suffix("").parts
    name = inside[1] if inside[0] == "neural_sdf" else inside[0]
    return "" if name == "__init__" else name


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


def broken_floors(path: Path, tree: ast.AST) -> Iterator[str]:
    floor = floor_of(path)
    for name, line in imports(tree):
        package, _, inner = name.partition(".")
        where = f"({path}, line {line})"
        if not package:
            yield f"{floor} may not import {name}: imports are absolute {where}"
        elif package == "neural_sdf":
            if inner.partition(".")[0] not in {floor} | FLOORS.get(floor, set()):
                yield f"{floor} may not import {name} {where}"
        elif package not in EVERYWHERE | THIRD_PARTY.get(floor, set()):
            yield f"{floor} may not import {package} {where}"


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
    "path", sources("neural_sdf/**/*.py", "configs/*.py", "scripts/*.py", "*.py"), ids=str
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


def test_floors_make_no_circle():
    remaining = dict(FLOORS)
    while remaining:
        lowest = [floor for floor, below in remaining.items() if not below & set(remaining)]
        assert lowest, f"a circle among {sorted(remaining)}"
        remaining = {floor: remaining[floor] for floor in remaining if floor not in lowest}


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
            "from neural_sdf.data import scene",
            " may not import neural_sdf.data.scene",
        ),
        ("neural_sdf/data/scene.py", "import neural_sdf", "data may not import neural_sdf"),
        ("neural_sdf/tracing/trace.py", "from flax import nnx", "tracing may not import flax"),
        ("neural_sdf/fields/mlp.py", "import ml_collections", "may not import ml_collections"),
        ("neural_sdf/rendering/images.py", "import optax", "rendering may not import optax"),
        ("neural_sdf/data/scene.py", "from . import load", "imports are absolute"),
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
    assert not list(banned_uses(Path("neural_sdf/data/scene.py"), ast.parse(source)))


def test_planted_vague_name_is_caught():
    assert list(vague_names(Path("neural_sdf/data/utils.py")))
    assert list(vague_names(Path("neural_sdf/common/scene.py")))
