"""The layout of SDFStudio: `meta_data.json` beside photos and masks.

A frame has `rgb_path`, `camtoworld` (camera to world, OpenCV axes), `intrinsics` (K, half-pixel
centres) and, if there is one, `foreground_mask`. The box of the scene is SDFStudio's own volume,
and not where the object is; it is not needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from neural_sdf.photos.files.capture import Capture, Format, View, view_name
from neural_sdf.photos.files.folder import inner_path
from neural_sdf.photos.formats.entries import (
    half_pixel_intrinsics,
    in_order,
    json_frames,
    matrix,
    named_masks,
    named_photos,
    side,
)

CAMERAS = "meta_data.json"


def is_sdfstudio(folder: Path) -> bool:
    """Whether a folder holds this layout."""
    return (folder / CAMERAS).is_file()


def read_sdfstudio(folder: Path, cameras: str) -> Capture:
    """Views of an SDFStudio folder in the order of their photos' names.

    Args:
        folder: holds the json file.
        cameras: not used, the layout fixes the name.

    Raises:
        Mistake: if the json is not as the format has it.
    """
    del cameras
    document = json_frames(folder / CAMERAS)
    frames = [{**document, **frame} for frame in document["frames"]]
    origins = [f"frame {i} of {CAMERAS}" for i in range(len(frames))]
    named = [
        {
            key: inner_path(folder, frame.get(key), f"{key} of {origin}")
            for key in ("rgb_path", "foreground_mask")
            if key == "rgb_path" or frame.get(key) is not None
        }
        for frame, origin in zip(frames, origins, strict=True)
    ]
    photos = named_photos(folder, [names["rgb_path"] for names in named], CAMERAS)
    masks = [names["foreground_mask"] for names in named if "foreground_mask" in names]
    found = named_masks(folder, masks, CAMERAS)
    left = iter(found.paths)
    views = [
        _view(folder, frame, origin, photo, next(left) if "foreground_mask" in names else None)
        for frame, origin, names, photo in zip(frames, origins, named, photos.paths, strict=True)
    ]
    views = in_order(folder, views, folder / CAMERAS)
    return Capture(views, findings=(*photos.findings, *found.findings))


def _view(folder: Path, frame: dict[str, Any], origin: str, photo: Path, mask: Path | None) -> View:
    pose = np.eye(4)
    pose[:3] = matrix(frame.get("camtoworld"), (3, 4), f"camtoworld of {origin}")
    where = f"intrinsics of {origin}"
    K = half_pixel_intrinsics(matrix(frame.get("intrinsics"), (3, 3), where).ravel(), where)
    K[:2, 2] -= 0.5
    sides = [side(frame.get(key), f"{key} of {origin}") for key in ("height", "width")]
    return View(view_name(folder, photo), origin, photo, mask, K, pose, (sides[0], sides[1]))


SDFSTUDIO = Format("meta_data.json", is_sdfstudio, read_sdfstudio)
