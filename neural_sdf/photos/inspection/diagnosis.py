"""Why masks and cameras disagree: the same files read in another way, until they agree.

`outlines.growth` says whether they agree. Where they do not, every usual mistake is undone in
turn (axes turned, focal lengths exchanged, poses inverted, photos in another order, masks inverted
or shifted), and the reading that agrees is the diagnosis. A disagreement that no reading explains
is noise of the poses, or worse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from jaxtyping import Float

from neural_sdf.photos.files.findings import DataError, Finding, names
from neural_sdf.photos.inspection.outlines import inverted_masks, said_nothing
from neural_sdf.photos.inspection.readings import Views, readings
from neural_sdf.photos.outlines.growth import (
    LENIENT,
    Cameras,
    Silhouettes,
    Span,
    growth,
    shifted,
    silhouettes,
)
from neural_sdf.photos.outlines.hull import viewed_place

FEWEST_VIEWS = 4  # that can be compared
NOISE = 0.003  # typical growth, as share of the object's size, that good sets stay far below
DISAGREE = 0.06  # typical growth at which nothing can be learned
RANDOM = 0.5  # of the growth in a random order, at which the given order means nothing
ODD = 0.008  # growth of a single view that stands out
STANDS_OUT = 4.0  # growth of a single view over the typical, where the typical is not small
SHARP = 0.8  # pixels of small masks below which nothing is told
EXPLAINED = 1 / 3  # of the growth that may remain under the right reading
SAMPLE = 16  # views by which readings are compared
REACH = 0.7  # of the cameras' distance: where the object is looked for
SHIFTS = np.array([(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)])
FIRST_SHIFT, LAST_SHIFT = 0.08, 0.01  # of the object's size: steps of the search for a shift


def diagnose(views: Views) -> Iterator[Finding]:
    """What is wrong with masks, and with masks against cameras; nothing without masks."""
    if not views.masks:
        return
    yield from said_nothing(views.masks, views.names)
    inverted = inverted_masks(views.masks)
    if inverted:
        yield _about(
            "inverted-masks",
            "error",
            views,
            inverted,
            "masks are bright around the object, expected bright on it as in the others",
            "invert these masks",
        )
        return
    used = np.array([i for i, mask in enumerate(views.masks) if mask.any() and not mask.all()])
    if len(used) >= FEWEST_VIEWS:
        yield from _compare(_part(views, used))


def _compare(views: Views) -> Iterator[Finding]:
    """Why masks and cameras disagree; nothing if they agree or cannot be compared."""
    shapes = silhouettes(views.masks)
    scores = _scores(shapes, views)
    if scores is None:
        yield from _explained(views, 1.0)
        return
    typical, worst = float(np.nanmedian(scores)), float(np.nanmax(scores))
    odd = max(ODD, SHARP / shapes.size)
    noise = max(NOISE, 0.1 * odd)
    if typical <= noise and worst <= odd:
        return
    explained = list(_explained(views, float(np.nanmean(scores))))
    if typical > noise and not explained:
        explained = list(_common_shift(views, typical))
    if explained:
        yield from explained
    elif typical < odd and worst > STANDS_OUT * typical:
        yield from _odd_views(shapes, views, scores, max(odd, STANDS_OUT * typical))
    else:
        yield from _few_bad_views(shapes, views, odd) or [_unexplained(shapes, views, typical)]


def _explained(views: Views, disagreement: float) -> Iterator[Finding]:
    """The reading under which masks and cameras agree, if there is one."""
    sample = _sample(views)
    best = min(readings(views), key=lambda r: _disagreement(_part(r.apply(views), sample)))
    remaining = _disagreement(best.apply(views))
    if remaining < EXPLAINED * disagreement and remaining < DISAGREE / 2:
        yield Finding(best.code, "error", best.message, best.remedy)


def _common_shift(views: Views, typical: float) -> Iterator[Finding]:
    """Masks that are all displaced by the same pixels, by a pattern search for the shift."""
    views = _part(views, _sample(views))
    shapes = silhouettes(views.masks)

    def score(shift: np.ndarray) -> float:
        scores = _scores(shifted(shapes, shift), views)
        return 1.0 if scores is None else float(np.nanmedian(scores))

    shift, best = _best_shift(score, typical, shapes.size)
    if best > EXPLAINED * typical or best > NOISE:
        return
    x, y = shift / np.median(shapes.scale)
    yield Finding(
        "misaligned-masks",
        "error",
        f"all masks are displaced against the cameras: moved by {x:.3g} columns to the right"
        f" and {y:.3g} rows down, they agree",
        "make masks of the photos as they are, or mend the principal point of the cameras",
    )


def _best_shift(
    score: Callable[[np.ndarray], float], unmoved: float, size: float
) -> tuple[np.ndarray, float]:
    """The displacement with the least score, by pattern search from none, and that score."""
    shift, step, best = np.zeros(2), FIRST_SHIFT * size, unmoved
    while step > LAST_SHIFT * size:
        scores = [score(shift + step * move) for move in SHIFTS]
        least = int(np.argmin(scores))
        if scores[least] < best and SHIFTS[least].any():
            shift, best = shift + step * SHIFTS[least], scores[least]
        else:
            step /= 2
    return shift, best


def _odd_views(
    shapes: Silhouettes, views: Views, scores: np.ndarray, odd: float
) -> Iterator[Finding]:
    """Few views that disagree with the many: exchanged, displaced, or with a wrong pose."""
    left = [int(i) for i in np.argsort(-np.nan_to_num(scores)) if scores[i] > odd]
    pixels = shapes.size / float(np.median(shapes.scale))
    swapped, moved, wrong = [], [], []
    while left:
        view = left.pop(0)
        partner = _exchange(shapes, views, view, scores[view])
        if partner is not None:
            swapped += [view, partner]
            left = [i for i in left if i != partner]
        elif _shift_of(shapes, views, view, scores[view]):
            moved.append(view)
        else:
            wrong.append(view)
    if swapped:
        yield _about(
            "wrong-order",
            "error",
            views,
            swapped,
            "photos have each other's poses: exchanged, they agree with the other views",
            "give each photo its own pose",
        )
    if moved:
        yield _about(
            "misaligned-masks",
            "warning",
            views,
            moved,
            "masks do not lie where the other views have the object: displaced, they agree",
            "make these masks anew, or mend these poses",
        )
    if wrong:
        worst = float(np.nanmax(scores[wrong])) * pixels
        yield _about(
            "pose-noise",
            "warning",
            views,
            wrong,
            f"masks and poses disagree with those of the other views by up to {worst:.3g} pixels",
            "mend the poses or the masks of these views, or delete them",
        )


def _few_bad_views(shapes: Silhouettes, views: Views, odd: float) -> list[Finding]:
    """What is wrong with a few views that spoil the others; nothing if it is more than a few."""
    lenient = shapes._replace(overruled=LENIENT)
    scores = _scores(lenient, views)
    if scores is None or np.nanmedian(scores) > NOISE or np.nanmax(scores) <= odd:
        return []
    return list(_odd_views(lenient, views, scores, odd))


def _exchange(shapes: Silhouettes, views: Views, view: int, score: float) -> int | None:
    """The view that has this view's pose, if exchanging the two mends both."""
    best, least = None, EXPLAINED * score
    for other in range(len(views.names)):
        if other == view:
            continue
        order = np.arange(len(views.names))
        order[[view, other]] = other, view
        cameras = Cameras(views.intrinsics[order], views.world_from_camera[order])
        pair = growth(shapes, cameras, _span(views), only=(view, other))[[view, other]]
        if np.nanmax(pair) < least:
            best, least = other, float(np.nanmax(pair))
    return best


