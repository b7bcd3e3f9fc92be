"""Compiled programs that are kept: used again, distrusted when damaged, never in the way."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from neural_sdf.experiment.workdir import load_trained
from neural_sdf.machine import programs as program_cache

ROOT = Path(__file__).parents[2]
VARIABLE = "JAX_COMPILATION_CACHE_DIR"


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in (VARIABLE, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        monkeypatch.setenv(name, "")  # so that it is restored after the test
        monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def folder(home) -> Path:
    program_cache.keep_programs()
    return Path(os.environ[VARIABLE])


def stored(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*-cache")}


def start_again() -> None:
    del os.environ[VARIABLE]
    program_cache.keep_programs()


def test_folder_lies_in_the_users_cache_and_is_the_users_alone(folder, home):
    assert folder.parent == home / "neural_sdf/xla"
    assert folder.stat().st_mode & 0o077 == 0


def test_every_number_of_cpus_has_a_folder_of_its_own(folder, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(99)), raising=False)
    start_again()
    assert os.environ[VARIABLE] != str(folder)


@pytest.mark.parametrize("given", ["", "/somewhere/else"])
def test_users_own_choice_is_left_alone(home, monkeypatch, given):
    monkeypatch.setenv(VARIABLE, given)
    program_cache.keep_programs()
    program_cache.seal_programs()
    assert os.environ[VARIABLE] == given
    assert not list(home.iterdir())


def test_sealed_programs_stay_and_others_go_with_their_seals(folder):
    for name in ("kept", "garbled", "truncated", "lost"):
        (folder / f"{name}-cache").write_bytes(b"a program " + name.encode())
    program_cache.seal_programs()
    (folder / "garbled-cache").write_bytes(b"a pro\0ram garbled")
    (folder / "truncated-cache").write_bytes(b"a program trunc")
    (folder / "lost-cache").unlink()
    (folder / "unsealed-cache").write_bytes(b"of a process that was killed")
    start_again()
    assert {path.name for path in folder.iterdir()} == {"kept-cache", "kept-cache.sha256"}
    seal = (folder / "kept-cache.sha256").read_text()
    assert seal == hashlib.sha256(b"a program kept").hexdigest()


def test_broken_seal_breaks_the_program(folder):
    for i, damage in enumerate((b"", b"\xff\x00", b"0" * 64)):
        (folder / f"{i}-cache").write_bytes(b"program")
        program_cache.seal_programs()
        (folder / f"{i}-cache.sha256").write_bytes(damage)
    start_again()
    assert not stored(folder)


def test_oldest_programs_go_when_there_are_too_many(folder, monkeypatch):
    for age in range(4):
        path = folder / f"{age}-cache"
        path.write_bytes(bytes(10))
        os.utime(path, (1e9 - age, 1e9 - age))
    program_cache.seal_programs()
    monkeypatch.setattr(program_cache, "_LIMIT", 25)
    start_again()
    assert set(stored(folder)) == {"0-cache", "1-cache"}


def test_folder_that_cannot_be_made_costs_one_line(home, monkeypatch, capsys):
    (home / "neural_sdf").write_text("a file in the way")
    program_cache.keep_programs()
    assert VARIABLE not in os.environ
    (line,) = capsys.readouterr().err.splitlines()
    assert "compiled programs are not kept" in line
    assert VARIABLE in line


def train(home: Path, workdir: Path) -> dict:
    """Three steps in a process of their own; the parameters they end with."""
    command = [
        *(sys.executable, "train.py", "--config=configs/quickstart.py", f"--workdir={workdir}"),
        *("--config.data.downscale=8", "--config.field.width=16", "--config.field.depth=2"),
        *("--config.field.skip=0", "--config.field.num_features=4", "--config.train.steps=3"),
        *("--config.field.radiance_width=8", "--config.field.radiance_depth=1"),
        *("--config.train.batch_size=64", "--config.train.warmup=1"),
    ]
    result = subprocess.run(
        command,
        cwd=ROOT,
        env={k: x for k, x in os.environ.items() if k != VARIABLE} | {"XDG_CACHE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    return load_trained(workdir).params


def assert_same(a: dict, b: dict) -> None:
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.slow
def test_second_start_compiles_nothing_and_damage_changes_no_bit(home, tmp_path):
    cold = train(home, tmp_path / "cold")
    (folder,) = (home / "neural_sdf/xla").iterdir()
    programs = stored(folder)
    assert any(name.startswith("jit_step-") for name in programs)

    assert_same(cold, train(home, tmp_path / "warm"))
    assert stored(folder) == programs

    damaged = {}
    for i, (name, content) in enumerate(programs.items()):
        half = len(content) // 2
        flipped = content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]
        damaged[name] = flipped if i % 2 else content[:half]
        (folder / name).write_bytes(damaged[name])
    assert_same(cold, train(home, tmp_path / "garbled"))
    assert set(stored(folder)) == set(programs)
    assert not {name for name, content in stored(folder).items() if content == damaged[name]}
