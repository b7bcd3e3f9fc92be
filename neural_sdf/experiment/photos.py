"""The photos of a run: remembered in its workdir, and met again in the frame it was trained in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from neural_sdf.experiment.workdir import Trained
from neural_sdf.geometry import Similarity, coordinates
from neural_sdf.machine.files import write_json
from neural_sdf.mistake import Mistake, file_mistakes, within
from neural_sdf.photos import open_scene
from neural_sdf.photos.known import (
    Earlier,
    Known,
    differences,
    match,
    with_gone,
    with_masks,
)
from neural_sdf.scenes import Scene, background_colour

FILE = "photos.json"
ALL_NEW = {"holdout_every": 1, "holdout_offset": 0, "holdout_views": ()}  # or the new test split


class Remembered(NamedTuple):
    """What a workdir says of its photos.

    Attributes:
        photos: in the order of their files; at the end those that are gone.
        background: what is behind the object, `scenes.background_colour`.
    """

    photos: tuple[Known, ...]
    background: tuple[float, ...]


def remembered(workdir: Path) -> Remembered | None:
    """What a run wrote of its photos; None from before runs did, and of the embedded scene.

    Raises:
        Mistake: a file that is not what a run writes.
    """
    path = workdir / FILE
    if not path.exists():
        return None
    with file_mistakes():
        content = path.read_bytes()
    try:
        document = json.loads(content)
        photos = tuple(_known(photo) for photo in document["photos"])
        return Remembered(photos, tuple(float(x) for x in document["background"]))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Mistake(
            f"{path} cannot be read ({error!r:.100}); expected what training wrote",
            remedy="without that file nobody knows which photos were held out",
        ) from error


def earlier_photos(workdir: Path, frame: Similarity, has_moved: bool) -> Earlier:
    """What the run in a workdir knows of its photos, which may be asked for elsewhere."""
    known = remembered(workdir)
    return Earlier() if known is None else Earlier(known.photos, frame, not has_moved)


def remember(workdir: Path, photos: Sequence[Known], scene: Scene, earlier: Earlier) -> None:
    """Writes what a run is to know of its photos; nothing for a scene that has no files.

    Args:
        workdir: of the run.
        photos: of the scene, in its order, masks read.
        scene: that is trained on.
        earlier: what the run knew.
    """
    if photos:
        by_file = [photos[i] for i in np.argsort(scene.source.indices)]
        document = {
            "background": background_colour(scene).tolist(),
            "photos": [photo._asdict() for photo in with_gone(by_file, earlier)],
        }
        write_json(workdir / FILE, document)


def load_in_frame(trained: Trained, workdir: str | Path, path: str | Path | None = None) -> Scene:
    """Photos to measure a field on, in its frame; says what is other than in training.

    Held out are those that the run held out, and all that it never knew, or of these the test
    split where their layout has one. A run that knows no photos takes only those of its region.

    Args:
        trained: of the workdir.
        workdir: of the run.
        path: folder of the photos, be they the run's or others of the same world; where training
            found them if None.

    Raises:
        Mistake: photos that cannot be used, or cameras of another world.
    """
    earlier = earlier_photos(Path(workdir), trained.world_from_scene, has_moved=path is not None)
    settings = trained.config.data.to_dict()
    settings |= {} if path is None else {"path": path}
    if earlier.photos:
        settings |= ALL_NEW
    with within("data"):
        opened = open_scene(**settings, earlier=earlier)
        scene = opened.read()
        photos = with_masks(opened.photos, scene)
        told = meet_again(photos, scene, earlier, trained.world_from_scene, workdir)
    if told:
        print(told, flush=True)
    return scene


def meet_again(
    photos: Sequence[Known], scene: Scene, earlier: Earlier, frame: Similarity, workdir: str | Path
) -> str:
    """What is other than it was with a run's photos, in one line; "" if nothing.

    Args:
        photos: of the scene, masks read.
        scene: to train on.
        earlier: what the run knows of its photos.
        frame: world_from_scene of its checkpoint.
        workdir: of the run.

    Raises:
        Mistake: of a run that knows no photos, and these have another region.
    """
    if earlier.world_from_scene is None:
        check_same_frame(scene.world_from_scene, frame, workdir)
        return ""
    return differences(photos, earlier)


def refuse_others_to_train_on(photos: Sequence[Known], earlier: Earlier) -> None:
    """Stops a run whose cameras learn something of each photo, in order, at other photos.

    Raises:
        Mistake: not the photos that the run was trained on.
    """
    before = [known for known in earlier.photos if not (known.held_out or known.is_gone)]
    now = match([photo for photo in photos if not photo.held_out], earlier)
    if earlier.photos and now != before:
        raise Mistake(
            "train.cameras learns something of each photo, and these are not those that it was "
            f"trained on ({len(now)} now, {len(before)} then); expected the same",
            setting=("path", "workdir"),
        )


def check_same_frame(now: Similarity, before: Similarity, workdir: str | Path) -> None:
    """Refuses photos whose region of interest is not the one that was trained in."""
    scale = float(before.scale)
    # Not relative to coordinates: a millionth of a northing is metres.
    same = [
        np.allclose(x, y, rtol=0, atol=1e-6 * (1 if name == "rotation" else scale))
        for (name, x), y in zip(now._asdict().items(), before, strict=True)
    ]
    if not all(same):
        places = [coordinates(np.asarray(x.translation), 1e-3 * scale) for x in (before, now)]
        raise Mistake(
            f"{workdir} was trained on a region of radius {scale:.6g} about ({places[0]}), these "
            f"photos have radius {float(now.scale):.6g} about ({places[1]}); expected the same "
            "photos",
            setting=("path", "workdir"),
        )


def _known(photo: Mapping[str, Any]) -> Known:
    """A photo as `remember` wrote it; its lists are tuples again."""
    matrices = {
        name: tuple(tuple(float(x) for x in row) for row in photo[name])
        for name in ("intrinsics", "world_from_camera")
    }
    return Known(**{**photo, **matrices, "size": tuple(photo["size"])})