def _shift_of(shapes: Silhouettes, views: Views, view: int, score: float) -> bool:
    """Whether one mask agrees with the others when it is displaced."""
    cameras, span = Cameras(views.intrinsics, views.world_from_camera), _span(views)

    def score_of(shift: np.ndarray) -> float:
        return float(growth(shifted(shapes, shift, only=view), cameras, span, only=(view,))[view])

    _, best = _best_shift(score_of, score, shapes.size)
    return bool(best < EXPLAINED * score)


def _unexplained(shapes: Silhouettes, views: Views, typical: float) -> Finding:
    """Noise of the poses, or worse: no less disagreement than in a random order."""
    pixels = typical * shapes.size / float(np.median(shapes.scale))
    order = np.random.default_rng(0).permutation(len(views.names))
    shuffled = views._replace(world_from_camera=views.world_from_camera[order])
    if typical > DISAGREE or typical > RANDOM * _disagreement(shuffled):
        return Finding(
            "masks-disagree",
            "error",
            f"masks and cameras disagree: masks would have to grow by {pixels:.3g} pixels"
            f" ({typical:.1%} of the object) for one object to be in all of them",
            "see that each photo has its own mask and pose, and that the poses are right",
        )
    return Finding(
        "pose-noise",
        "warning",
        f"the poses are noisy: masks would have to grow by {pixels:.3g} pixels ({typical:.1%} of"
        " the object) for one object to be in all of them",
        "estimate the poses anew; a surface of these will be blurred or eaten away",
    )


def _about(
    code: str,
    level: Literal["error", "warning"],
    views: Views,
    which: list[int],
    what: str,
    remedy: str,
) -> Finding:
    found = tuple(views.names[i] for i in sorted(which))
    told = f"{what}: {names(found)} ({len(found)} of {len(views.names)} views)"
    return Finding(code, level, told, remedy, found)


def _disagreement(views: Views) -> float:
    """Mean growth over the views; 1 if the cameras do not look at one place."""
    scores = _scores(silhouettes(views.masks), views)
    return 1.0 if scores is None else float(np.nanmean(scores))


def _scores(shapes: Silhouettes, views: Views) -> Float[np.ndarray, " V"] | None:
    """Growth of each view; None if the cameras do not look at one place."""
    try:
        span = _span(views)
    except DataError:
        return None
    return growth(shapes, Cameras(views.intrinsics, views.world_from_camera), span)


def _span(views: Views) -> Span:
    middle, distance = viewed_place(views.world_from_camera)
    return Span(middle, REACH * distance)


def _sample(views: Views) -> np.ndarray:
    """Some of the views, evenly chosen."""
    return np.unique(np.linspace(0, len(views.names) - 1, SAMPLE).round().astype(int))


def _part(views: Views, which: np.ndarray) -> Views:
    return Views(
        tuple(views.names[i] for i in which),
        views.indices[which],
        [views.masks[i] for i in which],
        views.intrinsics[which],
        views.world_from_camera[which],
    )
