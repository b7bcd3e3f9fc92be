"""Similarity transforms: what joins the scene frame to the world frame of the photos.

A transform is named `to_from_from`: `world_from_scene` takes scene coordinates to the world's, and
a product cancels in reading: world_from_scene · scene_from_camera = world_from_camera.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jax import Array
from jaxtyping import Float


class Similarity(NamedTuple):
    """The map x -> scale · rotation · x + translation; arrays of JAX or NumPy alike.

    Attributes:
        scale: length of the target frame per length of the source frame, positive, [].
        rotation: proper rotation, [3, 3].
        translation: in target units, [3].
    """

    scale: Float[Array | np.ndarray, ""]
    rotation: Float[Array | np.ndarray, "3 3"]
    translation: Float[Array | np.ndarray, "3"]


def transform_points(
    transform: Similarity, points: Float[Array | np.ndarray, "*batch 3"]
) -> Float[Array | np.ndarray, "*batch 3"]:
    """Points in the target frame, [..., 3]."""
    return transform.scale * (points @ transform.rotation.T) + transform.translation


def inverse(transform: Similarity) -> Similarity:
    """The transform of the opposite direction: scene_from_world of world_from_scene."""
    scale = 1 / transform.scale
    rotation = transform.rotation.T
    return Similarity(scale, rotation, -scale * (rotation @ transform.translation))
