"""A folder of photos in any known layout becomes a `Scene`."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from neural_sdf.geometry import Similarity
from neural_sdf.mistake import Doubt
from neural_sdf.photos.files.capture import Capture, Header
from neural_sdf.photos.files.findings import DataError, Report, settle_but_masks
from neural_sdf.photos.files.folder import find_set
from neural_sdf.photos.files.views import read_view
from neural_sdf.photos.inspection import cameras, checks
from neural_sdf.photos.inspection.diagnosis import diagnose
from neural_sdf.photos.inspection.outlines import boundless
from neural_sdf.photos.inspection.readings import Views
from neural_sdf.photos.known import (
    Earlier,
    Known,
    identify,
    refuse_other_world,
    remembered_split,
)
from neural_sdf.photos.layouts import read_capture
from neural_sdf.photos.outlines.region import Region, find_region, given_region
from neural_sdf.photos.pixels import (
    PIXEL_BYTES,
    Memory,
    Photos,
    ReadView,
    photo_memory,
    read_photos,
)
from neural_sdf.photos.settings import Settings, read_settings, refuse_unused
from neural_sdf.photos.views import (
    Found,
    enlarged,
    find_views,
    none_left,
    of_a_run,
    report_all,
    usable_views,
)
from neural_sdf.scenes.frame import in_frame
from neural_sdf.scenes.scene import Scene, Source, view_masks
from neural_sdf.scenes.synthetic import SHOOTS, Shoot, synthetic_scene

NO_OUTLINES = (  # findings of masks that are no outlines
    *("full-masks", "empty-masks", "boundless-masks", "shared-masks", "some-masks"),
)


class Opened(NamedTuple):
    """A photo set of which everything is known but the pixels.

    Attributes:
        memory: what reading takes.
        num_train: how many views are for training.
        read: reads the pixels; raises Mistake as `load_scene`.
        photos: in the scene's order, for a run to know them again; empty if it did not ask, and of
            the embedded scene, which has no files.
    """

    memory: Memory
    num_train: int
    read: Callable[[], Scene]
    photos: tuple[Known, ...] = ()


def load_scene(path: str | Path, **settings: Any) -> Scene:
    """Photos, masks and cameras of a folder, in the frame of their region of interest.

    What can be checked without pixels is checked before the first is read; then masks are compared
    with the cameras, as `scripts/inspect_scene.py` does. The region of interest is found as in
    `region.find_region`. Lens distortion is undone in the photos.

    Args:
        path: folder of the photo set, or name of a prepared dataset (`folder.find_set`).
        **settings: those of `Settings`.

    Returns:
        The scene as NumPy arrays: float64 cameras, uint8 photos, int32 counts. Training views come
        first, both groups in file order.

    Raises:
        Mistake: if a setting, a camera, an image or the set as a whole is not what it should be.
    """
    return open_scene(path, **settings).read()


def load_to_mask(path: str | Path, **settings: Any) -> Scene:
    """As `load_scene`, for masks to be made: those of the set are left out if they say nothing.

    Raises:
        Mistake: as `load_scene`.
    """
    try:
        return load_scene(path, **settings)
    except DataError as error:
        if error.finding.code not in NO_OUTLINES:
            raise
        warnings.warn(Doubt(f"{error.finding.message}; the set's masks are left out"), stacklevel=2)
        return load_photos(path, **settings)


def load_photos(path: str | Path, **settings: Any) -> Scene:
    """As `load_scene`, but without the set's files of masks, which may say nothing.

    Raises:
        Mistake: as `load_scene`.
    """
    chosen = read_settings(settings)
    if chosen.format in SHOOTS:
        return load_scene(path, **settings)
    return _open(path, chosen, _unmasked).read()


def _unmasked(capture: Capture) -> Capture:
    return capture._replace(views=tuple(view._replace(mask=None) for view in capture.views))


def open_scene(path: str | Path, *, earlier: Earlier | None = None, **settings: Any) -> Opened:
    """Does all of `load_scene` but reading pixels, which takes time and memory.

    Args:
        path: as for `load_scene`.
        earlier: of a run that meets its photos again: they are placed in its frame, no region of
            interest is looked for, those that it knows stay held out or not, and the settings
            speak of the others; None for no run.
        **settings: as for `load_scene`.

    Raises:
        Mistake: as `load_scene` does of settings, and of files that cannot be used; or cameras of
            another world than the run's.
    """
    chosen = read_settings(settings)
    if chosen.format in SHOOTS:
        refuse_unused(path, chosen)
        shoot = _reduced(SHOOTS[chosen.format], chosen.downscale)
        make = functools.partial(synthetic_scene, shoot)
        return Opened(_shoot_memory(shoot), shoot.num_views, make)
    return _open(path, chosen, lambda capture: capture, earlier)


def _open(
    path: str | Path,
    chosen: Settings,
    change: Callable[[Capture], Capture],
    earlier: Earlier | None = None,
) -> Opened:
    given_region(chosen.centre, chosen.radius, chosen.box)
    folder = find_set(path)
    capture = change(read_capture(path, format=chosen.format, cameras=chosen.cameras))
    usable = usable_views(
        folder, capture, skip_missing=chosen.skip_missing, report=settle_but_masks
    )
    if not usable.views:
        raise none_left(folder, len(capture.views))
    frame = None if earlier is None else earlier.world_from_scene
    photos = [] if earlier is None else identify(usable.views, usable.pinholes)
    kept = None
    if earlier is not None and frame is not None:
        refuse_other_world(photos, earlier)
        kept = remembered_split(photos, earlier)
    found = find_views(folder, capture, usable, chosen, kept)
    memory = photo_memory(found.views, found.headers, found.pinholes, downscale=chosen.downscale)

    def read() -> Scene:
        scene = read_scene(found, chosen, settle_but_masks, frame)
        assert scene is not None  # settling stops at the first error
        return scene

    return Opened(memory, found.num_train, read, _ordered(photos, found))


def read_scene(
    found: Found,
    settings: Settings,
    report: Report,
    frame: Similarity | None = None,
    read: ReadView = read_view,
) -> Scene | None:
    """Reads the pixels of a set and reports every finding; what loading and the doctor share.

    Args:
        found: the set before its pixels.
        settings: that it was found with.
        report: told every finding; what has an error is left out if it goes on.
        frame: world_from_scene of a run, in whose frame the cameras are placed; None to find one.
        read: as for `read_photos`.

    Returns:
        The scene of all usable views; None if none is, or no region of interest is found.

    Raises:
        Mistake: if photos are too small or too many.
    """
    photos = read_photos(
        found.views,
        found.pinholes,
        downscale=settings.downscale,
        background=settings.background,
        mask_shows=settings.mask_shows,
        read=read,
    )
    if report_all(report, checks.unreadable_images(photos.errors)):
        return None
    opaque = _without_opaque(found, photos)
    if opaque is not found:
        found = opaque
        report_all(report, checks.absent_masks(found.views, dict(_named_headers(found))))
    scene = _in_world(found, photos)
    masks = view_masks(scene) if scene.source.has_masks else []
    poses, names = np.asarray(scene.scene_from_camera), scene.source.names
    compared = Views(
        names, found.order, masks, photos.intrinsics, poses, photos.sizes, enlarged(found)
    )
    blocked = report_all(report, diagnose(compared))
    blocked = blocked or report_all(report, boundless(masks))
    try:
        given = None if frame is None else Region(frame, "the run")
        region = given or _region(found, compared, photos, settings)
    except DataError as error:
        if not blocked:  # else the reason was said
            report(error.finding)
        return None
    scene = _about(scene, region)
    if not blocked:
        poses, train = np.asarray(scene.scene_from_camera), found.num_train
        places = cameras.camera_places(poses[:train], names[:train]) if train else ()
        outside = cameras.object_outside(masks, photos.intrinsics, poses) if masks else ()
        settled = report if frame is None else of_a_run(report)
        report_all(settled, itertools.chain(places, outside))
    return scene


def _without_opaque(found: Found, photos: Photos) -> Found:
    """Alpha channels that are opaque in all photos are none: screenshots have such."""
    has_alpha = [
        v.mask is None and h.has_alpha for v, h in zip(found.views, found.headers, strict=True)
    ]
    whole = [bool(photos.mask[a:b].all()) for a, b in itertools.pairwise(photos.offsets)]
    if not any(has_alpha) or not all(w for w, a in zip(whole, has_alpha, strict=True) if a):
        return found
    return found._replace(headers=[header._replace(has_alpha=False) for header in found.headers])


def _named_headers(found: Found) -> Iterator[tuple[str, Header]]:
    return zip((view.name for view in found.views), found.headers, strict=True)


def _ordered(photos: Sequence[Known], found: Found) -> tuple[Known, ...]:
    """The photos, which are in file order, in the scene's order, with its split."""
    order = found.order[: len(photos)]
    return tuple(photos[i]._replace(held_out=n >= found.num_train) for n, i in enumerate(order))


