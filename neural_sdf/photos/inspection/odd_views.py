"""A few views that disagree with the many: exchanged, displaced, or wrong in some other way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from jaxtyping import Float

from neural_sdf.photos.files.findings import Finding, names
from neural_sdf.photos.inspection.comparison import EXPLAINED, NOISE, scores, span
from neural_sdf.photos.inspection.readings import Views
from neural_sdf.photos.inspection.searches import best_shift
from neural_sdf.photos.outlines.growth import (
    LENIENT,
    Cameras,
    Silhouettes,
    growth,
    shifted,
)

SLIGHT = 0.2  # pixels of small masks, by which a single view may be off in a good set
FAR_MORE = 10.0  # growth of a view over the typical, where both are small
PARTS = 0.03  # typical growth, as share of the object's size, that a lost part of one mask makes


def odd_views(
    shapes: Silhouettes, views: Views, growths: Float[np.ndarray, " V"], odd: float
) -> Iterator[Finding]:
    """What is wrong with the views that grow by more than `odd`."""
    left = [int(i) for i in np.argsort(-growths) if growths[i] > odd]  # NaN is not
    pixels = shapes.size / float(np.median(shapes.scale))
    swapped, moved, wrong = [], [], []
    while left:
        view = left.pop(0)
        partner = _exchange(shapes, views, view, growths[view])
        if partner is not None:
            swapped += [view, partner]
            left = [i for i in left if i != partner]
        elif _shift_of(shapes, views, view, growths[view]):
            moved.append(view)
        else:
            wrong.append(view)
    if swapped:
        yield about(
            "wrong-order",
            "error",
            views,
            swapped,
            "masks or poses are each other's: exchanged, they agree with the other views, and"
            " outlines cannot tell which of the two are",
            "see that each mask is that of its own photo; if so, give each photo its own pose",
        )
    if moved:
        yield about(
            "misaligned-masks",
            "warning",
            views,
            moved,
            "masks do not lie where the other views have the object: displaced, they agree",
            "see that each is that of its own photo; if so, make these masks anew, or mend these"
            " poses",
        )
    if wrong:
        worst = float(np.nanmax(growths[wrong])) * pixels
        yield about(
            "odd-views",
            "warning",
            views,
            wrong,
            f"masks of a few views disagree with those of the others by up to {worst:.3g} pixels,"
            " and neither a shift nor an exchange of two explains it",
            "look at the masks of these views (parts lost, other things in them), then at their"
            " poses; mend or delete them",
        )


def slightly_odd_views(
    shapes: Silhouettes, views: Views, growths: Float[np.ndarray, " V"]
) -> Iterator[Finding]:
    """Views that disagree by less than a pixel of small masks, where all others agree far better.

    So a pose shows in which a digit was changed, in a set whose masks and cameras are exact.
    """
    least = max(SLIGHT / shapes.size, FAR_MORE * float(np.nanmedian(growths)))
    found = np.flatnonzero(growths > least).tolist()
    if found:
        most = float(np.nanmax(growths)) * shapes.size / float(np.median(shapes.scale))
        yield about(
            "odd-views",
            "note",
            views,
            found,
            f"masks and cameras agree well, but for a few views by {most:.2g} pixels less",
            "see that no number of their poses was changed, and that their masks are whole",
        )


def few_bad_views(shapes: Silhouettes, views: Views, odd: float, typical: float) -> list[Finding]:
    """What is wrong with a few views that spoil the others; nothing if it is more than a few."""
    lenient = shapes._replace(overruled=LENIENT)
    found = scores(lenient, views)
    if found is None or np.nanmedian(found) > NOISE:
        return []
    if np.nanmax(found) > odd:
        return list(odd_views(lenient, views, found, odd))
    if typical <= PARTS:
        return []
    # The rim of a mask that has lost parts is in all others: nothing of its own stands out.
    return [
        Finding(
            "odd-views",
            "warning",
            f"a few masks leave out parts of the object that the others show: where up to"
            f" {LENIENT:.0%} of the views are overruled, masks and cameras agree",
            "look for masks that have lost parts (dark ones, thin ones, what is in shadow), and"
            " make them anew",
        )
    ]


def about(
    code: str,
    level: Literal["error", "warning", "note"],
    views: Views,
    which: list[int],
    what: str,
    remedy: str,
) -> Finding:
    """A finding that names the views it is about."""
    found = tuple(views.names[i] for i in sorted(which))
    told = f"{what}: {names(found)} ({len(found)} of {len(views.names)} views)"
    return Finding(code, level, told, remedy, found)


def _exchange(shapes: Silhouettes, views: Views, view: int, score: float) -> int | None:
    """The view that has this view's pose, if exchanging the two mends both."""
    best, least = None, EXPLAINED * score
    for other in range(len(views.names)):
        if other == view:
            continue
        order = np.arange(len(views.names))
        order[[view, other]] = other, view
        cameras = Cameras(views.intrinsics[order], views.world_from_camera[order])
        pair = growth(shapes, cameras, span(views), only=(view, other))[[view, other]]
        if np.nanmax(pair) < least:
            best, least = other, float(np.nanmax(pair))
    return best


def _shift_of(shapes: Silhouettes, views: Views, view: int, score: float) -> bool:
    """Whether one mask agrees with the others when it is displaced."""
    cameras, around = Cameras(views.intrinsics, views.world_from_camera), span(views)

    def score_of(shift: np.ndarray) -> float:
        return float(growth(shifted(shapes, shift, only=view), cameras, around, only=(view,))[view])

    _, best = best_shift(score_of, score, shapes.size)
    return bool(best < EXPLAINED * score)
