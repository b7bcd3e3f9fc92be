"""What a photo format's reader returns: cameras and file names, before any pixel is read.

A reader is one function `read(folder, cameras) -> Capture` in a module of `photos.formats`, listed
in `formats.FORMATS`. It converts its format's conventions to the project's (OpenCV axes, pixel
centres at +0.5, float64) and refuses only what it cannot make sense of; what every capture must
satisfy is checked in `photos.inspection`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from neural_sdf.geometry import Similarity, SparsePoints
from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.findings import Finding, names
from neural_sdf.photos.files.lens_models import Lens, OpenCV

FARTHEST = 1e6  # focal length over photo side, or the other way round
FARTHEST_CENTRE = 10.0  # of the principal point from the photo's middle, sides; photos may be cut
NO_SKEW = 1e-2  # pixels; what rounded matrices leave, and too little to be seen in a photo
RIGID_TOLERANCE = 1e-3  # of RᵀR from the identity; a file rounded to four decimals passes


class Stored(NamedTuple):
    """An image file that lies in a dataset and not in a folder; used where a path is.

    Attributes:
        name: of the file, in the folder that it came from.
        content: PNG or JPEG.
    """

    name: str
    content: bytes

    def is_file(self) -> bool:
        """As of a path: it is there."""
        return True

    def __str__(self) -> str:
        """The name, as messages give it."""
        return self.name


ImageFile = Path | Stored


def image_path(image: ImageFile) -> Path:
    """The path of an image that lies in a folder.

    Raises:
        TypeError: if it lies in a dataset.
    """
    if isinstance(image, Stored):
        raise TypeError(f"image {image} lies in a dataset; expected a file")
    return image


class Header(NamedTuple):
    """What an image file says before its pixels.

    Attributes:
        height: pixels, as stored.
        width: pixels, as stored.
        has_alpha: whether it has an alpha channel.
        orientation: in EXIF, 1 to 8; from 5 the photo is shown on its side.
    """

    height: int
    width: int
    has_alpha: bool
    orientation: int = 1


class View(NamedTuple):
    """One photo with its camera.

    Attributes:
        name: short and without slashes, so that it can name a file.
        origin: where the camera was written ("frame 3 of transforms.json"); for messages.
        image: the photo.
        mask: grey image; None where it is the photo's own alpha channel, if any.
        intrinsics: K of the full-size photo in pixels, half-pixel centres, [3, 3].
        world_from_camera: rigid OpenCV pose in the photos' own world, [4, 4].
        size: (height, width) that the format declares, None where it declares none.
        is_test: whether the layout keeps this view for testing.
        lens: how the photo is distorted; None if it is not.
        header: of the photo, where the reader had to look; None where it had not.
        mask_shows_background: whether the mask is known to be bright off the object.
        is_turned: whether the camera is that of the photo as its EXIF says that it is shown, and
            not as it is stored; None where nobody knows.
        mask_turn: the orientation, as in EXIF, by which the mask becomes that of the photo as it
            is read; 1 for none.
    """

    name: str
    origin: str
    image: ImageFile
    mask: ImageFile | None
    intrinsics: Float64[np.ndarray, "3 3"]
    world_from_camera: Float64[np.ndarray, "4 4"]
    size: tuple[int, int] | None = None
    is_test: bool = False
    lens: Lens | None = None
    header: Header | None = None
    mask_shows_background: bool = False
    is_turned: bool | None = None
    mask_turn: int = 1


class Capture(NamedTuple):
    """All views of a scene in the order of their files.

    Attributes:
        views: in file order, which `data.holdout_*` counts from 0.
        world_from_scene: takes the unit sphere to the region of interest, None where the layout
            does not say.
        points: sparse points; None where the layout has none.
        findings: what the reader decided that the files left open.
        left_out: photos with cameras that the layout keeps from training and from testing.
    """

    views: tuple[View, ...]
    world_from_scene: Similarity | None = None
    points: SparsePoints | None = None
    findings: tuple[Finding, ...] = ()
    left_out: frozenset[Path] = frozenset()


class Format(NamedTuple):
    """A layout of photo sets.

    Attributes:
        looks_for: the files that tell it from others, in words; for messages.
        recognises: whether a folder holds this layout.
        read: the views of a folder; the second argument names the file or folder of cameras, in
            layouts that leave a choice, and is empty for the usual one.
        write: writes the cameras of a capture whose photos and masks lie in the folder already;
            None for layouts that are only read.
        folders: where the writer's photos and masks lie.
        names_folder: whether the reader's names of views begin with the folder of the photos.
        holds_region: whether the writer's files say where the region of interest is.
        holds_split: whether they say which views are held out.
    """

    looks_for: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path, str], Capture]
    write: Callable[[Path, Capture], None] | None = None
    folders: tuple[str, str] = ("images", "masks")
    names_folder: bool = True
    holds_region: bool = False
    holds_split: bool = False


def view_name(folder: Path, image: Path) -> str:
    """Name of a view: its path in the folder without suffix, slashes made underscores."""
    return "_".join(image.relative_to(folder).with_suffix("").parts)


def same_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether a size in pixels is another times one number, to within a pixel a side."""
    least = max((a - 1) / b for a, b in zip(size, other, strict=True))
    most = min((a + 1) / b for a, b in zip(size, other, strict=True))
    return least <= most


