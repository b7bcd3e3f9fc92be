"""How far masks and cameras disagree: the measure that every diagnosis by masks goes by."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from neural_sdf.photos.files.findings import DataError
from neural_sdf.photos.inspection.readings import Views
from neural_sdf.photos.outlines.growth import Cameras, Silhouettes, Span, growth, silhouettes
from neural_sdf.photos.outlines.hull import viewed_place

NOISE = 0.003  # typical growth, as share of the object's size, that good sets stay far below
EXPLAINED = 1 / 3  # of the growth that may remain under the right reading
SAMPLE = 16  # views by which readings are compared
REACH = 0.7  # of the cameras' distance: where the object is looked for


def scores(shapes: Silhouettes, views: Views) -> Float[np.ndarray, " V"] | None:
    """Growth of each view; None if the cameras do not look at one place."""
    try:
        around = span(views)
    except DataError:
        return None
    return growth(shapes, Cameras(views.intrinsics, views.world_from_camera), around)


def disagreement(views: Views) -> float:
    """Mean growth over the views; 1 if the cameras do not look at one place."""
    return disagreement_of(views.masks)(views)


def disagreement_of(masks: Sequence[Bool[np.ndarray, "_h _w"]]) -> Callable[[Views], float]:
    """`disagreement` of views that have these masks, of which it is asked many times."""
    shapes = silhouettes(masks)

    def mean(views: Views) -> float:
        found = scores(shapes, views)
        return 1.0 if found is None else float(np.nanmean(found))

    return mean


def span(views: Views) -> Span:
    """Where the object is looked for.

    Raises:
        DataError: if the cameras do not look at one place.
    """
    middle, distance = viewed_place(views.world_from_camera)
    return Span(middle, REACH * distance)


def sample(views: Views) -> Int[np.ndarray, " S"]:
    """Some of the views, evenly chosen."""
    return np.unique(np.linspace(0, len(views.names) - 1, SAMPLE).round().astype(int))


def part(views: Views, which: Int[np.ndarray, " S"]) -> Views:
    """Only these views, in this order."""
    return Views(
        tuple(views.names[i] for i in which),
        views.indices[which],
        [views.masks[i] for i in which],
        views.intrinsics[which],
        views.world_from_camera[which],
        views.sizes[which],
        None if views.enlarged is None else views.enlarged[which],
    )
