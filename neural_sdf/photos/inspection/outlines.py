"""Masks that say nothing, or show the other side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool

from neural_sdf.photos.files.findings import Finding, names

MOST = 0.8  # share of the masks
AROUND = 0.8  # share of the border, beyond which a mask is no outline
WAYS_OUT = (
    "make masks: python scripts/convert_scene.py --masks=background (before a plain background) or"
    " --masks=hull"
)
BORDER = 0.5  # share of a photo's border that only an inverted mask covers


def said_nothing(
    masks: Sequence[Bool[np.ndarray, "_h _w"]], view_names: Sequence[str]
) -> Iterator[Finding]:
    """Masks that are all of one value."""
    shares = np.array([mask.mean() for mask in masks])
    if not shares.any():
        yield Finding(
            "empty-masks",
            "error",
            f"all {len(masks)} masks are empty, expected the object above half brightness (grey"
            " value above 127, or alpha)",
            "make the masks anew, or say what they show by <mask_shows>",
        )
        return
    for word, share in (("empty", 0), ("full", 1)):
        found = [name for name, s in zip(view_names, shares, strict=True) if s == share]
        are_most = len(found) > MOST * len(masks)
        if found:
            yield Finding(
                f"{word}-masks",
                "error" if are_most else "warning",
                f"{len(found)} of {len(masks)} masks are all {word}: {names(found)}, expected the"
                " outline of the object",
                WAYS_OUT if are_most else "make them anew, or delete these views",
                tuple(found),
            )


def boundless(masks: Sequence[Bool[np.ndarray, "_h _w"]]) -> Iterator[Finding]:
    """Masks that reach all round the photos, most of them: they show what to ignore in a room."""
    around = [border_share(mask) > AROUND for mask in masks]
    if masks and np.mean(around) > MOST:
        yield Finding(
            "boundless-masks",
            "error",
            f"{sum(around)} of {len(masks)} masks reach all round their photos, expected the"
            " outline of the object in each, and not what is to be ignored in the photos",
            WAYS_OUT,
        )


def inverted_masks(masks: Sequence[Bool[np.ndarray, "_h _w"]]) -> list[int]:
    """Masks that cover the photo's border where most others do not, and whose inverse does not."""
    shares = np.array([border_share(mask) for mask in masks])
    if np.median(shares) > BORDER / 2:
        return []
    means = np.array([mask.mean() for mask in masks])
    return np.flatnonzero((shares > BORDER) & (means > BORDER) & (means < 1)).tolist()


def border_share(mask: Bool[np.ndarray, "h w"]) -> float:
    """Share of the photo's outermost pixels that are on the mask."""
    return float(np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).mean())
