"""Which readings of the same files explain that masks and cameras disagree.

The one under which least disagreement remains. Where others leave as little, they are told with it:
the files do not say which is right, and a guess, obeyed, would make cameras that are wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from neural_sdf.photos.files.findings import Finding
from neural_sdf.photos.inspection.readings import LEAST_CHANGE, Reading, Views

TIED = 1.25  # times the least disagreement: as little


def least(
    ways: Iterable[Iterable[Reading]],
    views: Views,
    score: Callable[[Reading], float],
    slack: float,
) -> list[Reading]:
    """The readings that leave least disagreement, in the order given, each only once.

    Args:
        ways: readings, those first that are to be told first; where some leave nothing, those of
            the groups that follow are not looked for.
        views: that they are of.
        score: the disagreement under a reading.
        slack: difference of two scores that tells nothing.
    """
    tried: list[tuple[float, Reading]] = []
    for group in ways:
        tried += [(score(reading), reading) for reading in group]
        if any(left <= slack for left, _ in tried):
            break
    most = TIED * min((left for left, _ in tried), default=0.0) + slack
    chosen: list[tuple[Reading, Views]] = []
    for left, reading in tried:
        read = reading.apply(views)
        if left <= most and not any(_alike(read, other) for _, other in chosen):
            chosen.append((reading, read))
    return [reading for reading, _ in chosen]


def told(found: list[Reading], compared: str) -> Finding:
    """One finding of all that explain a disagreement equally well, by the code of the first.

    Args:
        found: the readings, at least one.
        compared: what agrees under them, in words.
    """
    messages = [reading.message.replace("masks and cameras", compared) for reading in found]
    remedies = dict.fromkeys(reading.remedy for reading in found)
    equally = f"{compared} alone do not tell which: " * (len(found) > 1)
    return Finding(found[0].code, "error", "; or ".join(messages), equally + "; or ".join(remedies))


def _alike(views: Views, other: Views) -> bool:
    """Whether two readings come to the same cameras and masks."""
    return (
        np.allclose(views.intrinsics, other.intrinsics, rtol=LEAST_CHANGE, atol=1e-3)
        and np.allclose(views.world_from_camera, other.world_from_camera)
        and all(map(np.array_equal, views.masks, other.masks))
    )
