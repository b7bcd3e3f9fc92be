"""The first surface point on a ray of any signed-distance function; pure JAX."""

from neural_sdf.tracing.closest import Approach, closest_approach
from neural_sdf.tracing.grid import DistanceGrid, refresh, sample_grid
from neural_sdf.tracing.march import HIT, INSIDE, MAX_STEPS, MISS, PRECISION
from neural_sdf.tracing.trace import (
    GRAZING,
    Found,
    Hits,
    attach,
    least_distance,
    trace,
    value_and_normal,
)

__all__ = [
    "GRAZING",
    "HIT",
    "INSIDE",
    "MAX_STEPS",
    "MISS",
    "PRECISION",
    "Approach",
    "DistanceGrid",
    "Found",
    "Hits",
    "attach",
    "closest_approach",
    "least_distance",
    "refresh",
    "sample_grid",
    "trace",
    "value_and_normal",
]
