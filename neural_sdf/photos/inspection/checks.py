"""What can be wrong with the files of views: missing, unreadable, of another size, without masks.

Each check is given views and yields findings; it stops nothing by itself. Codes and remedies are
listed in docs/troubleshooting.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from neural_sdf.photos.files.capture import Header, ImageFile, View, same_shape
from neural_sdf.photos.files.copies import first_copies
from neural_sdf.photos.files.findings import Finding, listed, names
from neural_sdf.photos.files.folder import list_photos
from neural_sdf.photos.files.images import ImageError, read_header
from neural_sdf.photos.files.masks import as_mask
from neural_sdf.photos.inspection.outlines import WAYS_OUT

NEAR = 0.1  # of the cameras' typical distance from their middle: places of copies of one photo
NOT_PHOTOS = ("_masked",)  # how the names of other pictures beside photos end


def missing_files(views: Sequence[View], folder: Path, *, skip: bool) -> Iterator[Finding]:
    """All photos and masks that are not there; a warning if they are to be skipped."""
    files = [(view, path) for view in views for path in (view.image, view.mask) if path is not None]
    missing = [(view, path) for view, path in files if not path.is_file()]
    if missing:
        shown = ", ".join(f"{_inside(path, folder)} ({view.origin})" for view, path in missing)
        yield Finding(
            "missing-files",
            "warning" if skip else "error",
            f"{len(missing)} of {len(files)} files are missing in {folder}: {shown}",
            "their views are skipped"
            if skip
            else "restore them, delete their cameras, or set <skip_missing>=True",
            tuple(dict.fromkeys(view.name for view, _ in missing)),
        )


def repeated_photos(views: Sequence[View]) -> Iterator[Finding]:
    """Photos of several views, or copies of them, some of which may be trained on and held out."""
    first = first_copies([view.image for view in views if view.image.is_file()])
    by_photo = defaultdict(list)
    for view in views:
        by_photo[first.get(view.image, view.image)].append(view)
    reach = NEAR * _spread(views)
    repeated = [_together(these, reach) for these in by_photo.values() if len(these) > 1]
    twice = [view for these in repeated for view in these]
    both = [these for these in repeated if len({view.is_test for view in these}) > 1]
    if twice:
        trained = f", {len(both)} photos for training and for testing" if both else ""
        yield Finding(
            "repeated-photos",
            "warning",
            f"{len(twice)} views share their photos with others, or have copies of them{trained}:"
            f" {names([view.image.name for view in twice])}; expected a photo of its own for each",
            "remove the copies"
            + (
                " from one of the splits" if both else ": one may be trained on, the other held out"
            ),
            tuple(view.name for view in twice),
        )


def _spread(views: Sequence[View]) -> float:
    """Typical distance of the cameras from their middle, world units."""
    places = np.array([view.world_from_camera[:3, 3] for view in views]).reshape(-1, 3)
    finite = places[np.isfinite(places).all(axis=1)]
    if not len(finite):
        return 0.0
    return float(np.median(np.linalg.norm(finite - finite.mean(axis=0), axis=1)))


def _together(views: Sequence[View], reach: float) -> list[View]:
    """Of views of the same bytes those of one file, or from one place.

    From others, a ball on a plain ground has the same photo.
    """
    files = {image: i for i, image in enumerate(dict.fromkeys(view.image for view in views))}
    file = np.array([files[view.image] for view in views])
    places = np.array([view.world_from_camera[:3, 3] for view in views])
    with np.errstate(invalid="ignore"):  # no place is near one that is not finite
        apart = np.linalg.norm(places[:, None] - places, axis=-1)
    is_one = (file[:, None] == file) | (apart <= reach)
    return [view for view, others in zip(views, is_one.sum(axis=1) - 1, strict=True) if others]


def shared_masks(views: Sequence[View]) -> Iterator[Finding]:
    """One mask for the photos of several views: it cannot be the outline of an object in each."""
    by_mask = defaultdict(list)
    for view in views:
        if isinstance(view.mask, Path):
            by_mask[view.mask].append(view)
    shared = {m: these for m, these in by_mask.items() if _are_apart(these)}
    if shared:
        told = [
            f"{m.name} is that of {names([v.image.name for v in vs])}" for m, vs in shared.items()
        ]
        yield Finding(
            "shared-masks",
            "error",
            f"{len(shared)} masks are each that of several photos: {listed(told)}; expected the"
            " object's own outline for each photo, not what to ignore in all",
            f"name a mask of its own for each, or {WAYS_OUT}",
            tuple(view.name for these in shared.values() for view in these),
        )


def _are_apart(views: Sequence[View]) -> bool:
    """Whether views are of several photos from several places."""
    poses = {view.world_from_camera.tobytes() for view in views}
    return len(poses) > 1 and len({view.image for view in views}) > 1


def unused_photos(
    views: Sequence[View], folder: Path, left_out: Collection[Path]
) -> Iterator[Finding]:
    """Photos beside those of the views that have no camera, or one that is left out."""
    used = {view.image for view in views if isinstance(view.image, Path)}
    unused = sorted(
        photo
        for place in {image.parent for image in used}
        for photo in list_photos(place)
        if photo not in used and not photo.stem.endswith(NOT_PHOTOS) and not as_mask(folder, photo)
    )
    bare = [path.name for path in unused if path not in left_out]
    kept = [path.name for path in unused if path in left_out]
    if bare:
        yield Finding(
            "unused-photos",
            "note" if len(bare) <= len(used) else "warning",
            f"{len(bare)} photos have no camera: {names(bare)}",
            "they are not used; add their cameras if they should be",
        )
    if kept:
        yield Finding(
            "unused-photos",
            "note",
            f"{len(kept)} photos have cameras that the set keeps for validation, or names in none"
            f" of its lists: {names(kept)}",
            "they are not used; move their frames to those for training if they should be",
        )


def open_files(
    views: Sequence[View],
) -> tuple[dict[str, Header], dict[str, Header], list[Finding]]:
    """Headers of photos and of masks by view name, and what cannot be opened, by kind."""
    photos, masks, errors = {}, {}, []
    for view in views:
        try:
            photos[view.name] = view.header or read_header(view.image)
            if view.mask is not None:
                masks[view.name] = read_header(view.mask)
        except ImageError as error:
            errors.append((view, error))
    return photos, masks, list(unreadable_images(errors))


def unreadable_images(errors: Sequence[tuple[View, ImageError]]) -> Iterator[Finding]:
    """Files that cannot be used, those with the same fault together."""
    for code in dict.fromkeys(error.code for _, error in errors):
        these = [(view, error) for view, error in errors if error.code == code]
        first, *others = these
        more = f" (and {len(others)} more: {names([v.image.name for v, _ in others])})"
        yield Finding(
            code,
            "error",
            f"{len(these)} of the images cannot be used: {first[1]}{more * bool(others)}",
            "mend the files named",
            tuple(view.name for view, _ in these),
        )


def wrong_sizes(
    views: Sequence[View], photos: Mapping[str, Header], masks: Mapping[str, Header]
) -> Iterator[Finding]:
    """Photos unlike the size that their camera declares, and masks unlike their photos."""
    yield from _size_finding(
        [(view, view.image, photos[view.name], view.size) for view in views],
        "the size that the camera's file declares",
        "restore the photos of that size",
    )
    yield from _size_finding(
        [
            (view, view.mask, masks[view.name], photos[view.name][:2])
            for view in views
            if view.mask is not None and not same_shape(masks[view.name][:2], photos[view.name][:2])
        ],
        "masks of the size of their photos, or of its shape",
        "make them anew",
    )


def resized_masks(
    views: Sequence[View], photos: Mapping[str, Header], masks: Mapping[str, Header]
) -> Iterator[Finding]:
    """Masks of another size than their photos, and of the same shape."""
    pairs = [(v, masks[v.name][:2], photos[v.name][:2]) for v in views if v.mask is not None]
    other = [(v, mask, photo) for v, mask, photo in pairs if mask != photo]
    if other:
        view, mask, photo = other[0]
        yield Finding(
            "scaled-masks",
            "note",
            f"{len(other)} of {len(views)} masks are larger or smaller than their photos: that of"
            f" {view.image.name} is {mask[1]}x{mask[0]} pixels, not {photo[1]}x{photo[0]}; took"
            " them for the same picture",
            "make them of the photos' own size for sharper outlines",
            tuple(view.name for view, *_ in other),
        )


def absent_masks(views: Sequence[View], photos: Mapping[str, Header]) -> Iterator[Finding]:
    """Views with neither a mask nor an alpha channel."""
    bare = [v for v in views if v.mask is None and not photos[v.name].has_alpha]
    remedy = (
        "add masks (a folder mask/ or masks/, mask_path in transforms.json, or RGBA photos), or"
        " make some: python scripts/convert_scene.py --masks=background, or hull"
    )
    if len(bare) == len(views) > 0:
        yield Finding(
            "no-masks",
            "error",
            f"none of the {len(views)} photos has a mask or an alpha channel, expected the outline"
            " of the object; training without is not supported",
            remedy,
        )
    elif bare:
        yield Finding(
            "some-masks",
            "error",
            f"{len(bare)} of {len(views)} photos have no mask and no alpha channel:"
            f" {names([view.name for view in bare])}; expected a mask for every photo",
            remedy,
            tuple(view.name for view in bare),
        )


def _inside(path: ImageFile, folder: Path) -> ImageFile:
    if isinstance(path, Path) and path.is_relative_to(folder):
        return path.relative_to(folder)
    return path


def _size_finding(
    images: Iterable[tuple[View, ImageFile, Header, tuple[int, int] | None]],
    expected: str,
    remedy: str,
) -> Iterator[Finding]:
    wrong = [(v, p, h, size) for v, p, h, size in images if size is not None and h[:2] != size]
    if wrong:
        sentences = [
            f"{path} is {h.width}x{h.height} pixels, not {size[1]}x{size[0]}"
            for _, path, h, size in wrong
        ]
        yield Finding(
            "wrong-size",
            "error",
            f"{listed(sentences)}; expected {expected}",
            remedy,
            tuple(view.name for view, *_ in wrong),
        )
