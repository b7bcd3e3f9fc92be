"""How a photo set is read: every key of a config's `data` but the path, documented once."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.folder import LARGEST

MASKS_SHOW = ("object", "background")
MOST = 2**16  # pixels along a side, which leave nothing if a photo is reduced by more
OF_EVERY_FORMAT = ("format", "downscale")  # what the embedded scene takes too


class Settings(NamedTuple):
    """How a photo set is read.

    Attributes:
        format: name in `FORMATS`, or "auto" to recognise the layout by its files.
        downscale: photos are reduced by this integer factor, by box average.
        cameras: name of the camera file or folder, in layouts that leave a choice; empty for the
            usual one.
        holdout_every: one view in so many is held out where the layout has no test split; 0 for
            none.
        holdout_offset: the first of them, in file order from 0.
        holdout_views: exactly these are held out instead, in file order from 0.
        centre: of the region of interest, in world units; instead of the one found.
        radius: of the region of interest, in world units; instead of the one found.
        box: the region's lower and upper corner, six world coordinates; instead of both.
        background: grey in [0, 1] that transparent photos are laid on.
        mask_shows: what is bright in mask files, "object" or "background".
        skip_missing: whether views whose files are missing are left out with one warning, and not
            counted.
    """

    format: str = "auto"
    downscale: int = 1
    cameras: str = ""
    holdout_every: int = 8
    holdout_offset: int = 4
    holdout_views: Sequence[int] = ()
    centre: Sequence[float] | None = None
    radius: float | None = None
    box: Sequence[float] | None = None
    background: float = 1.0
    mask_shows: str = "object"
    skip_missing: bool = False


def read_settings(given: Mapping[str, Any]) -> Settings:
    """Settings by name, as a config or a json file has them; lists stand for tuples.

    Raises:
        Mistake: if one is unknown or out of range.
    """
    unknown = [name for name in given if name not in Settings._fields]
    if unknown:
        raise Mistake(
            f"photo setting {unknown[0]!r} is unknown; expected some of"
            f" {['path', *Settings._fields]}; remove {unknown[0]}"
        )
    values: dict[str, Any] = {n: tuple(x) if isinstance(x, list) else x for n, x in given.items()}
    settings = Settings(**values)
    _check_numbers(settings)
    _check_ranges(settings)
    return settings


def refuse_unused(path: str | Path, settings: Settings) -> None:
    """Stops at what says nothing of the embedded scene, which is made and not read.

    Raises:
        Mistake: names every setting that is not left at its default.
    """
    given = {"path": str(path), **settings._asdict()}
    usual = {"path": "", **Settings._field_defaults}
    unused = [n for n in given if n not in OF_EVERY_FORMAT and given[n] != usual[n]]
    if unused:
        said = ", ".join(f"{name} {given[name]!r}" for name in unused)
        raise Mistake(
            f"format {settings.format!r} reads no photos, so that {said} would mean nothing;"
            f" expected the default; leave out {', '.join(f'<{name}>' for name in unused)}"
        )


def _check_numbers(settings: Settings) -> None:
    kinds = {
        "centre": (numbers.Real, "finite world coordinates"),
        "box": (numbers.Real, "finite world coordinates"),
        "holdout_views": (numbers.Integral, "whole numbers"),
    }
    for name, (kind, words) in kinds.items():
        given = getattr(settings, name)
        for value in np.array(() if given is None else given, object).ravel():
            if not (isinstance(value, kind) and abs(value) < LARGEST):  # NaN is not
                raise Mistake(f"{name} has {value!r:.40}: expected {words}; set <{name}>")


def _check_ranges(settings: Settings) -> None:
    downscale, background = settings.downscale, settings.background
    if not 1 <= downscale <= MOST:
        raise Mistake(f"downscale {downscale}: expected 1 to {MOST}; set <downscale>")
    if not 0 <= background <= 1:
        raise Mistake(f"background {background}: expected 0 (black) to 1 (white); set <background>")
    if settings.mask_shows not in MASKS_SHOW:
        raise Mistake(
            f"mask_shows {settings.mask_shows!r}: expected one of {list(MASKS_SHOW)}; set"
            " <mask_shows>"
        )
