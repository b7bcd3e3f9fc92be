"""Why masks and cameras disagree: the same files read in another way, until they agree.

`outlines.growth` says whether they agree. Where they do not, every usual mistake is undone in
turn (axes turned, focal lengths exchanged or of another side, poses inverted, photos in another
order or out of step, masks inverted, shifted or those of another photo), and the reading that
agrees is the diagnosis. Of a disagreement that no reading explains, masks may be the cause as well
as poses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from neural_sdf.photos.files.findings import Finding
from neural_sdf.photos.inspection.comparison import (
    EXPLAINED,
    NOISE,
    disagreement,
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
    FOCAL,
    Reading,
    Views,
    is_tiny,
    other_units,
    readings,
)
from neural_sdf.photos.inspection.searches import (
    common_factor,
    common_shift,
    left_out,
    out_of_step,
    shared_masks,
    wrong_factor,
)
from neural_sdf.photos.outlines.growth import Silhouettes, silhouettes

FEWEST_VIEWS = 4  # that can be compared
DISAGREE = 0.06  # typical growth at which nothing can be learned
RANDOM = 0.5  # of the growth in a random order, at which the given order means nothing
ODD = 0.008  # growth of a single view that stands out
STANDS_OUT = 4.0  # growth of a single view over the typical, where the typical is not small
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
        yield from _explained(views, 1.0, readings)
        return
    typical, worst = float(np.nanmedian(growths)), float(np.nanmax(growths))
    odd = max(ODD, SHARP / shapes.size)
    noise = max(NOISE, 0.1 * odd)
    if typical <= noise and worst <= odd:
        yield from slightly_odd_views(shapes, views, growths)
        return
    mean = float(np.nanmean(growths))
    if is_tiny(views):  # all rays of a view are nearly one, and other readings agree by chance
        yield from list(_explained(views, mean, other_units)) or [
            left_out(views, MASKS_AND_CAMERAS)
        ]
        return
    explained = list(shared_masks(views, mean)) or list(_explained(views, mean, readings))
    if typical > noise and not explained:
        explained = list(_factor(views)) or list(common_shift(views, typical))
    explained = explained or list(out_of_step(views))
    if explained:
        yield from explained
    elif typical < odd and worst > STANDS_OUT * typical:
        yield from odd_views(shapes, views, growths, max(odd, STANDS_OUT * typical))
    else:
        few = few_bad_views(shapes, views, odd, typical)
        yield from few or [_unexplained(shapes, views, typical)]


def _explained(
    views: Views, unread: float, ways: Callable[[Views], Iterator[Reading]]
) -> Iterator[Finding]:
    """The reading under which masks and cameras agree, if there is one."""
    few = sample(views)
    best = min(ways(views), key=lambda r: disagreement(part(r.apply(views), few)))
    remaining = disagreement(best.apply(views))
    if best.code == FOCAL and remaining > NOISE:
        nearer = list(_factor(views))  # than the ratio of the sides, which may be by chance
        if nearer:
            yield from nearer
            return
    if remaining < EXPLAINED * unread and remaining < DISAGREE / 2:
        yield Finding(best.code, "error", best.message, best.remedy)


def _factor(views: Views) -> Iterator[Finding]:
    """Focal lengths that are all too short or too long, where they alone explain it."""
    few = part(views, sample(views))
    factor, remaining = common_factor(disagreement, few)
    if remaining < EXPLAINED * disagreement(few) and remaining < NOISE:
        yield wrong_factor(factor, MASKS_AND_CAMERAS)


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
            "see that each mask is the whole object's outline in its own photo and nothing more;"
            " if so, that each photo has its own pose, and that the poses are right",
        )
    return Finding(
        "pose-noise",
        "warning",
        f"masks or poses are noisy: {grown}, and no usual mistake in axes, order, focal lengths or"
        " principal points explains it",
        "see that masks end where the object does; if so, estimate the poses anew; a surface of"
        " these will be blurred or eaten away",
    )
