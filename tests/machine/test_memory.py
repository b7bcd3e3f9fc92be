import platform
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np
import pytest

from neural_sdf.machine import memory


def resident() -> int:
    """Bytes of main memory that this process takes."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmRSS:\s+(\d+) kB", status)[1])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be asked")
def test_what_was_freed_goes_back_to_the_machine():
    blocks = [np.ones(8000) for _ in range(4000)]  # 64 kB each: too small for glibc to map alone
    last = blocks.pop()
    blocks.clear()  # but for the last, which holds all below it
    before = resident()
    memory.give_back()
    assert before - resident() > 100e6
    assert last.all()


def test_two_programs_are_never_compiled_at_once(monkeypatch):
    under_way, together = [], []

    def trim():  # called where a compilation ends
        under_way.append(None)
        time.sleep(0.05)
        together.append(len(under_way))
        under_way.pop()

    monkeypatch.setattr(memory, "give_back", trim)
    lowered = [jax.jit(lambda x, n=n: x + n).lower(1.0) for n in range(4)]
    with ThreadPoolExecutor(4) as pool:
        programs = list(pool.map(memory.compile_alone, lowered))
    assert [float(program(1.0)) for program in programs] == [1, 2, 3, 4]
    assert together == [1, 1, 1, 1]
