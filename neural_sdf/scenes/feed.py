"""Batches for the training step: from photos on the device, or on the host where they are large.

Both give the same batches at the same steps, to the bit, so that where the photos lie changes
nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Int

from neural_sdf.scenes.batch import Batch, Draw, batch_of, draw, training_cameras
from neural_sdf.scenes.depths import Depths, unknown_depths
from neural_sdf.scenes.scene import Scene
from neural_sdf.scenes.sparse import ObjectPoints, no_points


class DeviceFeed:
    """Batches from photos that were copied to the device once."""

    def __init__(
        self,
        scene: Scene,
        batch_size: int,
        seed: int,
        depths: Depths | None = None,
        sparse: ObjectPoints | None = None,
    ) -> None:
        """Copies the photos.

        Args:
            scene: photos and cameras.
            batch_size: rays a step.
            seed: of the run.
            depths: of the training photos, as far as they are known.
            sparse: points of the object, at least one.
        """
        known = depths or unknown_depths(), sparse or no_points()
        self._photos = jax.device_put((training_cameras(scene), scene.rgb, scene.mask, known))

        @jax.jit
        def gather(photos: tuple, step: Int[ArrayLike, ""]) -> Batch:
            cameras, rgb, mask, known = photos
            drawn = draw(seed, step, cameras.offsets[-1], batch_size)
            return batch_of(cameras, drawn, rgb[drawn.positions], mask[drawn.positions], *known)

        self._gather = gather

    def __call__(self, step: int) -> Batch:
        """The batch of a step, counted from 0."""
        return self._gather(self._photos, np.int32(step))

    def close(self) -> None:
        """Nothing to end."""


class HostFeed:
    """Batches from photos that stay on the host; the next is gathered while the step runs."""

    def __init__(
        self,
        scene: Scene,
        batch_size: int,
        seed: int,
        depths: Depths | None = None,
        sparse: ObjectPoints | None = None,
    ) -> None:
        """Gathers nothing yet.

        Args:
            scene: photos and cameras, as NumPy arrays.
            batch_size: rays a step.
            seed: of the run.
            depths: of the training photos, as far as they are known.
            sparse: points of the object, at least one.
        """
        self._scene = scene
        known = depths or unknown_depths(), sparse or no_points()
        cameras, known = jax.device_put((training_cameras(scene), known))
        self._draw: Callable[[np.int32], Draw] = jax.jit(
            lambda step: draw(seed, step, cameras.offsets[-1], batch_size)
        )
        self._batch_of = jax.jit(
            lambda drawn, rgb, mask: batch_of(cameras, drawn, rgb, mask, *known)
        )
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._next: tuple[int, Future[Batch]] | None = None

    def __call__(self, step: int) -> Batch:
        """The batch of a step, counted from 0."""
        ready = self._next
        batch = ready[1].result() if ready and ready[0] == step else self._gather(step)
        self._next = step + 1, self._pool.submit(self._gather, step + 1)
        return batch

    def close(self) -> None:
        """Ends the thread that gathers."""
        self._pool.shutdown(cancel_futures=True)

    def _gather(self, step: int) -> Batch:
        drawn = self._draw(np.int32(step))
        positions = np.asarray(drawn.positions)
        return self._batch_of(drawn, self._scene.rgb[positions], self._scene.mask[positions])
