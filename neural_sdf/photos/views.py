"""Which views of a set can be used, and which are held out: all that is told before pixels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int

from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.capture import Capture, Header, View
from neural_sdf.photos.files.findings import Finding, Report
from neural_sdf.photos.files.views import Pinhole, pinhole_cameras
from neural_sdf.photos.fitting import fit, turn_masks
from neural_sdf.photos.inspection import cameras, checks
from neural_sdf.photos.settings import Settings


class Usable(NamedTuple):
    """Views without an error so far.

    Attributes:
        views: in file order.
        headers: of their photos, by the views' names.
        pinholes: their cameras without lens distortion, by the views' names.
    """

    views: list[View]
    headers: dict[str, Header]
    pinholes: dict[str, Pinhole]


class Found(NamedTuple):
    """A set before any pixel of it is read.

    Attributes:
        folder: of the set.
        capture: as its reader gave it.
        views: those that can be used; for training first, both groups in file order.
        headers: of their photos, in the order of the views.
        pinholes: their cameras without lens distortion, in the order of the views.
        order: position of each view among the usable ones in file order.
        num_train: how many views, from the first, are for training.
    """

    folder: Path
    capture: Capture
    views: list[View]
    headers: list[Header]
    pinholes: list[Pinhole]
    order: Int[np.ndarray, " V"]
    num_train: int


def find_views(
    folder: Path,
    capture: Capture,
    usable: Usable,
    settings: Settings,
    kept: Sequence[bool | None] | None = None,
) -> Found:
    """The usable views of a set in the order of a scene.

    Args:
        folder: of the set.
        capture: as its reader gave it.
        usable: of its views.
        settings: by which some are held out.
        kept: whether each usable view was held out by an earlier run, None for one that is new; the
            settings then speak of the new ones alone, and all may be held out.

    Raises:
        Mistake: if the settings hold out what is not there, or all.
    """
    rule = settings.holdout_every, settings.holdout_offset, settings.holdout_views
    if kept is None:
        held_out = held_out_views(usable.views, *rule)
    else:
        held_out = held_out_beside(kept, usable.views, *rule)
    order = np.argsort(held_out, kind="stable")
    views = [usable.views[i] for i in order]
    headers = [usable.headers[view.name] for view in views]
    pinholes = [usable.pinholes[view.name] for view in views]
    return Found(folder, capture, views, headers, pinholes, order, int(np.sum(~held_out)))


def usable_views(folder: Path, capture: Capture, *, skip_missing: bool, report: Report) -> Usable:
    """The views without an error so far; reads headers of image files and no pixels.

    Args:
        folder: of the set, for messages.
        capture: as its reader gave it.
        skip_missing: as in `Settings`.
        report: told every finding; views with an error are left out if it goes on.
    """
    views = list(capture.views)
    report_all(report, capture.findings)
    report_all(report, checks.missing_files(views, folder, skip=skip_missing))
    if not any(view.is_test for view in views):  # else some are left out on purpose
        report_all(report, checks.unused_photos(views, folder, capture.left_out))
    report_all(report, checks.repeated_photos(views))
    views = _without(views, report_all(report, checks.shared_masks(views)))
    views = [v for v in views if v.image.is_file() and (v.mask is None or v.mask.is_file())]
    photos, masks, unreadable = checks.open_files(views)
    views = _without(views, report_all(report, unreadable))
    views, photos, told, turned = fit(views, photos)
    report_all(report, told)
    views = _without(views, report_all(report, checks.unreadable_images(turned)))
    views, masks, told = turn_masks(views, photos, masks)
    report_all(report, told)
    views = _without(views, report_all(report, checks.wrong_sizes(views, photos, masks)))
    report_all(report, checks.resized_masks(views, photos, masks))
    views = _without(views, report_all(report, checks.absent_masks(views, photos)))
    bad = report_all(report, cameras.bad_intrinsics(views, photos))
    report_all(report, cameras.off_centre(_without(views, bad), photos))
    pinholes = pinhole_cameras(_without(views, bad), photos)
    bad |= report_all(report, cameras.bad_lenses(_without(views, bad), photos, pinholes))
    bad |= report_all(report, cameras.bad_poses(views))
    views = _without(views, bad)
    if views:
        report_all(report, cameras.strange_cameras(views))
        report_all(report, cameras.lone_intrinsics(views, photos))
    return Usable(views, photos, pinholes)


def none_left(folder: Path, num_views: int) -> Mistake:
    """The error for a set that skipping what is missing leaves without a view."""
    return Mistake(
        f"no photo of {folder} is left, of {num_views} views in its files; expected some whose"
        " photos are there",
        setting="path",
        remedy="mend the names in the file of cameras",
    )


def enlarged(found: Found) -> Float64[np.ndarray, " V"] | None:
    """What K of each view was multiplied by, for its photo's size; None if all are as written."""
    declared = {view.name: view.size for view in found.capture.views}
    pairs = [(view.size, declared[view.name]) for view in found.views]
    ratios = np.array([now[1] / size[1] if now and size else 1.0 for now, size in pairs])
    return ratios if (ratios != 1).any() else None


