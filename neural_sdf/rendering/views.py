"""One program for images of many sizes, within the memory there is."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float, Int

from neural_sdf.geometry import Rays
from neural_sdf.machine.memory import power_of_two, program_memory
from neural_sdf.rendering.surface import Rendering
from neural_sdf.tracing import DistanceGrid

# On two CPU cores more rays at a time gained nothing above the noise. Accelerators may want more;
# that is not measured.
_MOST_RAYS = 8192
_LEAST_RAYS = 256


def compile_views(
    render: Callable[..., Rendering],
    params: Any,
    sizes: Int[np.ndarray, "V 2"],
    *,
    background: Float[ArrayLike, "..."],
    known: DistanceGrid | None,
    available: int | None,
) -> tuple[Callable[[Rays], Rendering], int]:
    """One program for all views, and how many rays it takes at a time.

    The rays are a power of two, as the tracer halves what is left of them: enough for the largest
    view, fewer where that is more than pays or than the memory holds.

    Args:
        render: (params, rays, *, background, known) -> Rendering.
        params: an argument of the program, so that it serves every checkpoint.
        sizes: (height, width) of each view.
        background: seen by rays that miss.
        known: samples of the field that rays start from.
        available: bytes that the program may take; None for no limit.
    """
    rays = power_of_two(min(int(sizes.prod(axis=1).max()), _MOST_RAYS))
    render, settings = jax.jit(render), {"background": background, "known": known}
    while True:
        shape: Any = jax.ShapeDtypeStruct((rays, 3), np.float32)
        program = render.lower(params, Rays(shape, shape), **settings).compile()
        if available is None or rays <= _LEAST_RAYS or program_memory(program) <= available:
            return functools.partial(program, params, **settings), rays
        rays //= 2
