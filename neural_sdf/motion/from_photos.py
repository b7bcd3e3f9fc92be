"""A folder of plain photos becomes a scene: cameras, masks, and a frame that people can read."""

from __future__ import annotations

import collections
import dataclasses
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from neural_sdf.machine.files import new_folder, scratch_beside
from neural_sdf.masking.scenes import MASKING
from neural_sdf.masking.sheet import mask_sheet
from neural_sdf.mistake import Mistake
from neural_sdf.motion.album import FEATURES_INSIDE, Photo, read_album, reduction, write_album
from neural_sdf.motion.motion import Motion, find_motion, fits_most, rejected, require_most
from neural_sdf.motion.sheet import match_sheet
from neural_sdf.motion.turntable import refuse_still_room
from neural_sdf.photos.doctor import Report, inspect_scene
from neural_sdf.photos.files.capture import image_path
from neural_sdf.photos.files.findings import DataError, Finding
from neural_sdf.photos.layouts import read_capture
from neural_sdf.photos.load import load_scene
from neural_sdf.photos.picture import scene_picture
from neural_sdf.photos.write import write_scene
from neural_sdf.scenes.frame import in_scene_frame, world_from_camera
from neural_sdf.scenes.scene import Scene

MASKS = ("auto", "alpha", *MASKING, "none")
LEAST_AGREEMENT = 0.2  # length of the mean of the photos' upward directions that tells what is up


def photos_to_scene(
    images: str | Path,
    output: str | Path,
    *,
    masks: str = "auto",
    longest_side: int = 2048,
    say: Callable[[str], None] = lambda line: None,
) -> Report:
    """Writes a scene that `load_scene` reads, from photos whose cameras are not known.

    The photos are written without lens distortion. The world is the region of interest as unit
    sphere, z upwards as most photos have it, the first camera looking along y. Beside the photos
    and cameras lie the points, `sparse.ply`, `report.json`, and pictures: `matches.png`,
    `masks.png`, `scene.png`.

    Args:
        images: folder of the photos, PNG or JPEG, turned as their EXIF says.
        output: new folder; it appears whole at the end, or not at all.
        masks: "alpha", "background", "hull" (`masked`), "none", a folder with a mask for each
            photo, or "auto": transparency if there is any, else a plain background if there is
            one, else hull.
        longest_side: photos are reduced by an integer factor to at most so many pixels.
        say: told a line about each step.

    Returns:
        What the doctor finds in the scene as it was written.

    Raises:
        Mistake: if the photos cannot be used, too few fit together, or if a folder is not there;
            also if masks cannot be made or trusted, when all is written but these.
    """
    output, given = new_folder(output), None if masks in MASKS else _mask_folder(masks)
    album = read_album(Path(images).expanduser(), given)
    factor = reduction(album, longest_side)
    say(_described(album, factor))
    with scratch_beside(output) as work:
        places = write_album(album, factor, work)
        if masks == "alpha" and not any((work / "masks").rglob("*.png")):
            raise Mistake(
                "the photos have no transparency; expected some for <masks>=alpha; set it to one of"
                f" {list(MASKS)} or to a folder of masks"
            )
        focals = {
            place.partition("/")[0]: photo.focal and photo.focal / factor
            for place, photo in zip(places, album, strict=True)
        }
        photos = dict(zip(places, (photo.name for photo in album), strict=True))
        inside = FEATURES_INSIDE if any((work / FEATURES_INSIDE).rglob("*.png")) else ""
        motion = find_motion(work, photos, focals, inside)
        if inside and not fits_most(motion):
            say("points: too few on the object alone, so those around it are taken, too")
            motion = find_motion(work, photos, focals, "")
        say(_matched(motion))
        require_most(motion)
        say(_placed(motion))
        try:
            scene = _scene(work, motion, photos)
            if scene.source.points is not None:
                centres = world_from_camera(scene)[:, :3, 3]
                refuse_still_room(centres, scene.source.points.places, motion.matches)
            scene, made_by, refused = _masked(scene, masks)
        except DataError as error:  # whose remedies are for other commands
            raise Mistake(_unusable(error.finding)) from error
        say(f"masks: {made_by}")
        scene = upright(in_scene_frame(scene))
        report = _report(work, motion, made_by)
        beside = {"matches.png": match_sheet(motion), "scene.png": scene_picture(scene)}
        if scene.source.has_masks:
            beside["masks.png"] = mask_sheet(scene)
        beside["report.json"] = (json.dumps(report, indent=1) + "\n").encode()
        write_scene(scene, output, "transforms", beside)
    if refused is not None:
        raise Mistake(
            f"{refused.text}; photos and cameras are in {output}: add masks/ with a mask for each"
            " photo there"
        ) from refused
    return inspect_scene(output)


