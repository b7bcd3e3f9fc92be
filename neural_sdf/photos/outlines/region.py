"""Where the object is: the sphere that becomes the scene's unit sphere, found without being told.

In this order: the settings, `region.json` beside the photos, the layout's own, the visual hull of
the masks, sparse points, and what all cameras look at.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int

from neural_sdf.geometry import Similarity
from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.capture import Capture
from neural_sdf.photos.files.findings import DataError, Finding
from neural_sdf.photos.files.folder import LARGEST, parse_json, read_text
from neural_sdf.photos.outlines.hull import MARGIN, region_of_interest, viewed_place
from neural_sdf.photos.outlines.thing import FEWEST, object_points

FILE = "region.json"
EXPECTED = "a json object with 'centre' [x, y, z] and 'radius' in world units"
# How a region was found, where nobody had given it.
BY_HULL, BY_POINTS, BY_VIEW = FOUND = (
    "the masks' visual hull",
    "sparse points",
    "the cameras' common view",
)
OUTLIERS = 0.01  # share of the object's sparse points left out at either end of an axis


class Region(NamedTuple):
    """The region of interest, and how it was found, in words."""

    world_from_scene: Similarity
    found_by: str


def given_region(
    centre: Sequence[float] | None, radius: float | None, box: Sequence[float] | None
) -> tuple[Sequence[float] | None, float | None]:
    """Centre and radius that the settings ask for, each None if they do not.

    Args:
        centre: of the sphere, world units.
        radius: of the sphere, world units.
        box: lower corner, then upper corner, world units; the sphere goes through its corners.

    Raises:
        Mistake: if they are no place, or say it twice.
    """
    if centre is not None and not (len(centre) == 3 and np.isfinite(centre).all()):
        raise Mistake(f"centre {centre}: expected three finite world coordinates; set <centre>")
    if radius is not None and not 0 < radius < math.inf:
        raise Mistake(f"radius {radius}: expected a positive length in world units; set <radius>")
    if box is None:
        return centre, radius
    if centre is not None or radius is not None:
        raise Mistake(
            f"box {box} is given beside a centre or a radius; expected one of the two; set"
            " <box>, or <centre> and <radius>"
        )
    corners = np.asarray(box, np.float64).reshape(-1)
    if (
        corners.shape != (6,)
        or not np.isfinite(corners).all()
        or (corners[3:] <= corners[:3]).any()
    ):
        raise Mistake(
            f"box {box}: expected six world coordinates, the lower corner and then the upper one;"
            " set <box>"
        )
    return tuple((corners[:3] + corners[3:]) / 2), float(
        np.linalg.norm(corners[3:] - corners[:3]) / 2
    )


def find_region(
    folder: Path,
    capture: Capture,
    masks: Sequence[Bool[np.ndarray, "_h _w"]] | None,
    intrinsics: Float64[np.ndarray, "V 3 3"],
    world_from_camera: Float64[np.ndarray, "V 4 4"],
    sizes: Int[np.ndarray, "V 2"],
    *,
    centre: Sequence[float] | None,
    radius: float | None,
) -> Region:
    """The region of interest of a set.

    Args:
        folder: of the set.
        capture: as its reader gave it.
        masks: true on the object, of the training views; None where there are none.
        intrinsics: of the training views, at the size of the masks.
        world_from_camera: of the training views.
        sizes: (height, width) of the training views.
        centre: instead of the one found.
        radius: instead of the one found.

    Raises:
        Mistake: if it cannot be found; says what to set.
    """
    if centre is not None and radius is not None:
        return Region(_sphere(centre, radius), "the settings")
    written = written_region(folder)
    if written is not None:
        found = Region(written, FILE)
    elif capture.world_from_scene is not None:
        found = Region(capture.world_from_scene, "the camera file")
    elif masks is not None:
        hull = region_of_interest(masks, intrinsics, world_from_camera)
        found = Region(_sphere(*hull), BY_HULL)
    elif capture.points is not None and len(capture.points.places):
        found = Region(_sphere(*_about_points(capture.points.places, world_from_camera)), BY_POINTS)
    else:
        view = common_view(intrinsics, world_from_camera, sizes)
        found = Region(_sphere(*view), BY_VIEW)
    if centre is None and radius is None:
        return found
    frame, by = found
    scale = frame.scale if radius is None else np.array(radius, np.float64)
    place = frame.translation if centre is None else np.asarray(centre, np.float64)
    return Region(Similarity(scale, frame.rotation, place), f"{by} and the settings")


def written_region(folder: Path) -> Similarity | None:
    """The region in `region.json` beside the photos; None if there is none.

    Raises:
        DataError: if the file names no sphere.
    """
    return _read_region(folder / FILE) if (folder / FILE).is_file() else None


def write_region(folder: Path, world_from_scene: Similarity) -> None:
    """`region.json` for layouts that have no place for the region."""
    document = {
        "centre": np.asarray(world_from_scene.translation).tolist(),
        "radius": float(world_from_scene.scale),
        "rotation": np.asarray(world_from_scene.rotation).tolist(),
    }
    (folder / FILE).write_text(json.dumps(document, indent=1) + "\n")


def _read_region(path: Path) -> Similarity:
    try:
        document = parse_json(read_text(path, EXPECTED))
        spelling = "center" if "center" in document and "centre" not in document else "centre"
        centre = np.array(document[spelling], np.float64)
        radius = np.array(document["radius"], np.float64)
        rotation = np.array(document.get("rotation", np.eye(3)), np.float64)
    except KeyError as error:
        raise _unreadable(path, f"it has no {error}") from error
    except (
        ValueError,
        TypeError,
        AttributeError,
        RecursionError,
        OverflowError,
    ) as error:
        raise _unreadable(path, error) from error
    shapes = (centre.shape, radius.shape, rotation.shape) == ((3,), (), (3, 3))
    numbers = np.concatenate([centre.ravel(), radius.ravel(), rotation.ravel()])
    bounded = bool((np.abs(numbers) <= LARGEST).all())
    if not (shapes and bounded and radius >= 1 / LARGEST):
        raise _unreadable(path, f"centre {centre}, radius {radius}")
    if not np.abs(rotation @ rotation.T - np.eye(3)).max() < 1e-6 or np.linalg.det(rotation) < 0:
        raise _unreadable(path, "'rotation' is no rotation")
    return Similarity(radius, rotation, centre)


def _unreadable(path: Path, reason: Exception | str) -> DataError:
    what = f"{path} cannot be read ({' '.join(str(reason).split())[:200]}), expected {EXPECTED}"
    return DataError(Finding("unreadable-region", "error", what, "mend it or delete it"))


def _sphere(centre: Sequence[float] | np.ndarray, radius: float) -> Similarity:
    return Similarity(np.array(radius, np.float64), np.eye(3), np.asarray(centre, np.float64))


def _about_points(
    points: Float64[np.ndarray, "N 3"], world_from_camera: Float64[np.ndarray, "V 4 4"]
) -> tuple[Float64[np.ndarray, "3"], float]:
    """A sphere about the sparse points of the object."""
    kept = object_points(points, world_from_camera)
    if len(kept) < FEWEST:
        middle, distance = viewed_place(world_from_camera)
        return middle, 0.5 * distance
    lower, upper = np.quantile(kept, [OUTLIERS, 1 - OUTLIERS], axis=0)
    centre = (lower + upper) / 2
    apart = np.linalg.norm(kept - centre, axis=1)
    return centre, float(MARGIN * np.quantile(apart, 1 - OUTLIERS))


def common_view(
    intrinsics: Float64[np.ndarray, "V 3 3"],
    world_from_camera: Float64[np.ndarray, "V 4 4"],
    sizes: Int[np.ndarray, "V 2"],
) -> tuple[Float64[np.ndarray, "3"], float]:
    """Centre and radius of the largest sphere about the viewed place that most cameras show whole.

    Raises:
        DataError: if the cameras do not look at one place.
    """
    middle, distance = viewed_place(world_from_camera)
    focal = intrinsics[:, [0, 1], [0, 1]]
    half = np.arctan(sizes[:, ::-1] / 2 / focal).min(axis=1)
    return middle, float(distance * np.median(np.sin(half)))
