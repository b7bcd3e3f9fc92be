"""Cameras of photos of another size than these: made larger or smaller since, or cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float64

from neural_sdf.photos.inspection.readings import (
    FOCAL,
    LEAST_CHANGE,
    Reading,
    Views,
    is_tiny,
    scaled,
)
from neural_sdf.photos.inspection.searches import MOVES, pattern_search

USUAL = np.log(2) * np.array([1, -1, 2, -2, 3, -3])  # logarithms of factors that photos are made by
NEAR = 0.5  # of the disagreement at which a search is worth while
EXACT = 1e-3  # of it: a usual factor under which no more is left is the one
STEPS = (np.log(1.08), np.log(1.003))  # of the search for another factor: first, last
CUT_STEPS = (0.08, 0.005)  # of the search for where photos were cut, shares of the longer side
CUTS = {  # shares of what was cut away that was left and above
    "all round": (0.5, 0.5),
    "on the right and below": (0.0, 0.0),
    "on the left and below": (1.0, 0.0),
    "on the right and above": (0.0, 1.0),
    "on the left and above": (1.0, 1.0),
}


def made_larger(score: Callable[[Views], float], views: Views) -> Iterator[Reading]:
    """K of photos of another size: all of it times one factor, which the principal points tell.

    Outlines tell it to within a hundredth, where a factor of the focal lengths alone is told to
    within some: the principal point moves with it.
    """

    def of(log: float) -> float:
        other = _times(views, float(np.exp(log)))
        return np.inf if is_tiny(other) else score(other)

    starts = np.array([*USUAL, np.clip(np.log(_of_middle(views)), min(USUAL), max(USUAL))])
    found = [of(log) for log in starts]
    start, best = float(starts[np.argmin(found)]), min(found)
    unread = score(views)
    if best > NEAR * unread:
        return
    if best > EXACT * unread or start not in USUAL:
        away, _ = pattern_search(lambda x: of(start + x[0]), best, np.array([[-1], [1]]), STEPS)
        start += float(away[0])
    factor = float(np.exp(start))
    yield Reading(
        FOCAL,
        f"the cameras are those of photos {1 / factor:.3g} times as wide and high: with fx, fy, cx"
        f" and cy multiplied by {factor:.3g}, masks and cameras agree",
        f"multiply fx, fy, cx and cy by {factor:.3g}, or give the photos of that size",
        lambda v: _times(v, factor),
    )


def cut(score: Callable[[Views], float], views: Views) -> Iterator[Reading]:
    """Photos smaller than their cameras declare since they were cut and not made smaller."""
    if views.enlarged is None or np.median(np.abs(np.log(views.enlarged))) < LEAST_CHANGE:
        return
    tried = []
    for words, shares in CUTS.items():
        reading = _cut(words, np.array(shares), np.zeros(2))
        tried.append((score(reading.apply(views)), shares, reading))
        yield reading
    best, shares, _ = min(tried, key=lambda t: t[0])
    start = np.array(shares)

    def of(shift: Float64[np.ndarray, "2"]) -> float:
        return score(_cut("", start, shift).apply(views))

    shift, _ = pattern_search(of, best, MOVES, CUT_STEPS)
    if shift.any():
        yield _cut("on some sides", start, shift, is_fitted=True)


def _cut(
    words: str,
    shares: Float64[np.ndarray, "2"],
    shift: Float64[np.ndarray, "2"],
    *,
    is_fitted: bool = False,
) -> Reading:
    """K as written, the principal point moved by what was cut away on the left and above.

    Args:
        words: where they were cut.
        shares: of what is gone of width and height, what was on the left and above.
        shift: yet more, as shares of the longer side.
        is_fitted: whether the shift was searched for.
    """

    def apply(views: Views) -> Views:
        assert views.enlarged is not None
        sides = views.sizes[:, ::-1]
        gone = sides / views.enlarged[:, None] - sides
        offset = shares * gone + shift * sides.max(axis=1, keepdims=True)
        factor = np.repeat(1 / views.enlarged[:, None], 2, axis=1)
        return views._replace(intrinsics=scaled(views.intrinsics, factor, -offset))

    return Reading(
        "cut-photos",
        f"these photos were cut {words}, and not made smaller: with K as written and the principal"
        " point moved by what is gone on the left and above, masks and cameras agree",
        "write w, h, cx and cy of the cut photos and leave the focal lengths as they were; or"
        " restore the photos as they were",
        apply,
        is_fitted,
    )


def _times(views: Views, factor: float) -> Views:
    factors = np.full((len(views.names), 2), factor)
    return views._replace(intrinsics=scaled(views.intrinsics, factors, np.zeros(2)))


def _of_middle(views: Views) -> float:
    """The factor at which the principal points come nearest to the photos' middles."""
    ratio = 2 * np.abs(views.intrinsics[:, :2, 2]) / views.sizes[:, ::-1]
    return float(1 / np.median(np.maximum(ratio.mean(axis=1), 1e-9)))
