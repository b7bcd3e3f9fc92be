"""How far a surface lies from the points that structure from motion found: no reference needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from neural_sdf.geometry.shapes import safe_norm
from neural_sdf.scenes import Scene, object_points

CHUNK = 2**14  # points at once


class PointMetrics(NamedTuple):
    """Distances from the object's sparse points to the surface.

    Attributes:
        num_points: that are the object's.
        points_median: of the distances, as a share of the region of interest's radius.
        points_median_pixels: of each in units of a pixel's width there.
    """

    num_points: int
    points_median: float
    points_median_pixels: float


def compare_points(
    surface: Callable[[Array], tuple[Array, ...]], scene: Scene
) -> PointMetrics | None:
    """The surface against the scene's sparse points; None if none is known to be the object's.

    The distance is |f| / |∇f|, right to first order (Taubin 1991).

    Args:
        surface: points [N, 3] -> f [N], ∇f [N, 3] and what else there is; scene frame.
        scene: with masks.
    """
    points, widths, _ = object_points(scene)
    if not len(points):
        return None

    def distance(point: Array) -> Array:
        value, gradient, *_ = surface(point[None])
        return jnp.abs(value[0]) / jnp.maximum(safe_norm(gradient[0]), 1e-6)

    measure = jax.jit(lambda points: jax.lax.map(distance, points, batch_size=CHUNK))
    distances = np.asarray(measure(jnp.asarray(points, jnp.float32)))
    in_pixels = float(np.median(distances / widths))
    return PointMetrics(len(points), float(np.median(distances)), in_pixels)
