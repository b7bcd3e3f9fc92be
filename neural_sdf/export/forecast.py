"""What a mesh will take of memory, foretold by a coarse mesh of the same surface."""

from __future__ import annotations

import bisect
import contextlib
from collections.abc import Callable
from typing import Any

from jax import Array

from neural_sdf.export.grid import covering_grid
from neural_sdf.export.mesh import extract_mesh
from neural_sdf.machine.memory import gib
from neural_sdf.mistake import Mistake

COARSE = 64  # cells; at this resolution, and below, a mesh takes next to nothing
# Bytes: measured from the command that exports, at 256 to 1024.
_START, _PER_BLOCK, _PER_FACE = 2**28, 64, 560


def mesh_memory(sdf: Callable[[Any, Array], Array], params: Any) -> Callable[[int], int]:
    """Resolution -> bytes, about, from sampling the field to its mesh written and read back.

    Every block of the grid costs a little, and every triangle more; these grow with the square of
    the resolution, from those of a coarse mesh.

    Args:
        sdf: as for `extract_mesh`.
        params: its parameters.
    """
    faces = 0
    with contextlib.suppress(Mistake):  # a surface that only a finer grid shows, if at all
        faces = len(extract_mesh(sdf, params, resolution=COARSE).faces)

    def needed(resolution: int) -> int:
        blocks = covering_grid(1.0, resolution).num_blocks ** 3
        return _START + _PER_BLOCK * blocks + _PER_FACE * faces * resolution**2 // COARSE**2

    return needed


def require_memory(needed: Callable[[int], int], resolution: int, available: int) -> None:
    """Refuses a mesh that the memory cannot hold.

    Args:
        needed: of `mesh_memory`.
        resolution: that is asked for.
        available: bytes.

    Raises:
        Mistake: names the largest resolution that fits.
    """
    if needed(resolution) <= available:
        return
    message = (
        f"a mesh of resolution {resolution} takes about {gib(needed(resolution))}; expected at most"
        f" the {gib(available)} that are free"
    )
    largest = bisect.bisect_right(range(min(resolution, 2**31)), available, 2, key=needed) - 1
    if largest < 2:
        raise Mistake(message, remedy="end other programs")
    raise Mistake(message, setting=f"resolution={largest}")