def _in_world(found: Found, photos: Photos) -> Scene:
    """The scene with the photos' own world as its frame."""
    headers = zip(found.views, found.headers, strict=True)
    return Scene(
        rgb=photos.rgb,
        mask=photos.mask,
        offsets=photos.offsets,
        sizes=photos.sizes,
        intrinsics=photos.intrinsics,
        scene_from_camera=np.stack([view.world_from_camera for view in found.views]),
        num_train=np.array(found.num_train, np.int32),
        world_from_scene=Similarity(np.array(1.0), np.eye(3), np.zeros(3)),
        source=Source(
            names=tuple(view.name for view in found.views),
            indices=tuple(int(i) for i in found.order),
            has_masks=any(v.mask is not None or header.has_alpha for v, header in headers),
            points=found.capture.points,
        ),
    )


def _region(found: Found, views: Views, photos: Photos, settings: Settings) -> Region:
    """The region of interest, of the training views."""
    centre, radius = given_region(settings.centre, settings.radius, settings.box)
    training = slice(found.num_train)
    return find_region(
        found.folder,
        found.capture,
        views.masks[training] if views.masks else None,
        views.intrinsics[training],
        views.world_from_camera[training],
        photos.sizes[training],
        centre=centre,
        radius=radius,
    )


def _about(scene: Scene, region: Region) -> Scene:
    """The scene in the frame of its region."""
    source = dataclasses.replace(scene.source, region=region.found_by)
    return in_frame(scene._replace(source=source), region.world_from_scene)


def _reduced(shoot: Shoot, downscale: int) -> Shoot:
    height, width = shoot.size
    return shoot._replace(size=(height // downscale, width // downscale))


def _shoot_memory(shoot: Shoot) -> Memory:
    """What the embedded scene takes; it is made at the size that is kept."""
    height, width = shoot.size
    kept = PIXEL_BYTES * (shoot.num_views + shoot.num_test) * height * width
    return Memory(kept, kept)