def held_out_views(
    views: Sequence[View], every: int, offset: int, chosen: Sequence[int]
) -> Bool[np.ndarray, " V"]:
    """Which views are held out: the chosen ones, else the test split, else one in every so many.

    Args:
        views: in file order.
        every: one in so many; 0 for none.
        offset: the first of them, from 0.
        chosen: exactly these, in file order from 0; empty to leave it to the others.

    Raises:
        Mistake: if a chosen view does not exist, or none is left for training.
    """
    if every < 0 or offset < 0:
        raise Mistake(
            f"holdout_every {every}, holdout_offset {offset}: expected 0 or more; set"
            " <holdout_every> and <holdout_offset>"
        )
    strange = [index for index in chosen if not 0 <= index < len(views)]
    if strange:
        raise Mistake(
            f"held-out views {strange} do not exist; expected 0 to {len(views) - 1}, in file order;"
            " set <holdout_views>"
        )
    held_out = np.array([view.is_test for view in views], bool)
    if chosen:
        held_out = np.isin(np.arange(len(views)), chosen)
    elif every and not held_out.any():
        held_out[offset::every] = True
    if held_out.all():
        raise Mistake(
            f"all {len(views)} views are held out; expected at least one for training; set"
            " <holdout_views>, or <holdout_every>=0 to hold out none"
        )
    return held_out


def held_out_beside(
    kept: Sequence[bool | None],
    views: Sequence[View],
    every: int,
    offset: int,
    chosen: Sequence[int],
) -> Bool[np.ndarray, " V"]:
    """As `held_out_views`, where some views are held out or not from earlier on.

    Views that are new are held out if they are of the layout's test split, or, where it has none,
    one in every so many of them; none if views were chosen, since positions mean other views now.

    Args:
        kept: whether each view was held out; None for a new one.
        views: in file order.
        every: as for `held_out_views`.
        offset: as for `held_out_views`, counted among the new ones.
        chosen: as for `held_out_views`.
    """
    held_out = np.array([view.is_test and not chosen for view in views], bool)
    new = np.array([i for i, was in enumerate(kept) if was is None], int)
    if every and not chosen and not held_out.any():
        held_out[new[offset::every]] = True
    return np.array([now if was is None else was for now, was in zip(held_out, kept, strict=True)])


def of_a_run(report: Report) -> Report:
    """For findings about a region that is a run's: it cannot be set, and was seen in training."""
    remedy = "expected photos of the world that the run was trained in; set <path>"

    def told(finding: Finding) -> None:
        if finding.code != "one-sided":
            report(finding._replace(remedy=remedy) if finding.level == "error" else finding)

    return told


def report_all(report: Report, findings: Iterable[Finding]) -> set[str]:
    """Reports findings; the names of the views with an error, "" where the whole set has one."""
    bad = set()
    for finding in findings:
        report(finding)
        if finding.level == "error":
            bad |= set(finding.views) or {""}
    return bad


def _without(views: Sequence[View], bad: set[str]) -> list[View]:
    return [view for view in views if view.name not in bad]
