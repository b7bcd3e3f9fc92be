"""A folder of photos in any known layout becomes a `Scene`."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.capture import Capture, View
from neural_sdf.photos.files.findings import DataError, Finding, Report, settle_but_masks
from neural_sdf.photos.files.folder import find_set
from neural_sdf.photos.files.images import Header
from neural_sdf.photos.formats import FORMATS
from neural_sdf.photos.inspection import checks
from neural_sdf.photos.inspection.diagnosis import Views, diagnose
from neural_sdf.photos.outlines.region import find_region, given_region
from neural_sdf.photos.pixels import PIXEL_BYTES, Memory, photo_memory, read_photos
from neural_sdf.scenes.cup import SHOOTS, Shoot, synthetic_scene
from neural_sdf.scenes.frame import normalise
from neural_sdf.scenes.scene import Scene, Source

MASKS_SHOW = ("object", "background")


def load_scene(
    path: str | Path,
    *,
    format: str = "auto",
    downscale: int = 1,
    cameras: str = "",
    holdout_every: int = 8,
    holdout_offset: int = 4,
    holdout_views: Sequence[int] = (),
    centre: Sequence[float] | None = None,
    radius: float | None = None,
    box: Sequence[float] | None = None,
    background: float = 1.0,
    mask_shows: str = "object",
    skip_missing: bool = False,
) -> Scene:
    """Photos, masks and cameras of a folder, in the frame of their region of interest.

    What can be checked without pixels is checked before the first is read; then masks are compared
    with the cameras, as `scripts/inspect_scene.py` does. The region of interest is found as in
    `region.find_region`. Lens distortion is undone in the photos.

    Args:
        path: folder of the photo set, or name of a prepared dataset (`folder.find_set`).
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

    Returns:
        The scene as NumPy arrays: float64 cameras, uint8 photos, int32 counts. Training views come
        first, both groups in file order.

    Raises:
        Mistake: if a setting, a camera, an image or the set as a whole is not what it should be.
        Mistake: if the folder or its camera file is missing.
    """
    settings = locals()
    del settings["path"]
    if format in SHOOTS:
        _check_settings(downscale, background, mask_shows)
        return synthetic_scene(_reduced(SHOOTS[format], downscale))
    scene = survey(path, **settings, report=settle_but_masks)
    assert scene is not None  # settling stops at the first error
    return scene


def scene_memory(path: str | Path, **settings: Any) -> Memory:
    """How much memory `load_scene` of the same settings takes for pixels, before it reads them.

    Raises:
        Mistake: as `load_scene` does of files that are missing or cannot be used.
        Mistake: as `load_scene` does.
    """
    downscale = settings.get("downscale", 1)
    if settings.get("format") in SHOOTS:
        _check_settings(downscale, 1.0, "object")
        num_views, num_test, (height, width), _ = _reduced(SHOOTS[settings["format"]], downscale)
        kept = PIXEL_BYTES * (num_views + num_test) * height * width
        return Memory(kept, kept)
    _check_settings(
        downscale, settings.get("background", 1.0), settings.get("mask_shows", "object")
    )
    choice = {"format": settings.get("format", "auto"), "cameras": settings.get("cameras", "")}
    capture = read_capture(path, **choice)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # load_scene will warn
        views, headers = usable_views(
            find_set(path),
            capture,
            skip_missing=settings.get("skip_missing", False),
            report=settle_but_masks,
        )
    return photo_memory(views, headers, downscale=downscale)


def survey(
    path: str | Path,
    *,
    format: str,
    downscale: int,
    cameras: str,
    holdout_every: int,
    holdout_offset: int,
    holdout_views: Sequence[int],
    centre: Sequence[float] | None,
    radius: float | None,
    box: Sequence[float] | None,
    background: float,
    mask_shows: str,
    skip_missing: bool,
    report: Report,
) -> Scene | None:
    """Reads a set and reports every finding; what `load_scene` and the doctor share.

    The arguments are those of `load_scene`. Views with an error are left out, so that a `report`
    that does not stop hears of all that is wrong.

    Returns:
        The scene of all usable views; None if none is, or no region of interest is found.

    Raises:
        Mistake: for a setting out of range, or files that the reader cannot make sense of.
        Mistake: if the folder or its camera file is missing.
    """
    _check_settings(downscale, background, mask_shows)
    centre, radius = given_region(centre, radius, box)
    folder, capture = find_set(path), read_capture(path, format=format, cameras=cameras)
    usable, headers = usable_views(folder, capture, skip_missing=skip_missing, report=report)
    if not usable:
        return None
    held_out = held_out_views(usable, holdout_every, holdout_offset, holdout_views)
    order, num_train = np.argsort(held_out, kind="stable"), int(np.sum(~held_out))
    views = [usable[i] for i in order]
    photos = read_photos(
        views, headers, downscale=downscale, background=background, mask_shows=mask_shows
    )
    if _report(report, checks.unreadable_images(photos.errors)):
        return None
    has_masks = any(view.mask is not None or headers[view.name].has_alpha for view in views)
    poses = np.stack([view.world_from_camera for view in views])
    names, masks = tuple(view.name for view in views), photos.masks()
    compared = Views(names, order, masks if has_masks else (), photos.intrinsics, poses)
    blocked = _report(report, diagnose(compared))
    training = photos.intrinsics[:num_train], poses[:num_train], photos.sizes[:num_train]
    try:
        region = find_region(
            folder,
            capture,
            masks[:num_train] if has_masks else None,
            *training,
            centre=centre,
            radius=radius,
        )
    except DataError as error:
        if not blocked:  # else the reason was said
            report(error.finding)
        return None
    scene_from_camera = normalise(poses, region.world_from_scene)
    if not blocked:
        _report(report, checks.camera_places(scene_from_camera[:num_train], names[:num_train]))
        if has_masks:
            _report(report, checks.object_outside(masks, photos.intrinsics, scene_from_camera))
    return Scene(
        rgb=photos.rgb,
        mask=photos.mask,
        offsets=photos.offsets,
        sizes=photos.sizes,
        intrinsics=photos.intrinsics,
        scene_from_camera=scene_from_camera,
        num_train=np.array(num_train, np.int32),
        world_from_scene=region.world_from_scene,
        source=Source(names, tuple(int(i) for i in order), has_masks, region.found_by),
    )


def recognise(path: str | Path, format: str) -> str:
    """The name in `FORMATS` of a folder's layout.

    Raises:
        Mistake: if the format is unknown or not to be recognised.
        Mistake: if the folder is missing.
    """
    if format != "auto" and format not in FORMATS:
        raise Mistake(
            f"photo format {format!r} is unknown; expected one of"
            f" {['auto', *SHOOTS, *FORMATS]}; set <format>"
        )
    folder = find_set(path)
    if not str(path) or not folder.is_dir():
        raise Mistake(
            f"photo folder {str(path)!r} is {'a file' if folder.is_file() else 'not there'};"
            " expected a folder of photos with cameras, or the name of a dataset; set"
            " <path>"
        )
    if format != "auto":
        return format  # some folders hold several layouts; the reader tells what it misses
    names = [name for name, form in FORMATS.items() if form.recognises(folder)]
    if len(names) != 1:
        layouts = "; ".join(f"{name}: {form.looks_for}" for name, form in FORMATS.items())
        raise Mistake(
            f"photo folder {folder} has the files of {' and '.join(names) or 'no known format'};"
            f" expected those of one ({layouts}); set <path> or <format>"
        )
    return names[0]


def read_capture(path: str | Path, *, format: str, cameras: str) -> Capture:
    """The cameras of a folder, by the reader of its layout; errors are those of `recognise`."""
    name = recognise(path, format)
    return FORMATS[name].read(find_set(path), cameras)


def usable_views(
    folder: Path, capture: Capture, *, skip_missing: bool, report: Report
) -> tuple[list[View], dict[str, Header]]:
    """The views without an error so far, and the headers of their photos; reads no pixels."""
    views = list(capture.views)
    _report(report, checks.missing_files(views, folder, skip=skip_missing))
    if not any(view.is_test for view in views):  # else some are left out on purpose
        _report(report, checks.unused_photos(views))
    views = [v for v in views if v.image.is_file() and (v.mask is None or v.mask.is_file())]
    photos, masks, unreadable = checks.open_files(views)
    views = _without(views, _report(report, unreadable))
    views = _without(views, _report(report, checks.wrong_sizes(views, photos, masks)))
    views = _without(views, _report(report, checks.absent_masks(views, photos)))
    views = _without(views, _report(report, checks.impossible_cameras(views, photos)))
    if views:
        _report(report, checks.strange_cameras(views))
    return views, photos


def held_out_views(
    views: Sequence[View], every: int, offset: int, chosen: Sequence[int]
) -> Bool[np.ndarray, " V"]:
    """Which views are held out: the chosen ones, else the test split, else one in every so many.

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


def _reduced(shoot: Shoot, downscale: int) -> Shoot:
    height, width = shoot.size
    return shoot._replace(size=(height // downscale, width // downscale))


def _report(report: Report, findings: Iterable[Finding]) -> set[str]:
    """Reports findings; the names of the views with an error, "" where the whole set has one."""
    bad = set()
    for finding in findings:
        report(finding)
        if finding.level == "error":
            bad |= set(finding.views) or {""}
    return bad


def _without(views: Sequence[View], bad: set[str]) -> list[View]:
    return [view for view in views if view.name not in bad]


def _check_settings(downscale: int, background: float, mask_shows: str) -> None:
    if downscale < 1:
        raise Mistake(f"downscale {downscale}: expected 1 or more; set <downscale>")
    if not 0 <= background <= 1:
        raise Mistake(f"background {background}: expected 0 (black) to 1 (white); set <background>")
    if mask_shows not in MASKS_SHOW:
        raise Mistake(
            f"mask_shows {mask_shows!r}: expected one of {list(MASKS_SHOW)}; set <mask_shows>"
        )
