"""Compiled programs, kept on disk from one start to the next.

JAX stores them (`JAX_COMPILATION_CACHE_DIR`) under a key of program, jaxlib, flags and the CPU's
instructions. What it leaves open is closed here:

* XLA splits a program for the CPUs that it may use, which the key does not hold; loaded with
  another number of them, sums would differ in the last bits. The folder's name has it, and the CPU.
* JAX trusts what it reads and never replaces it. Here every stored program is sealed with its
  SHA-256, and one whose seal is absent or broken is removed before JAX starts.
* JAX limits the size only with a package that is no dependency. Here the oldest are removed.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import importlib.metadata
import os
import platform
import sys
import tempfile
from pathlib import Path

_VARIABLE = "JAX_COMPILATION_CACHE_DIR"
# Writes a screenful of errors for every program that it loads on a CPU which LLVM prefers not to
# gather on, though it is the one that it was compiled on (jax-ml/jax#38445).
_NOISY = "0.10.1"
_LIMIT = 2**28  # bytes; a config with its evaluation and export takes about a hundredth
_SEAL = ".sha256"
_CPU_LINES = (
    *("vendor_id", "cpu family", "model", "model name", "flags"),  # x86
    *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "Features"),  # Arm
)


def keep_programs() -> None:
    """Lets JAX keep its compiled programs; call it before JAX is imported.

    In `$XDG_CACHE_HOME/neural_sdf/xla`, or `~/.cache/neural_sdf/xla`. A user's own
    `JAX_COMPILATION_CACHE_DIR` is left alone, also if it is empty, which keeps none. A folder that
    cannot be written costs a line and the time to compile.
    """
    if _VARIABLE in os.environ or importlib.metadata.version("jaxlib") == _NOISY:
        return
    try:
        folder = _folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            _remove_doubtful(folder)
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
        print(
            f"compiled programs are not kept: {error}; set {_VARIABLE} to a folder that can be "
            "written, or to nothing",
            file=sys.stderr,
        )
        return
    os.environ[_VARIABLE] = str(folder)
    # Programs that take milliseconds to compile are the many: seconds before the first step.
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    atexit.register(seal_programs)


def seal_programs() -> None:
    """Vouches for the programs stored so far; a process that is killed before loses them.

    Does nothing to a user's own folder.
    """
    # A program that is not sealed is compiled anew at the next start: time, and no more.
    with contextlib.suppress(OSError, RuntimeError):
        if os.environ.get(_VARIABLE) != str(_folder()):
            return
        for path in _folder().glob("*-cache"):
            seal = path.with_name(path.name + _SEAL)
            if not seal.exists():
                seal.write_text(hashlib.sha256(path.read_bytes()).hexdigest())


def _folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "neural_sdf" / "xla" / _machine()


def _machine() -> str:
    """A name for what compiled CPU programs depend on: instructions, and how many CPUs."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text(errors="replace").splitlines()
        cpu = sorted({line for line in lines if line.split(":")[0].strip() in _CPU_LINES})
    else:
        cpu = [platform.machine(), platform.processor(), platform.node()]
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return hashlib.sha256(repr((cpu, count)).encode()).hexdigest()[:16]


def _remove_doubtful(folder: Path) -> None:
    """Removes programs without a true seal, and the oldest beyond the limit."""
    kept = []
    for path in folder.glob("*-cache"):
        with contextlib.suppress(FileNotFoundError):  # removed by another start
            seal = path.with_name(path.name + _SEAL)
            true = hashlib.sha256(path.read_bytes()).hexdigest().encode()
            if seal.is_file() and seal.read_bytes() == true:
                kept.append((path.stat().st_mtime, path.stat().st_size, path))
            else:
                path.unlink()
    total = 0
    for _, size, path in sorted(kept, reverse=True):
        total += size
        if total > _LIMIT:
            path.unlink(missing_ok=True)
    for seal in folder.glob(f"*{_SEAL}"):
        if not seal.with_name(seal.name.removesuffix(_SEAL)).exists():
            seal.unlink(missing_ok=True)
