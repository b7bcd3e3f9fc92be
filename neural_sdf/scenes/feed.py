"""Photos for the training step: all of them on the device, or a batch at a time from the host.

Both draw the same pixels at the same step, so that where the photos lie changes nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from neural_sdf.scenes.scene import Drawn, Scene, draw_pixels, without_pixels


def drawn_shapes(scene: Scene, batch_size: int) -> Drawn:
    """Shapes and types of what a `HostFeed` gives, for compiling the step."""

    def example(cameras: Scene) -> Drawn:
        values = jnp.zeros((batch_size, 3), jnp.uint8)
        return Drawn(cameras, jnp.zeros(batch_size, jnp.int32), values, values[:, 0] > 0)

    return jax.eval_shape(example, without_pixels(scene))


class HostFeed:
    """Batches from photos that stay on the host; the next is gathered while the step runs.

    Args:
        scene: as NumPy arrays.
        batch_size: pixels a step.
        key_of: step -> the key that its batch is drawn with.
    """

    def __init__(self, scene: Scene, batch_size: int, key_of: Callable[[Array], Array]) -> None:
        """Compiles the draw; gathers nothing yet."""
        self._scene = scene
        self._cameras = jax.device_put(without_pixels(scene))
        self._draw = jax.jit(lambda step: draw_pixels(key_of(step), self._cameras, batch_size))
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._next: tuple[int, Future[Drawn]] | None = None

    def __call__(self, step: int) -> Drawn:
        """The pixels of a step, counted from 0."""
        ready = self._next
        drawn = ready[1].result() if ready and ready[0] == step else self._gather(step)
        self._next = step + 1, self._pool.submit(self._gather, step + 1)
        return drawn

    def close(self) -> None:
        """Ends the thread that gathers."""
        self._pool.shutdown(cancel_futures=True)

    def _gather(self, step: int) -> Drawn:
        pixels = np.asarray(self._draw(np.int32(step)))
        return Drawn(self._cameras, pixels, self._scene.rgb[pixels], self._scene.mask[pixels])


class DeviceFeed:
    """The same whole scene for every step, copied to the device once."""

    def __init__(self, scene: Scene) -> None:
        """Copies the scene."""
        self._scene = jax.device_put(scene)

    def __call__(self, step: int) -> Scene:
        """The scene; the step draws from it."""
        del step
        return self._scene

    def close(self) -> None:
        """Nothing to end."""
