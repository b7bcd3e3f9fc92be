"""The one record that every photo format becomes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int, UInt8

from neural_sdf.geometry import Similarity, SparsePoints


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Source:
    """What a scene knows besides numbers; static under `jit`.

    Attributes:
        names: name of each view, in the scene's order.
        indices: position of each view in the order of its files, counted from 0; `data.holdout_*`
            speaks of these.
        has_masks: whether the photos came with the outline of the object; if not, every pixel is
            said to be on it.
        region: how the region of interest was found, in words.
        reference: signed distance of the true surface in the scene frame, where it is known.
        points: None if there are none.
    """

    names: tuple[str, ...]
    indices: tuple[int, ...]
    has_masks: bool = True
    region: str = ""
    reference: Callable[[Array], Array] | None = None
    points: SparsePoints | None = dataclasses.field(default=None, compare=False)


class Scene(NamedTuple):
    """Photos with cameras, in a frame where the region of interest is the unit sphere.

    Views for training come first, held-out views after them. Pixels of all views lie in one flat
    buffer, row by row, one view after the other, so that sizes may differ.

    Attributes:
        rgb: photo values as stored in the files, [P, 3].
        mask: true on the object, [P].
        offsets: first pixel of each view, and P at the end, [V + 1].
        sizes: (height, width) of each view, [V, 2].
        intrinsics: K of each view, half-pixel centres, [V, 3, 3].
        scene_from_camera: rigid OpenCV pose of each view in the scene frame, [V, 4, 4].
        num_train: how many views, from the first, are for training, [].
        world_from_scene: takes the scene frame back to the photos' own world.
        source: names and file positions of the views.
    """

    rgb: UInt8[Array | np.ndarray, "P 3"]
    mask: Bool[Array | np.ndarray, " P"]
    offsets: Int[Array | np.ndarray, " V+1"]
    sizes: Int[Array | np.ndarray, "V 2"]
    intrinsics: Float[Array | np.ndarray, "V 3 3"]
    scene_from_camera: Float[Array | np.ndarray, "V 4 4"]
    num_train: Int[Array | np.ndarray, ""]
    world_from_scene: Similarity
    source: Source


def view_pixels(scene: Scene, view: int) -> range:
    """Positions of one view's pixels in the flat buffer, row by row."""
    return range(int(scene.offsets[view]), int(scene.offsets[view + 1]))


def view_photo(scene: Scene, view: int) -> UInt8[np.ndarray, "h w 3"]:
    """The photo of one view, values as stored; shares the scene's memory where it is NumPy's."""
    return np.asarray(scene.rgb)[_slice(scene, view)].reshape(*_size(scene, view), 3)


def view_mask(scene: Scene, view: int) -> Bool[np.ndarray, "h w"]:
    """The mask of one view; shares the scene's memory where it is NumPy's."""
    return np.asarray(scene.mask)[_slice(scene, view)].reshape(_size(scene, view))


def view_masks(scene: Scene) -> list[Bool[np.ndarray, "_h _w"]]:
    """The mask of each view."""
    return [view_mask(scene, view) for view in range(len(scene.sizes))]


def view_photos(scene: Scene) -> list[UInt8[np.ndarray, "_h _w 3"]]:
    """The photo of each view, values as stored."""
    return [view_photo(scene, view) for view in range(len(scene.sizes))]


def _slice(scene: Scene, view: int) -> slice:
    pixels = view_pixels(scene, view)
    return slice(pixels.start, pixels.stop)


def _size(scene: Scene, view: int) -> tuple[int, int]:
    height, width = scene.sizes[view]
    return int(height), int(width)


def background_colour(scene: Scene) -> Float[np.ndarray, "3"]:
    """What a ray that misses most likely shows: the median of training pixels off the object.

    In [0, 1]; of all pixels if no view is for training, white if the masks leave no such pixel.
    """
    end = int(scene.offsets[int(scene.num_train) or -1])
    outside = np.asarray(scene.rgb)[:end][~np.asarray(scene.mask)[:end]]
    return np.median(outside, axis=0) / 255 if len(outside) else np.ones(3)
