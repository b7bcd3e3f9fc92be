"""The photos of a run, known again after some were added, renamed, changed or moved.

A photo is the one that was known if its file has the same bytes; else if it has the same name and
lies in the same folder or has nearly the same camera, for it may have been written anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from neural_sdf.geometry import Similarity
from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.capture import View
from neural_sdf.photos.files.copies import digest
from neural_sdf.photos.files.findings import names
from neural_sdf.photos.files.views import Pinhole
from neural_sdf.scenes.scene import Scene, view_mask

# How far a camera is from where it was, as share of the region's radius, or entry of its rotation.
SAME = 1e-6  # rounding
NEAR = 0.02  # the camera of the same photo, adjusted
ELSEWHERE = 0.05  # in the median: poses of another world


class Known(NamedTuple):
    """What tells a photo from others, and what it takes to see from its camera.

    Attributes:
        name: of its view.
        held_out: whether it is kept from training.
        photo: SHA-256 of the file.
        mask: SHA-256 of the pixels on the object, as they are trained on; empty without masks, and
            before pixels are read.
        size: (height, width) at full size without lens distortion, pixels.
        intrinsics: K at that size, rows.
        world_from_camera: rigid OpenCV pose in the photos' own world, rows.
        is_gone: whether it was no longer among the photos when they were last read.
    """

    name: str
    held_out: bool
    photo: str
    mask: str
    size: tuple[int, int]
    intrinsics: tuple[tuple[float, ...], ...]
    world_from_camera: tuple[tuple[float, ...], ...]
    is_gone: bool = False


class Earlier(NamedTuple):
    """What a run brings to its photos when it meets them again.

    Attributes:
        photos: that it knows.
        world_from_scene: the frame it was trained in; None for a run that begins.
        is_same_folder: whether they are asked for where it had them.
    """

    photos: tuple[Known, ...] = ()
    world_from_scene: Similarity | None = None
    is_same_folder: bool = False


def identify(views: Sequence[View], pinholes: Mapping[str, Pinhole]) -> list[Known]:
    """Every view as something to know again; reads the photos' files, and no pixel."""
    with ThreadPoolExecutor() as pool:  # hashing releases the interpreter's lock
        digests = list(pool.map(digest, [view.image for view in views]))
    return [
        _known(view, pinholes[view.name], digest)
        for view, digest in zip(views, digests, strict=True)
    ]


def with_masks(photos: Sequence[Known], scene: Scene) -> tuple[Known, ...]:
    """The photos of a scene, in its order, once their masks are read."""
    if not scene.source.has_masks:
        return tuple(photos)
    digests = (
        hashlib.sha256(np.packbits(view_mask(scene, i)).tobytes()) for i in range(len(photos))
    )
    return tuple(p._replace(mask=d.hexdigest()) for p, d in zip(photos, digests, strict=True))


def match(photos: Sequence[Known], earlier: Earlier) -> list[Known | None]:
    """Which known photo each one is; None for one that is new."""
    by_photo: dict[str, list[Known]] = {}
    for known in sorted(earlier.photos, key=lambda known: known.held_out):  # trained on first
        by_photo.setdefault(known.photo, []).append(known)
    by_name = {k.name: k for k in sorted(earlier.photos, key=lambda k: k.is_gone, reverse=True)}

    def known_as(photo: Known) -> Known | None:
        twins, namesake = by_photo.get(photo.photo, []), by_name.get(photo.name)
        if namesake is None or namesake in twins or twins:
            return namesake if namesake in twins else next(iter(twins), None)
        is_same = earlier.is_same_folder or _moved(photo, namesake, earlier) < NEAR
        return namesake if is_same else None

    return [known_as(photo) for photo in photos]


def remembered_split(photos: Sequence[Known], earlier: Earlier) -> list[bool | None]:
    """Whether each photo was held out; None for one that is new."""
    return [None if known is None else known.held_out for known in match(photos, earlier)]


def with_gone(photos: Sequence[Known], earlier: Earlier) -> tuple[Known, ...]:
    """What to know from now on: the photos, and those earlier ones that are not among them."""
    there = set(match(photos, earlier))
    gone = [known._replace(is_gone=True) for known in earlier.photos if known not in there]
    return (*photos, *gone)


def differences(photos: Sequence[Known], earlier: Earlier) -> str:
    """What was added, gone or changed since the photos were last read, in one line; "" if nothing.

    Args:
        photos: as they are now, masks read.
        earlier: as the run knows them.
    """
    pairs = list(zip(photos, match(photos, earlier), strict=True))
    both = [(now, then) for now, then in pairs if then is not None]
    if not both:
        return (
            f"none of the {len(photos)} photos is one of the run's; their cameras are taken to be "
            "in its world"
        )
    there = {then for _, then in both}
    changed = {
        "added": [now.name for now, then in pairs if then is None or then.is_gone],
        "gone": [k.name for k in earlier.photos if not k.is_gone and k not in there],
        "renamed": [f"{then.name} to {now.name}" for now, then in both if now.name != then.name],
        "with another photo": [now.name for now, then in both if now.photo != then.photo],
        "with another mask": [now.name for now, then in both if now.mask != then.mask],
        "with another camera": [
            now.name for now, then in both if _other_camera(now, then, earlier)
        ],
    }
    told = [f"{len(which)} {how} ({names(which)})" for how, which in changed.items() if which]
    return f"photos since the run last read them: {', '.join(told)}" if told else ""


def refuse_other_world(photos: Sequence[Known], earlier: Earlier) -> None:
    """Stops at photos that a run knows from elsewhere: all that it learned is in another world.

    Raises:
        Mistake: most cameras of known photos are not where they were.
    """
    pairs = zip(photos, match(photos, earlier), strict=True)
    moves = [_moved(now, then, earlier) for now, then in pairs if then is not None]
    if moves and np.median(moves) > ELSEWHERE:
        raise Mistake(
            f"the cameras of {len(moves)} photos that the run knows are not where they were, by "
            f"{np.median(moves):.2g} of the region's radius in the median; expected the world that "
            "it was trained in",
            setting=("path", "workdir"),
        )


def _known(view: View, pinhole: Pinhole, digest: str) -> Known:
    return Known(
        name=view.name,
        held_out=False,
        photo=digest,
        mask="",
        size=(int(pinhole.size[0]), int(pinhole.size[1])),
        intrinsics=_rows(pinhole.intrinsics),
        world_from_camera=_rows(view.world_from_camera),
    )


def _rows(matrix: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(x) for x in row) for row in matrix)


def _moved(now: Known, then: Known, earlier: Earlier) -> float:
    """How far a camera is from where it was, in scene units, or as difference of its rotation."""
    change = np.abs(np.subtract(now.world_from_camera, then.world_from_camera))
    scale = 1.0 if earlier.world_from_scene is None else float(earlier.world_from_scene.scale)
    return float(max(change[:3, :3].max(), np.linalg.norm(change[:3, 3]) / scale))


def _other_camera(now: Known, then: Known, earlier: Earlier) -> bool:
    pixels = np.abs(np.subtract(now.intrinsics, then.intrinsics)).max()
    is_moved = _moved(now, then, earlier) > SAME
    return is_moved or now.size != then.size or bool(pixels > SAME * max(now.size))
