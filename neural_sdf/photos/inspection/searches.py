"""What explains a disagreement by a number that is not known beforehand, found by search.

A shift of all masks, a common factor of the focal lengths, the view from which photos and poses are
out of step, or the photos that were given another's mask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float64, Int

from neural_sdf.photos.files.findings import Finding, names
from neural_sdf.photos.inspection.comparison import (
    EXPLAINED,
    disagreement,
    part,
    sample,
    scores,
    span,
)
from neural_sdf.photos.inspection.readings import FOCAL, Reading, Views, is_tiny, zoomed
from neural_sdf.photos.outlines.growth import LENIENT, Cameras, growth, silhouettes

MOVES = np.array([(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)])
FIRST_SHIFT, LAST_SHIFT = 0.08, 0.01  # of the object's size: steps of the search for a shift
FIRST_FACTOR, LAST_FACTOR = np.log([1.5, 1.02])  # steps of the search for a factor
LEAST_FACTOR = np.log(1.05)  # nearer to none, it is not told
FEWEST_MOVED = 3  # views out of step; of fewer each is told by itself


def common_shift(score: Callable[[Views], float], views: Views) -> Iterator[Reading]:
    """Masks that are all displaced by the same pixels, which are those of the photos."""
    size = float(np.median([np.sqrt(mask.sum()) for mask in views.masks]))

    def moved(views: Views, shift: Float64[np.ndarray, "2"]) -> Views:
        """With the masks moved by the shift, that is with the principal points moved against it."""
        intrinsics = views.intrinsics.copy()
        intrinsics[:, :2, 2] -= shift
        return views._replace(intrinsics=intrinsics)

    shift, _ = best_shift(lambda shift: score(moved(views, shift)), score(views), size)
    if shift.any():
        x, y = shift
        yield Reading(
            "misaligned-masks",
            f"all masks are displaced against the cameras: moved by {x:.3g} columns to the right"
            f" and {y:.3g} rows down, masks and cameras agree",
            "make masks of the photos as they are, or mend the principal point of the cameras",
            lambda v: moved(v, shift),
            is_fitted=True,
        )


def best_shift(
    score: Callable[[np.ndarray], float], unmoved: float, size: float
) -> tuple[Float64[np.ndarray, "2"], float]:
    """The displacement with the least score, by pattern search from none, and that score."""
    return pattern_search(score, unmoved, MOVES, (FIRST_SHIFT * size, LAST_SHIFT * size))


def common_factor(score: Callable[[Views], float], views: Views) -> Iterator[Reading]:
    """Focal lengths that are all too short or too long by one factor.

    Outlines and epipolar lines alike tell it to within some hundredths.
    """

    def of(log: np.ndarray) -> float:
        other = zoomed(views, float(np.exp(log[0])))
        return np.inf if is_tiny(other) else score(other)  # there, anything agrees

    steps = FIRST_FACTOR, LAST_FACTOR
    (log,), _ = pattern_search(of, score(views), np.array([[-1], [1]]), steps)
    if abs(log) > LEAST_FACTOR:
        factor = float(np.exp(log))
        yield Reading(
            FOCAL,
            f"the focal lengths are too {'short' if factor > 1 else 'long'}: multiplied by about"
            f" {factor:.3g}, masks and cameras agree",
            "see that they are in pixels of these photos, and not of photos of another size or of"
            " an angle along another side; else calibrate the camera anew",
            lambda v: zoomed(v, factor),
            is_fitted=True,
        )


def left_out(views: Views, compared: str) -> Finding:
    """What focal lengths far too short mean, where no other unit explains them."""
    focal, side = np.median(views.intrinsics[:, 0, 0]), np.median(views.sizes.max(axis=1))
    return Finding(
        FOCAL,
        "error",
        f"the focal lengths are {focal:.3g} pixels in photos of {side:.0f}, expected about as many;"
        f" the intrinsics seem to be left out, and {compared} disagree",
        "write the intrinsics in pixels into the camera file",
    )


def out_of_step(views: Views) -> Iterator[Finding]:
    """Photos that from some view on have the pose of a neighbour: one photo or pose too many."""
    files = np.argsort(views.indices)
    few = np.unique(np.linspace(0, len(files) - 1, len(sample(views))).round().astype(int))
    shapes = silhouettes(part(views, files[few]).masks)._replace(overruled=LENIENT)

    def mean(these: Views) -> float:
        found = scores(shapes, part(these, files[few]))
        return 1.0 if found is None else float(np.nanmean(found))

    unmoved = mean(views)
    best, at, step = EXPLAINED * unmoved, 0, 0
    for i in range(1, len(few)):
        for move in (1, -1):
            remaining = mean(_moved(views, files, int(few[i]), move))
            if remaining <= best:
                best, at, step = remaining, i, move
    if not step:
        return
    # Between two of the sampled views: that one at which all those between agree.
    between = range(int(few[at]), int(few[at - 1]), -1)
    first = min(between, key=lambda k: _growth_of(views, files, (k, step), between))
    if len(files) - first < FEWEST_MOVED:
        return
    yield Finding(
        "wrong-order",
        "error",
        f"masks and poses are out of step from view {views.names[files[first]]} on: with the"
        f" {'next' if step > 0 else 'previous'} view's pose for each from there, masks and cameras"
        " agree",
        "see that each mask from there on is that of its own photo; if so, look there, and just"
        " before, for a photo or a pose that is missing or one too many",
    )


def shared_masks(views: Views, typical: float) -> Iterator[Finding]:
    """Photos with the very mask of another, without which masks and cameras agree."""
    files = np.argsort(views.indices)
    contents = [(views.masks[i].shape, np.packbits(views.masks[i]).tobytes()) for i in files]
    sharing = [int(i) for i, c in zip(files, contents, strict=True) if contents.count(c) > 1]
    if not sharing:
        return
    for order in (1, -1):  # the mask may be that of the first or of the last
        kept = dict(zip(contents[::order], files[::order], strict=True))
        rest = np.sort(np.array(list(kept.values())))
        if len(rest) >= FEWEST_MOVED and disagreement(part(views, rest)) < EXPLAINED * typical:
            shared = tuple(views.names[i] for i in sharing)
            yield Finding(
                "shared-masks",
                "error",
                f"{len(sharing)} of {len(views.names)} views have the very mask of another view:"
                f" {names(shared)}; with one view of each mask, masks and cameras agree",
                "give each photo its own mask",
                shared,
            )
            return


def pattern_search(
    score: Callable[[np.ndarray], float],
    unmoved: float,
    moves: Int[np.ndarray, "m n"],
    steps: tuple[float, float],
) -> tuple[Float64[np.ndarray, " n"], float]:
    """Where the score is least, from zero, with steps from the first halved down to the last."""
    place, best, (step, last) = np.zeros(moves.shape[1]), unmoved, steps
    while step > last and best > 0:
        tried = [score(place + step * move) for move in moves]
        least = int(np.argmin(tried))
        if tried[least] < best:
            place, best = place + step * moves[least], tried[least]
        else:
            step /= 2
    return place, best


def _moved(views: Views, files: np.ndarray, first: int, step: int) -> Views:
    """From a place in file order on, each view with the camera of its neighbour."""
    order = np.arange(len(files))
    source = np.clip(np.arange(first, len(files)) + step, 0, len(files) - 1)
    order[files[first:]] = files[source]
    return views._replace(
        intrinsics=views.intrinsics[order], world_from_camera=views.world_from_camera[order]
    )


def _growth_of(
    views: Views, files: np.ndarray, cut: tuple[int, int], between: Sequence[int]
) -> float:
    """Mean growth of the views between two of the sample, out of step as the cut says."""
    moved = _moved(views, files, *cut)
    few = np.unique(np.concatenate([sample(views), between]))
    chosen = part(moved, files[few])
    shapes = silhouettes(chosen.masks)._replace(overruled=LENIENT)
    cameras = Cameras(chosen.intrinsics, chosen.world_from_camera)
    only = np.flatnonzero(np.isin(few, between)).tolist()
    return float(np.nanmean(growth(shapes, cameras, span(chosen), only=only)))