def upright(scene: Scene) -> Scene:
    """The scene turned: z is the photos' mean direction upwards, the first camera looks along y.

    Where the photos do not agree on a direction, z is the axis of the ring they were taken from:
    along which the cameras' places vary least.
    """
    poses = np.array(scene.scene_from_camera, np.float64)
    up = -poses[:, :3, 1].mean(axis=0)
    if np.linalg.norm(up) < LEAST_AGREEMENT:
        places = poses[:, :3, 3] - poses[:, :3, 3].mean(axis=0)
        axis = np.linalg.svd(places)[2][2]
        up = axis if up @ axis >= 0 else -axis
    rotation, source = _rotation(up, poses[0, :3, 2], poses[0, :3, 1]), scene.source
    poses[:, :3] = rotation @ poses[:, :3]
    if source.points is not None:
        turned = source.points._replace(places=source.points.places @ rotation.T)
        source = dataclasses.replace(source, points=turned)
    return scene._replace(scene_from_camera=poses, source=source)


def _rotation(
    up: Float64[np.ndarray, "3"],
    forward: Float64[np.ndarray, "3"],
    other: Float64[np.ndarray, "3"],
) -> Float64[np.ndarray, "3 3"]:
    """Takes up to z and forward into the half plane of y; other, where forward is upright."""
    up = up / np.linalg.norm(up)
    right = np.cross(forward, up)
    if np.linalg.norm(right) < 1e-3:
        right = np.cross(-other, up)
    right = right / np.linalg.norm(right)
    return np.stack([right, np.cross(up, right), up])


def _mask_folder(masks: str) -> Path:
    folder = Path(masks).expanduser()
    if not masks or not folder.is_dir():
        raise Mistake(
            f"masks {masks!r} is neither a way to make them nor a folder; expected one of"
            f" {list(MASKS)} or a folder with a mask for each photo; set <masks>"
        )
    return folder


def _scene(work: Path, motion: Motion, photos: dict[str, str]) -> Scene:
    """The largest group as a scene, in the arbitrary frame of structure from motion."""
    assert motion.model is not None
    (work / "sparse").mkdir()
    motion.model.rename(work / "sparse" / "0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they would name files that the user does not know
        scene = load_scene(work, format="colmap", holdout_every=0)
    known = {"_".join(Path("images", p).with_suffix("").parts): name for p, name in photos.items()}
    found = tuple(known[name] for name in scene.source.names)
    return scene._replace(source=dataclasses.replace(scene.source, names=found))


def _masked(scene: Scene, masks: str) -> tuple[Scene, str, Mistake | None]:
    """The scene with masks, where they are from, and why there are none if they were refused."""
    if masks == "none":
        return scene, "none", None
    if masks not in MASKING and scene.source.has_masks:
        return scene, "alpha" if masks in MASKS else masks, None
    refused = None
    for way in [masks] if masks in MASKING else MASKING:
        try:
            return MASKING[way](scene), way, None
        except DataError:
            raise
        except Mistake as error:
            refused = error
    return scene, "none", refused


def _unusable(finding: Finding) -> str:
    """Why no scene can be made of cameras that were found, in words for photos."""
    if "mask" in finding.code:
        return f"{finding.message}; write masks bright on the object, or set <masks> to another way"
    if finding.code == "parallel-cameras":
        return (
            "the photos look at a flat thing, or all in one direction; expected an object from"
            " different sides; take photos from all round it"
        )
    return f"{finding.message}; take photos from all round the object"


def _described(album: Sequence[Photo], factor: int) -> str:
    cameras = len({photo.camera for photo in album})
    blind = [photo.name for photo in album if photo.focal is None]
    sizes = collections.Counter(f"{width}x{height}" for height, width in (p.size for p in album))
    line = "photos: " + ", ".join(f"{count} of {size}" for size, count in sizes.items())
    line += f", reduced {factor} times" if factor > 1 else ""
    line += f", by {cameras} cameras or focal lengths" if cameras > 1 else ""
    if blind:
        line += f"; no focal length in the EXIF of {len(blind)} of them, so it is estimated"
    return line


def _matched(motion: Motion) -> str:
    pairs = int(np.count_nonzero(np.triu(motion.matches)))
    count = len(motion.photos)
    return (
        f"points: {int(np.median(motion.num_points))} in a photo; {pairs} of"
        f" {count * (count - 1) // 2} pairs of photos share some"
    )


def _placed(motion: Motion) -> str:
    left_out = rejected(motion)
    line = (
        f"cameras: {len(motion.groups[0])} of {len(motion.photos)} photos registered, reprojection"
        f" error {motion.error:.2f} pixels, {motion.num_mapped} points"
    )
    return line + "".join(f"\n  {photo} rejected: {why}" for photo, why in left_out.items())


def _report(work: Path, motion: Motion, made_by: str) -> dict[str, Any]:
    """What `report.json` holds; lengths are pixels of the photos as they were matched."""
    views = read_capture(work, format="colmap", cameras="").views
    cameras = {image_path(view.image).parent.name: view for view in views}
    return {
        "photos": len(motion.photos),
        "registered": [motion.photos[i] for i in motion.groups[0]],
        "rejected": rejected(motion),
        "reprojection_error": motion.error,
        "points": motion.num_mapped,
        "cameras": [
            {
                "height_width": list(view.size or ()),
                "intrinsics": view.intrinsics.tolist(),
                "distortion": list(view.lens or ()),
            }
            for view in cameras.values()
        ],
        "masks": made_by,
    }
