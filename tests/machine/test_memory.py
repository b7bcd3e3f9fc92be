import platform
import re
from pathlib import Path

import numpy as np
import pytest

from neural_sdf.machine.memory import give_back


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
    give_back()
    assert before - resident() > 100e6
    assert last.all()
