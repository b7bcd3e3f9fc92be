"""The camera of one of a run's photos, which needs no photo where the run remembers it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from neural_sdf.experiment.photos import Remembered, load_in_frame, remembered
from neural_sdf.experiment.workdir import Trained
from neural_sdf.geometry import Similarity
from neural_sdf.mistake import Mistake
from neural_sdf.scenes import Scene, background_colour
from neural_sdf.scenes.frame import normalise


class Shot(NamedTuple):
    """What a picture is made with.

    Attributes:
        intrinsics: K at `size`, pixels, [3, 3].
        scene_from_camera: rigid OpenCV pose, [4, 4].
        size: (height, width), pixels.
        background: colour behind the object, in [0, 1], [3].
    """

    intrinsics: Float64[np.ndarray, "3 3"]
    scene_from_camera: Float64[np.ndarray, "4 4"]
    size: tuple[int, int]
    background: Float64[np.ndarray, "3"]


def find_shot(
    trained: Trained,
    workdir: str | Path,
    view: int | str | None = None,
    path: str | Path | None = None,
) -> Shot:
    """The camera of a photo.

    Args:
        trained: of the workdir.
        workdir: of the run.
        view: name of the photo, or its position in the order of the files; the first held-out one
            if None.
        path: folder of other photos of the same world; the run's own if None.

    Raises:
        Mistake: a view that is not there, or photos that are needed and cannot be used.
    """
    known = remembered(Path(workdir)) if path is None else None
    if known is not None:
        return _of_memory(known, trained.world_from_scene, view)
    return _of_scene(load_in_frame(trained, workdir, path), view)


def _of_memory(known: Remembered, frame: Similarity, view: int | str | None) -> Shot:
    photos = [photo for photo in known.photos if not photo.is_gone]
    photo = photos[_position([p.name for p in photos], [p.held_out for p in photos], view)]
    pose = normalise(np.array([photo.world_from_camera]), frame)[0]
    return Shot(np.array(photo.intrinsics), pose, photo.size, np.array(known.background))


def _of_scene(scene: Scene, view: int | str | None) -> Shot:
    order = np.argsort(scene.source.indices)
    names = [scene.source.names[i] for i in order]
    i = order[_position(names, [int(i) >= int(scene.num_train) for i in order], view)]
    height, width = (int(x) for x in scene.sizes[i])
    return Shot(
        np.asarray(scene.intrinsics[i], np.float64),
        np.asarray(scene.scene_from_camera[i], np.float64),
        (height, width),
        np.asarray(background_colour(scene), np.float64),
    )


def _position(names: Sequence[str], held_out: Sequence[bool], view: int | str | None) -> int:
    """Where a view is in the order of the files; a name comes before a number."""
    if view is None:
        return next((i for i, held in enumerate(held_out) if held), 0)
    if view in names:
        return names.index(view)
    if str(view) not in map(str, range(len(names))):  # 005 looks like a name, and is none
        raise Mistake(
            f"view {view} is not there; expected 0 to {len(names) - 1}, as the files are ordered, "
            f"or a name like {names[0]}",
            setting="view",
        )
    return int(view)
