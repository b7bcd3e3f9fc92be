"""Whether masks that were made can be trusted, by what they say of photos and of each other.

Where masks show one object of its own colours, the colours inside and beside them differ, the hull
of all of them fills each, and most photos show the object whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from neural_sdf.masking.colours import colour_ratios, object_evidence
from neural_sdf.mistake import Mistake
from neural_sdf.photos.inspection.outlines import border_share
from neural_sdf.photos.outlines.cells import Views, carve_cells, distance_from, least_dissent

BESIDE = 0.3  # of the object's size: how far from masks the colours beside them are looked at
BLUR = 1.0  # of the evidence, pixels
OVERRULED = 0.1  # share of the photos that may contradict the hull by which masks are judged
TOUCH = 0.02  # share of a photo's border on the mask from which on the object is cut off
# Between the sets that went well (at least, at least, at most) and those that did not.
CONTRAST = 1.6  # good sets 1.8 to 2.9, bad ones 0.8 and 1.1
AGREEMENT = 0.9  # good sets 0.93 to 0.97, a bad one 0.86
CUT_OFF = 0.6  # good sets 0 to 0.1, bad ones 0.8


class Score(NamedTuple):
    """How good masks are.

    Attributes:
        contrast: mean log-ratio of colours inside masks, or its negative beside them if that is
            less; at most 3.
        agreement: mean intersection over union of each mask with the hull of all.
        cut_off: share of the photos whose border goes through the object.
    """

    contrast: float
    agreement: float
    cut_off: float


def score(views: Views, masks: Sequence[Bool[np.ndarray, "_h _w"]]) -> Score:
    """The score of masks of small photos; blank ones say nothing.

    Raises:
        Mistake: if the masks have no hull.
    """
    used = [i for i, mask in enumerate(masks) if mask.any() and not mask.all()]
    photos, shapes = [views.photos[i] for i in used], [masks[i] for i in used]
    views = Views(photos, views.intrinsics[used], views.world_from_camera[used])
    if not used:
        return Score(0.0, 0.0, 1.0)
    cells, dissent = carve_cells(views, shapes)
    hulls = [image <= OVERRULED for image in least_dissent(views, cells, dissent)]
    shares = [(m & h).sum() / (m | h).sum() for m, h in zip(shapes, hulls, strict=True)]
    cut_off = np.mean([border_share(mask) > TOUCH for mask in shapes])
    return Score(_contrast(photos, shapes), float(np.mean(shares)), float(cut_off))


def require_sound(made: Score, way: str, *, whole: bool) -> None:
    """Stops at masks that cannot be trusted.

    Args:
        made: their score.
        way: how they were made, a value of <masks>.
        whole: whether most photos should show the object whole, as nobody said where it is.

    Raises:
        Mistake: if so; says why, and what else gives masks.
    """
    if made.contrast < CONTRAST:
        fault = (
            "inside and beside them are nearly the same colours (mean log-ratio"
            f" {made.contrast:.2f}, expected {CONTRAST} or more)"
        )
    elif made.agreement < AGREEMENT:
        fault = (
            "they are not of one object, or the cameras are wrong: they overlap by"
            f" {made.agreement:.2f} with the hull of all of them, expected {AGREEMENT} or more"
        )
    elif whole and made.cut_off > CUT_OFF:
        fault = (
            f"they reach the border of {made.cut_off:.0%} of the photos, expected the object whole"
            f" in most (in {1 - CUT_OFF:.0%} or more); where it is may be said in a region.json"
        )
    else:
        return
    other = "hull" if way == "background" else "background"
    raise Mistake(
        f"the masks made by {way} cannot be trusted: {fault}; make masks elsewhere and give their"
        f" folder, or set <masks>={other}"
        + " if the photos have a plain background"
        * (other == "background")
    )


def _contrast(
    photos: Sequence[UInt8[np.ndarray, "_h _w 3"]], masks: Sequence[Bool[np.ndarray, "_h _w"]]
) -> float:
    """How much likelier colours are on their own side of the masks than on the other."""
    ratios = colour_ratios(photos, masks)
    reach = BESIDE * np.sqrt(np.median([mask.sum() for mask in masks]))
    inside, beside = [], []
    for photo, mask in zip(photos, masks, strict=True):
        evidence, near = object_evidence(photo, ratios, BLUR), distance_from(mask) <= reach
        inside.append(evidence[mask].mean())
        beside.append(-evidence[near & ~mask].mean())
    return float(min(np.mean(inside), np.mean(beside)))
