"""Why masks and cameras disagree: the same files read in another way, until they agree.

`outlines.growth` says whether they agree. Where they do not, every usual mistake is undone in
turn (axes or photos turned, focal lengths exchanged or of another side, photos resized or cut,
poses inverted, photos in another order or out of step, masks inverted, shifted or those of another
photo), and the reading under which least disagreement remains is the diagnosis. Of a disagreement
that no reading explains, masks may be the cause as well as poses.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float

from neural_sdf.photos.files.findings import Finding
from neural_sdf.photos.inspection.choice import least, told
from neural_sdf.photos.inspection.comparison import (
    EXPLAINED,
    NOISE,
    disagreement,
    disagreement_of,
    part,
    sample,
    scores,
)
from neural_sdf.photos.inspection.odd_views import (
    about,
    few_bad_views,
    odd_views,
    slightly_odd_views,
)
from neural_sdf.photos.inspection.outlines import inverted_masks, said_nothing
from neural_sdf.photos.inspection.readings import (
    Reading,
    Views,
    is_tiny,
    other_sides,
    other_units,
    readings,
)
from neural_sdf.photos.inspection.resized import cut, made_larger
from neural_sdf.photos.inspection.searches import (
    common_factor,
    common_shift,
    left_out,
    out_of_step,
    shared_masks,
)
from neural_sdf.photos.outlines.growth import Silhouettes, silhouettes

FEWEST_VIEWS = 4  # that can be compared
FINE = 6e-4  # typical growth of good masks and cameras; above, what explains it is told
DISAGREE = 0.06  # typical growth at which nothing can be learned
RANDOM = 0.5  # of the growth in a random order, at which the given order means nothing
ODD = 0.008  # growth of a single view that stands out
STANDS_OUT = 4.0  # growth of a single view over the typical, where the typical is not small
SLACK = 1e-4  # growth by which two readings may differ and yet agree equally well
SHARP = 0.8  # pixels of small masks below which nothing is told
MASKS_AND_CAMERAS = "masks and cameras"


def diagnose(views: Views) -> Iterator[Finding]:
    """What is wrong with masks, and with masks against cameras; nothing without masks."""
    if not views.masks:
        return
    yield from said_nothing(views.masks, views.names)
    inverted = inverted_masks(views.masks)
    if inverted and _agree_turned(views, inverted):
        yield about(
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
        yield from _compare(part(views, used))


def _agree_turned(views: Views, which: list[int]) -> bool:
    """Whether these masks inverted agree no worse: large in the photo, an object is so as well."""
    turned = [~mask if i in which else mask for i, mask in enumerate(views.masks)]
    given, other = (
        scores(silhouettes(masks)._replace(overruled=0.0), views) for masks in (views.masks, turned)
    )
    return given is None or other is None or bool(np.nanmean(other) <= np.nanmean(given))


def _compare(views: Views) -> Iterator[Finding]:
    """Why masks and cameras disagree; nothing if they agree or cannot be compared."""
    shapes = silhouettes(views.masks)
    growths = scores(shapes, views)
    if growths is None:
        yield from _explained(views, np.ones(len(views.names)), _usual)
        return
    typical, worst = float(np.nanmedian(growths)), float(np.nanmax(growths))
    odd = max(ODD, SHARP / shapes.size)
    noise = max(NOISE, 0.1 * odd)
    if typical <= noise and worst <= odd:
        slight = list(_explained(views, growths, _slight)) if typical > FINE else []
        if slight:
            yield from (finding._replace(level="warning") for finding in slight)
        else:
            yield from slightly_odd_views(shapes, views, growths)
        return
    mean = float(np.nanmean(growths))
    if is_tiny(views):  # all rays of a view are nearly one, and other readings agree by chance
        yield from list(_explained(views, growths, _in_units)) or [
            left_out(views, MASKS_AND_CAMERAS)
        ]
        return
    ways = _usual if typical > FINE else _without_search
    explained = list(shared_masks(views, mean)) or list(_explained(views, growths, ways))
    explained = explained or list(out_of_step(views))
    if explained:
        yield from explained
    elif typical < odd and worst > STANDS_OUT * typical:
        yield from odd_views(shapes, views, growths, max(odd, STANDS_OUT * typical))
    else:
        few = few_bad_views(shapes, views, odd, typical)
        yield from few or [_unexplained(shapes, views, typical)]


def _without_search(views: Views) -> Iterator[Iterator[Reading]]:
    yield readings(views)
    yield other_sides(views)


def _usual(views: Views) -> Iterator[Iterator[Reading]]:
    """Every usual mistake undone, those with a number that is searched for too."""
    few = part(views, sample(views))
    score = disagreement_of(few.masks)
    yield itertools.chain(made_larger(score, few), cut(score, few), readings(views))
    yield itertools.chain(other_sides(views), common_factor(score, few))
    yield common_shift(score, few)


def _slight(views: Views) -> Iterator[Iterator[Reading]]:
    """What outlines hardly show, however wrong the shape that is made of them."""
    few = part(views, sample(views))
    score = disagreement_of(few.masks)
    yield itertools.chain(cut(score, few), common_factor(score, few))


def _in_units(views: Views) -> Iterator[Iterator[Reading]]:
    yield other_units(views)


def _explained(
    views: Views,
    unread: Float[np.ndarray, " V"],
    ways: Callable[[Views], Iterator[Iterator[Reading]]],
) -> Iterator[Finding]:
    """The readings under which masks and cameras agree, if there are such."""
    few = sample(views)
    found = least(ways(views), views, lambda r: disagreement(part(r.apply(views), few)), SLACK)
    agreeing = [reading for reading in found if _agrees(reading, views, unread)]
    if agreeing:
        yield told(agreeing, MASKS_AND_CAMERAS)


def _agrees(reading: Reading, views: Views, unread: Float[np.ndarray, " V"]) -> bool:
    """Whether a reading explains the growth as it was; one with a number of its own, to noise."""
    read = reading.apply(views)
    growths = scores(silhouettes(read.masks), read)
    if growths is None:
        return False
    average, most = (np.nanmedian, NOISE) if reading.is_fitted else (np.nanmean, DISAGREE / 2)
    return bool(average(growths) < min(EXPLAINED * average(unread), most))


def _unexplained(shapes: Silhouettes, views: Views, typical: float) -> Finding:
    """Noise, or worse: no less disagreement than in a random order."""
    pixels = typical * shapes.size / float(np.median(shapes.scale))
    grown = (
        f"masks would have to grow by {pixels:.3g} pixels ({typical:.1%} of the object) for one"
        " object to be in all of them"
    )
    order = np.random.default_rng(0).permutation(len(views.names))
    shuffled = views._replace(world_from_camera=views.world_from_camera[order])
    if typical > DISAGREE or typical > RANDOM * disagreement(shuffled):
        return Finding(
            "masks-disagree",
            "error",
            f"{MASKS_AND_CAMERAS} disagree: {grown}, and no usual mistake in axes, order, focal"
            " lengths or principal points explains it",
            "see that each mask is that of its own photo, and there the whole object's outline and"
            " nothing more; if so, that each photo has its own pose, and that the poses are right",
        )
    return Finding(
        "pose-noise",
        "warning",
        f"masks or poses are noisy: {grown}, and no usual mistake in axes, order, focal lengths or"
        " principal points explains it",
        "see that masks end where the object does; if so, estimate the poses anew; a surface of"
        " these will be blurred or eaten away",
    )
