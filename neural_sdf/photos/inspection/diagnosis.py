"""Why masks and cameras disagree: the same files read in another way, until they agree.

`consistency.growth` says whether they agree. Where they do not, every usual mistake is undone in
turn (axes turned, focal lengths exchanged, poses inverted, photos in another order, masks inverted
or shifted), and the reading that agrees is the diagnosis. A disagreement that no reading explains
is noise of the poses, or worse.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from neural_sdf.photos.files.findings import DataError, Finding, names
from neural_sdf.photos.inspection.checks import said_nothing
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
BORDER = 0.5  # share of a photo's border that only an inverted mask covers
QUARTER = np.array([[0.0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
TURNED = np.array([1.0, -1.0, -1.0, 1.0])  # of a pose's columns: between OpenCV and OpenGL
SHIFTS = np.array([(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)])
FIRST_SHIFT, LAST_SHIFT = 0.08, 0.01  # of the object's size: steps of the search for a shift


class Views(NamedTuple):
    """What is compared: views with masks, in any order.

    Attributes:
        names: of the views.
        indices: positions in file order.
        masks: true on the object; none where epipolar lines are compared instead.
        intrinsics: K at the size of the masks.
        world_from_camera: rigid poses.
    """

    names: tuple[str, ...]
    indices: Int[np.ndarray, " V"]
    masks: Sequence[Bool[np.ndarray, "_h _w"]]
    intrinsics: Float64[np.ndarray, "V 3 3"]
    world_from_camera: Float64[np.ndarray, "V 4 4"]


class Reading(NamedTuple):
    """Another way to read the same files, and what it would mean.

    Attributes:
        code: of the finding.
        message: what is then wrong with the files as they are.
        remedy: how to mend it.
        apply: the views under this reading.
    """

    code: str
    message: str
    remedy: str
    apply: Callable[[Views], Views]


def diagnose(views: Views) -> Iterator[Finding]:
    """What is wrong with masks, and with masks against cameras; nothing without masks."""
    if not views.masks:
        return
    yield from said_nothing(views.masks, views.names)
    inverted = _inverted_masks(views)
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


def readings(views: Views) -> Iterator[Reading]:
    """Every usual mistake, undone."""
    yield Reading(
        "wrong-axes",
        "the poses have the axes of another convention: with the camera's y and z axes turned,"
        " masks and cameras agree",
        "write poses with OpenGL axes (y up, z backward) in transforms files, with OpenCV axes"
        " (y down, z forward) in all others",
        lambda v: v._replace(world_from_camera=v.world_from_camera * TURNED),
    )
    for turn in (QUARTER, QUARTER.T):
        yield Reading(
            "wrong-axes",
            "the poses have the axes of another convention: with the camera turned by a quarter"
            " about its optical axis, masks and cameras agree",
            "write poses_bounds.npy with the columns down, right, backwards; store photos as the"
            " camera has them, not turned",
            lambda v, turn=turn: v._replace(world_from_camera=v.world_from_camera @ turn),
        )
    for axes in (np.ones(4), TURNED):  # a file with OpenGL axes is inverted in those
        yield Reading(
            "inverted-poses",
            "the poses are inverted: read as their inverses, masks and cameras agree",
            "write camera to world in transforms files and world to camera in COLMAP and projection"
            " files",
            lambda v, axes=axes: v._replace(
                world_from_camera=np.linalg.inv(v.world_from_camera * axes) * axes
            ),
        )
        yield Reading(
            "inverted-poses",
            "the rotations are transposed: with them turned back, masks and cameras agree",
            "transpose the rotations of the poses",
            lambda v, axes=axes: v._replace(
                world_from_camera=_transposed(v.world_from_camera * axes) * axes
            ),
        )
    yield Reading(
        "swapped-focal-lengths",
        "fx and fy are exchanged: with them turned round, masks and cameras agree better",
        "exchange fx and fy in the camera file",
        lambda v: v._replace(intrinsics=_exchanged(v.intrinsics)),
    )
    if views.masks and np.median([_border_share(mask) for mask in views.masks]) > BORDER:
        yield Reading(  # a background all round agrees with nearly any cameras
            "inverted-masks",
            "all masks are bright around the object: inverted, masks and cameras agree",
            "set <mask_shows>='background' (or 'object', where it is 'background' now)",
            lambda v: v._replace(masks=[~mask for mask in v.masks]),
        )
    for order, words in _orders(views):
        yield Reading(
            "wrong-order",
            f"photos and poses are in different orders: with the poses {words}, masks and cameras"
            " agree",
            "write the poses in the order of the photos' names, or name the photos in the order of"
            " the poses",
            lambda v, order=order: v._replace(
                intrinsics=v.intrinsics[order], world_from_camera=v.world_from_camera[order]
            ),
        )


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


def _inverted_masks(views: Views) -> list[int]:
    """Masks that cover the photo's border where most others do not, and whose inverse does not."""
    shares = np.array([_border_share(mask) for mask in views.masks])
    if np.median(shares) > BORDER / 2:
        return []
    means = np.array([mask.mean() for mask in views.masks])
    return np.flatnonzero((shares > BORDER) & (means > BORDER) & (means < 1)).tolist()


def _border_share(mask: Bool[np.ndarray, "h w"]) -> float:
    return float(np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).mean())


def _about(code, level, views: Views, which: list[int], what: str, remedy: str) -> Finding:
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


def _transposed(poses: Float64[np.ndarray, "V 4 4"]) -> Float64[np.ndarray, "V 4 4"]:
    turned = poses.copy()
    turned[:, :3, :3] = poses[:, :3, :3].mT
    return turned


def _exchanged(intrinsics: Float64[np.ndarray, "V 3 3"]) -> Float64[np.ndarray, "V 3 3"]:
    swapped = intrinsics.copy()
    swapped[:, [0, 1], [0, 1]] = intrinsics[:, [1, 0], [1, 0]]
    return swapped


def _orders(views: Views) -> Iterator[tuple[np.ndarray, str]]:
    """Other orders of the poses, as positions in `views`, with words for them."""
    files = np.argsort(views.indices)  # position of each file
    rank = np.argsort(files)
    yield files[::-1][rank], "turned round"
    for step in (1, -1, 2, -2):
        yield np.roll(files, -step)[rank], f"moved by {step:+d}"
    numbers = [int((re.findall(r"\d+", views.names[i]) or ["0"])[-1]) for i in files]
    counting = np.argsort(numbers, kind="stable")
    lexical = np.argsort([str(n) for n in numbers], kind="stable")
    if (counting != lexical).any():
        by_count = np.argsort(counting)  # numbered 1, 2, ... 10 where the files go 1, 10, 2
        yield files[by_count][rank], "counted 1, 2, 10 and not 1, 10, 2"
        yield files[lexical][rank], "counted 1, 10, 2 and not 1, 2, 10"
