"""One program for images of many sizes, within the memory there is."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from neural_sdf.geometry import Rays
from neural_sdf.machine.memory import power_of_two, program_memory
from neural_sdf.rendering.renderer import Renderer, Rendering

# On two CPU cores more rays at a time gained nothing above the noise. Accelerators may want more;
# that is not measured.
_MOST_RAYS = 8192
_LEAST_RAYS = 256


def compile_views(
    renderer: Renderer,
    params: Any,
    share: float,
    sizes: Int[np.ndarray, "V 2"],
    *,
    background: Float[np.ndarray, "3"],
    available: int | None,
) -> tuple[Callable[[Rays], Rendering], int]:
    """One program for all views, and how many rays it takes at a time.

    The rays are a power of two, as the tracer halves what is left of them: enough for the largest
    view, fewer where that is more than pays or than the memory holds.

    Args:
        renderer: as finely as images are made.
        params: of the run; an argument of the program, so that it serves every checkpoint.
        share: of the run that is done.
        sizes: (height, width) of each view.
        background: what rays see where the object hides nothing, in [0, 1].
        available: bytes that the program may take; None for no limit.
    """
    part = jnp.float32(share)
    memory = jax.jit(renderer.recall)(params, part)

    @jax.jit
    def render(params: Any, share: Array, memory: Any, background: Array, rays: Rays) -> Rendering:
        keys = jax.random.split(jax.random.key(0), len(rays.origins))
        seen = renderer.render(params, memory, rays, keys, share)
        return seen._replace(rgb=seen.rgb + (1 - seen.opacity)[:, None] * background)

    same = params, part, memory, jnp.asarray(background, jnp.float32)
    count = power_of_two(min(int(sizes.prod(axis=1).max()), _MOST_RAYS))
    while True:
        shape: Any = jax.ShapeDtypeStruct((count, 3), np.float32)
        program = render.lower(*same, Rays(shape, shape)).compile()
        if available is None or count <= _LEAST_RAYS or program_memory(program) <= available:
            return functools.partial(program, *same), count
        count //= 2