def refuse_unwritable(views: Sequence[View], layout: str) -> None:
    """Stops a writer at cameras that its layout cannot hold.

    Raises:
        Mistake: if the K of any view has skew beyond rounding, or its lens is not OpenCV's.
    """
    strange = [view.name for view in views if view.lens and not isinstance(view.lens, OpenCV)]
    if strange:
        raise Mistake(
            f"cameras {names(strange)} have a lens that {layout} files are not written with here;"
            " expected none, or OpenCV's; undo the distortion first"
        )
    skewed = [view.name for view in views if abs(view.intrinsics[0, 1]) > NO_SKEW]
    if skewed:
        raise Mistake(
            f"cameras {names(skewed)} have skew, which {layout} files cannot hold; expected none;"
            " write the scene as idr"
        )


def pose_from_extrinsics(
    rotation: Float64[np.ndarray, "3 3"], translation: Float64[np.ndarray, "3"]
) -> Float64[np.ndarray, "4 4"]:
    """world_from_camera of the world to camera map x -> R x + t; R may have a scale."""
    scale2 = np.cbrt(np.linalg.det(rotation)) ** 2
    inverse = rotation.T / scale2 if abs(scale2 - 1) > RIGID_TOLERANCE < scale2 else rotation.T
    pose = np.eye(4)
    pose[:3, :3] = inverse
    pose[:3, 3] = -inverse @ translation
    return pose


def pose_fault(pose: Float64[np.ndarray, "4 4"]) -> str | None:
    """Why a world_from_camera is not rigid, with the offending number; None if it is."""
    if not np.isfinite(pose).all():
        return f"the pose holds {pose[~np.isfinite(pose)][0]}, expected finite numbers"
    if np.abs(pose[3] - [0, 0, 0, 1]).max() > RIGID_TOLERANCE:
        row = ", ".join(f"{value:.4g}" for value in pose[3] + 0.0)  # no -0
        return f"the pose's last row is [{row}], expected [0, 0, 0, 1] (is the matrix transposed?)"
    rotation = pose[:3, :3]
    lengths = np.linalg.norm(rotation, axis=0)
    worst = lengths[np.argmax(np.abs(lengths - 1))]
    if abs(worst - 1) > RIGID_TOLERANCE:
        return f"the pose's rotation has a column of length {worst:.4g}, expected 1 (no scale)"
    skewness = np.abs(rotation.T @ rotation - np.eye(3)).max()
    if skewness > RIGID_TOLERANCE:
        return f"the pose's axes have a cosine of {skewness:.4g} between them, expected 0"
    if np.linalg.det(rotation) < 0:
        return "the pose's rotation has determinant -1 (a mirror image), expected +1"
    return None


def intrinsics_fault(intrinsics: Float64[np.ndarray, "3 3"], height: int, width: int) -> str | None:
    """Why K cannot be the camera of a photo of this size; None if it can."""
    if not np.isfinite(intrinsics).all():
        value = intrinsics[~np.isfinite(intrinsics)][0]
        return f"the intrinsics hold {value}, expected finite numbers"
    fx, fy, cx, cy = intrinsics[[0, 1, 0, 1], [0, 1, 2, 2]]
    shares = np.array([fx, fy]) / max(height, width)
    if not (shares.min() > 1 / FARTHEST and shares.max() < FARTHEST):
        return f"the focal lengths are fx {fx:.6g}, fy {fy:.6g}, expected positive pixels"
    sides = np.abs([cx / width - 0.5, cy / height - 0.5])
    if not sides.max() <= FARTHEST_CENTRE:
        return (
            f"the principal point ({cx:.6g}, {cy:.6g}) is {sides.max():.3g} sides from the middle"
            f" of the photo of {width}x{height}, expected {FARTHEST_CENTRE:g} or less"
        )
    return None
