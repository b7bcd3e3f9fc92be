"""What a step needs, what there is, and what is proposed when it is too much."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.machine.memory import host_memory, program_memory
from neural_sdf.training import compile_within
from tests.experiment.tiny import config_of

ROOT = Path(__file__).parents[2]
MIB = 2**20


def lower(batch_size: int) -> jax.stages.Lowered:
    """A program of 4 KiB an item and 4 MiB beside: the items squared, sorted and added."""

    def work(table, items):
        return jnp.sum(jnp.sort(items**2, axis=-1)[:, ::-1] @ table)

    table = jax.ShapeDtypeStruct((1024, 1024), jnp.float32)
    return jax.jit(work).lower(table, jax.ShapeDtypeStruct((batch_size, 1024), jnp.float32))


def test_program_is_as_large_as_what_it_keeps():
    needed = program_memory(lower(1024).compile())
    assert needed >= 8 * MIB  # its two arguments
    assert program_memory(lower(4096).compile()) >= needed + 12 * MIB


def test_what_is_given_up_counts_once():
    twice = jax.ShapeDtypeStruct((1024, 1024), jnp.float32)
    program = jax.jit(lambda x: x + 1, donate_argnums=0).lower(twice).compile()
    assert program_memory(program) == 4 * MIB


def test_step_that_fits_is_compiled_as_asked():
    program, needed = compile_within(lower, 256, None)
    table, items = np.random.default_rng(0).random((2, 1024, 1024), np.float32)
    expected = np.sum(np.sort(items[:256] ** 2)[:, ::-1] @ table)
    np.testing.assert_allclose(program(table, items[:256]), expected, rtol=1e-4)
    compile_within(lower, 256, needed)
    with pytest.raises(ValueError, match="batch_size 256 needs"):
        compile_within(lower, 256, needed - 1)


@pytest.mark.parametrize("least", [3, 100, 1000])
def test_step_that_does_not_fit_is_refused_with_the_largest_that_does(least):
    available = program_memory(lower(least).compile())
    with pytest.raises(ValueError, match=r"batch_size 5000 needs .* GiB; expected at most") as got:
        compile_within(lower, 5000, available)
    proposed = int(str(got.value).partition("batch_size=")[2].split(";")[0])
    assert program_memory(lower(proposed).compile()) <= available
    assert 0.8 * least <= proposed + 64 * (least >= 64) <= least + 64


def test_what_can_never_fit_is_said_so():
    with pytest.raises(ValueError, match=r"set downscale; not even a batch of one"):
        compile_within(lower, 64, MIB)


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_memory_of_the_host_is_what_linux_says(tmp_path):
    root = write(tmp_path, proc__meminfo="MemTotal:  900 kB\nMemAvailable:     500 kB\n")
    assert host_memory(root) == 500 * 1024
    assert host_memory(tmp_path / "no_linux") is None
    if Path("/proc/meminfo").is_file():
        assert 0 < (host_memory() or 0) < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("group", "folder", "limit", "usage", "cached"),
    [
        ("0::/", "", "memory.max", "memory.current", "inactive_file"),
        ("0::/a/b", "a", "memory.max", "memory.current", "inactive_file"),
        (
            *("4:memory:/a", "memory/a"),
            *("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ),
        (
            *("4:memory:/not/seen/from/inside", "memory"),
            *("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ),
    ],
)
def test_limit_of_a_container_counts(tmp_path, group, folder, limit, usage, cached):
    write(tmp_path, proc__meminfo="MemAvailable: 500 kB\n", proc__self__cgroup=group + "\n")
    place = tmp_path / "sys/fs/cgroup" / folder
    place.mkdir(parents=True)
    (place / limit).write_text("max\n")
    (place / usage).write_text("120000\n")
    assert host_memory(tmp_path) == 500 * 1024
    (place / limit).write_text("200000\n")
    assert host_memory(tmp_path) == 80000
    (place / "memory.stat").write_text(f"anon 7\n{cached} 20000\n")
    assert host_memory(tmp_path) == 100000


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_predicted_peak_is_the_measured_one_to_a_quarter():
    wide = {"field__width": 128, "field__depth": 4, "train__batch_size": 8192}
    config = config_of("quickstart", data__downscale=8, **wide)
    program = [sys.executable, ROOT / "scripts/benchmark/peak.py"]
    # What is freed goes back to the system at once, so that nothing freed is in the peak.
    limits = dict.fromkeys(["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"], "65536")
    allocator = {"MALLOC_ARENA_MAX": "1", **limits}
    result = subprocess.run(
        [*program, config.to_json_best_effort()],
        env=os.environ | allocator,
        capture_output=True,
        text=True,
        check=True,
    )
    predicted, measured = map(int, result.stdout.split())
    assert measured == pytest.approx(predicted, rel=0.25)
