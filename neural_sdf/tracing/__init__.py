"""The first surface point on a ray of any signed-distance function; pure JAX."""

from neural_sdf.tracing.closest import Approach, closest_approach
from neural_sdf.tracing.march import HIT, INSIDE, MAX_STEPS, MISS
from neural_sdf.tracing.trace import Hits, trace

__all__ = [
    "HIT",
    "INSIDE",
    "MAX_STEPS",
    "MISS",
    "Approach",
    "Hits",
    "closest_approach",
    "trace",
]
