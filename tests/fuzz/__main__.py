"""Breaks good inputs at random, and reports what is not told: `python -m tests.fuzz --help`."""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.inspected import write
from tests.fuzz.mutants import KINDS


def main() -> None:
    """Prints a line for each kind, and each fault with its seed; exits with 1 if there is one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=10_000, help="in all (%(default)s)")
    parser.add_argument("--first", type=int, default=0, help="seed (%(default)s)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), metavar="KIND")
    given = parser.parse_args()
    each = -(-given.mutants // len(given.kinds))
    counts: Counter[str] = Counter()
    for kind in given.kinds:
        counts += _try(kind, range(given.first, given.first + each))
    print(", ".join(f"{counts[word]} {word}" for word in ("told", "read as meant", "faults")))
    sys.exit(counts["faults"] > 0)


def _try(kind: str, seeds: range) -> Counter[str]:
    layout, examine = KINDS[kind]
    counts: Counter[str] = Counter()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        folder = write(layout, Path(scratch) / "scene")
        for seed in seeds:
            try:
                counts["told" if examine(folder, seed) else "read as meant"] += 1
            except Exception as error:
                counts["faults"] += 1
                told = f"{type(error).__name__}: {error}"
                print(f"  seed {seed}: {told:.500} {' '.join(error.__notes__):.300}", flush=True)
    print(f"{kind}: {dict(counts)} in {time.monotonic() - start:.0f} s", flush=True)
    return counts


if __name__ == "__main__":
    main()
