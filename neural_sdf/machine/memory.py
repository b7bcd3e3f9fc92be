"""How much memory there is, and how much a compiled program takes of it."""

from __future__ import annotations

import ctypes
import re
import sys
import threading
from pathlib import Path

import jax
from jax.stages import Compiled, Lowered

_COMPILING = threading.Lock()


def program_memory(program: Compiled) -> int:
    """Bytes that a program holds while it runs: arguments, results and what lies between.

    Arguments that are given up for results count once. By XLA's own plan of its buffers, which the
    kept program knows as well as the new one.
    """
    plan = program.memory_analysis()
    if plan is None:  # a backend that does not tell
        return 0
    kept = plan.argument_size_in_bytes + plan.output_size_in_bytes - plan.alias_size_in_bytes
    return int(kept + plan.temp_size_in_bytes)


def available_memory() -> int | None:
    """Bytes that programs may still take; None where nothing tells.

    Of an accelerator what its allocator has left; else what the machine can give without
    swapping, or less if the process lives in a container with a limit.
    """
    stats = jax.devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    return host_memory()


def compile_alone(lowered: Lowered) -> Compiled:
    """Compiles a program while no other is, for their peaks of memory would add up.

    What the compiler leaves is given back to the machine.
    """
    with _COMPILING:
        program = lowered.compile()
        give_back()
    return program


def give_back() -> None:
    """Gives memory that was freed back to the machine; does nothing where the C library cannot.

    A compiler of many threads leaves hundreds of MB that glibc would keep to the end.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:  # musl has none
        trim(0)


def host_memory(root: Path = Path("/")) -> int | None:
    """Bytes of main memory still to be had, from the files of Linux; None elsewhere.

    Args:
        root: of the file system.
    """
    info = root / "proc/meminfo"
    if not info.is_file():
        return None
    found = re.search(r"^MemAvailable:\s+(\d+) kB", info.read_text(), re.MULTILINE)
    known = [1024 * int(found[1])] if found else []
    return min(known + _container_memory(root), default=None)


def _container_memory(root: Path) -> list[int]:
    """What is left below the limits of the process's control groups, version 2 or 1, bytes."""
    own = root / "proc/self/cgroup"
    lines = own.read_text().splitlines() if own.is_file() else []
    folders = {root / "sys/fs/cgroup", root / "sys/fs/cgroup/memory"}  # as a container sees its own
    for _, kind, path in (line.split(":", 2) for line in lines):
        if kind in ("", "memory"):
            top = root / "sys/fs/cgroup" / kind
            folders |= {top / part for part in (path[1:], *Path(path[1:]).parents)}
    names = [("memory.max", "memory.current", "inactive_file")]
    names += [("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")]
    left = []
    for folder in folders:
        for limit, usage, cached in names:
            limit, usage, stat = folder / limit, folder / usage, folder / "memory.stat"
            if limit.is_file() and usage.is_file() and limit.read_text().strip().isdigit():
                # Files that the kernel holds for speed are given back when memory is asked for.
                text = stat.read_text() if stat.is_file() else ""
                spare = re.search(rf"^{cached} (\d+)$", text, re.MULTILINE)
                used = int(usage.read_text()) - (int(spare[1]) if spare else 0)
                left.append(max(int(limit.read_text()) - used, 0))
    return left


def gib(num_bytes: int) -> str:
    """For a person: 0.41 GiB."""
    return f"{num_bytes / 2**30:,.2f} GiB"


def power_of_two(count: int) -> int:
    """The least power of two that is not less."""
    return 1 << max(count - 1, 0).bit_length()
