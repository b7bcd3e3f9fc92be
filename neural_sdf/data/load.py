"""A folder of photos in any known layout becomes a `Scene`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64

from neural_sdf.data.capture import (
    Capture,
    Format,
    View,
    intrinsics_fault,
    pose_fault,
    refuse_faults,
)
from neural_sdf.data.hull import region_of_interest
from neural_sdf.data.idr import is_idr, read_idr
from neural_sdf.data.images import Header, downscale_intrinsics, read_header, read_view
from neural_sdf.data.scene import Scene, Source
from neural_sdf.data.synthetic import synthetic_scene
from neural_sdf.data.transforms import is_transforms, read_transforms
from neural_sdf.geometry import Similarity, inverse, transform_points

FORMATS: dict[str, Format] = {
    "idr": Format("image/ and an npz of cameras", is_idr, read_idr),
    "transforms": Format(
        "transforms_train.json or transforms.json", is_transforms, read_transforms
    ),
}
MOST_PIXELS = 2**31 - 1  # positions in the pixel buffer are int32


def load_scene(
    path: str | Path,
    *,
    format: str = "auto",
    downscale: int = 1,
    cameras: str = "cameras.npz",
    holdout_every: int = 8,
    holdout_offset: int = 4,
    holdout_views: Sequence[int] = (),
    centre: Sequence[float] | None = None,
    radius: float | None = None,
    background: float = 1.0,
) -> Scene:
    """Photos, masks and cameras of a folder, in the frame of their region of interest.

    What can be checked without pixels is checked before the first is read. The region of interest
    is the layout's own, else a sphere about the visual hull of the training masks.

    Args:
        path: folder of the photo set.
        format: name in `FORMATS`, or "auto" to recognise the layout by its files.
        downscale: photos are reduced by this integer factor, by box average.
        cameras: name of the camera file, in layouts that leave a choice (idr).
        holdout_every: one view in so many is held out where the layout has no test split; 0 for
            none.
        holdout_offset: the first of them, in file order from 0.
        holdout_views: exactly these are held out instead, in file order from 0.
        centre: of the region of interest, in world units; instead of the one found.
        radius: of the region of interest, in world units; instead of the one found.
        background: grey in [0, 1] that transparent photos are laid on.

    Returns:
        The scene as NumPy arrays: float64 cameras, uint8 photos, int32 counts. Training views come
        first, both groups in file order.

    Raises:
        ValueError: if a setting, a camera or an image is not what it should be.
        FileNotFoundError: if files are missing.
    """
    _check_settings(downscale, centre, radius, background)
    if format == "synthetic":
        return synthetic_scene(size=128 // downscale)
    capture = read_capture(path, format=format, cameras=cameras)
    headers = [read_header(view.image) for view in capture.views]
    check_views(capture.views, headers)
    held_out = held_out_views(capture.views, holdout_every, holdout_offset, holdout_views)
    order = np.argsort(held_out, kind="stable")
    sizes = _reduced_sizes([headers[i] for i in order], downscale)
    views, num_train = [capture.views[i] for i in order], int(np.sum(~held_out))
    source = Source(tuple(view.name for view in views), tuple(int(i) for i in order))
    rgb, mask, offsets = _read_pixels(views, sizes, downscale, background)
    shown = [m.reshape(s) for m, s in zip(np.split(mask, offsets[1:-1]), sizes, strict=True)]
    _report_masks(shown, source.names, num_train)
    intrinsics = np.stack([downscale_intrinsics(view.intrinsics, downscale) for view in views])
    poses = np.stack([view.world_from_camera for view in views])
    training = shown[:num_train], intrinsics[:num_train], poses[:num_train]
    region = _region(
        capture.world_from_scene, lambda: region_of_interest(*training), centre, radius
    )
    return Scene(
        rgb=rgb,
        mask=mask,
        offsets=offsets,
        sizes=sizes,
        intrinsics=intrinsics,
        scene_from_camera=normalise(poses, region, num_train),
        num_train=np.array(num_train, np.int32),
        world_from_scene=region,
        source=source,
    )


def read_capture(path: str | Path, *, format: str, cameras: str) -> Capture:
    """The cameras of a folder, by the reader of its layout.

    Raises:
        ValueError: if the format is unknown or not to be recognised.
        FileNotFoundError: if the folder or its files are missing.
    """
    if format != "auto" and format not in FORMATS:
        raise ValueError(
            f"photo format {format!r} is unknown; expected one of"
            f" {['auto', 'synthetic', *FORMATS]}; set config.data.format"
        )
    folder = Path(path).expanduser()
    if not str(path) or not folder.is_dir():
        raise FileNotFoundError(
            f"photo folder {str(path)!r} is not there; expected a folder of photos with cameras;"
            " set config.data.path"
        )
    names = [name for name, form in FORMATS.items() if form.recognises(folder)]
    if format not in names and (format != "auto" or len(names) != 1):
        layouts = "; ".join(f"{name}: {form.looks_for}" for name, form in FORMATS.items())
        raise ValueError(
            f"photo folder {folder} has the files of {' and '.join(names) or 'no known format'};"
            f" expected those of {'one' if format == 'auto' else format} ({layouts}); set"
            " config.data.path or config.data.format"
        )
    return FORMATS[names[0] if format == "auto" else format].read(folder, cameras)


def check_views(views: Sequence[View], headers: Sequence[Header]) -> None:
    """Stops at views that cannot be used, naming those with the same fault together.

    Raises:
        ValueError: for a photo unlike its declared size or its mask, without mask, or with a camera
            that is no pinhole camera with a rigid pose.
    """
    both = list(zip(views, headers, strict=True))
    refuse_faults(
        [fault for view, h in both if (fault := _size_fault(view.image, h, view.size))],
        "expected the size that the camera's file declares; restore the photos of that size",
    )
    refuse_faults(
        [f"{v.image} has no mask" for v, h in both if v.mask is None and not h.has_alpha],
        "expected a mask file or an alpha channel for every photo, training without is not yet"
        " supported; add masks (mask/ for idr, mask_path or RGBA photos for transforms)",
    )
    masks = [(view.mask, header) for view, header in both if view.mask is not None]
    refuse_faults(
        [fault for mask, h in masks if (fault := _size_fault(mask, read_header(mask), h[:2]))],
        "expected masks of the size of their photos; make them anew",
    )
    _refuse_cameras(
        [(v, intrinsics_fault(v.intrinsics, h.height, h.width)) for v, h in both],
        "mend the intrinsics there",
    )
    _refuse_cameras(
        [(view, pose_fault(view.world_from_camera)) for view in views],
        "a pose is a rotation and a translation; mend it there",
    )


def held_out_views(
    views: Sequence[View], every: int, offset: int, chosen: Sequence[int]
) -> Bool[np.ndarray, " V"]:
    """Which views are held out: the chosen ones, else the test split, else one in every so many.

    Raises:
        ValueError: if a chosen view does not exist, or none is left for training.
    """
    if every < 0 or offset < 0:
        raise ValueError(
            f"holdout_every {every}, holdout_offset {offset}: expected 0 or more; set"
            " config.data.holdout_every and config.data.holdout_offset"
        )
    strange = [index for index in chosen if not 0 <= index < len(views)]
    if strange:
        raise ValueError(
            f"held-out views {strange} do not exist; expected 0 to {len(views) - 1}, in file order;"
            " set config.data.holdout_views"
        )
    held_out = np.array([view.is_test for view in views], bool)
    if chosen:
        held_out = np.isin(np.arange(len(views)), chosen)
    elif every and not held_out.any():
        held_out[offset::every] = True
    if held_out.all():
        raise ValueError(
            f"all {len(views)} views are held out; expected at least one for training; set"
            " config.data.holdout_views, or config.data.holdout_every=0 to hold out none"
        )
    return held_out


def normalise(
    world_from_camera: Float64[np.ndarray, "V 4 4"], world_from_scene: Similarity, num_train: int
) -> Float64[np.ndarray, "V 4 4"]:
    """Rigid poses in the scene frame: positions shrink with the scene, cameras do not.

    Raises:
        ValueError: if the region of interest lies behind most of the training cameras.
    """
    poses = world_from_camera.copy()
    poses[:, :3, :3] = np.asarray(world_from_scene.rotation).T @ poses[:, :3, :3]
    poses[:, :3, 3] = np.asarray(transform_points(inverse(world_from_scene), poses[:, :3, 3]))
    depth = -np.sum(poses[:, :3, 3] * poses[:, :3, 2], axis=-1)[:num_train]
    if np.mean(depth <= 0) > 0.5:
        raise ValueError(
            f"the region of interest lies behind {np.sum(depth <= 0)} of {num_train} training"
            " cameras; expected poses with OpenCV axes for idr, OpenGL axes for transforms; turn"
            " the y and z axes of the poses, or set config.data.centre and config.data.radius"
        )
    return poses


def _check_settings(
    downscale: int, centre: Sequence[float] | None, radius: float | None, background: float
) -> None:
    if downscale < 1:
        raise ValueError(f"downscale {downscale}: expected 1 or more; set config.data.downscale")
    if centre is not None and not (len(centre) == 3 and np.isfinite(centre).all()):
        raise ValueError(
            f"centre {centre}: expected three finite world coordinates; set config.data.centre"
        )
    if radius is not None and not 0 < radius < math.inf:
        raise ValueError(
            f"radius {radius}: expected a positive length in world units; set config.data.radius"
        )
    if not 0 <= background <= 1:
        raise ValueError(
            f"background {background}: expected 0 (black) to 1 (white); set config.data.background"
        )


def _size_fault(path: Path, header: Header, expected: tuple[int, int] | None) -> str | None:
    """A sentence if an image's size is not the expected (height, width)."""
    if expected is None or header[:2] == expected:
        return None
    return f"{path} is {header.width}x{header.height} pixels, not {expected[1]}x{expected[0]}"


def _refuse_cameras(faults: Sequence[tuple[View, str | None]], remedy: str) -> None:
    sentences = [f"{view.origin} ({view.image.name}): {fault}" for view, fault in faults if fault]
    refuse_faults(sentences, remedy)


def _reduced_sizes(headers: Sequence[Header], downscale: int) -> np.ndarray:
    """(height, width) of the reduced photos, int32, [V, 2]."""
    sizes = np.array([(header.height, header.width) for header in headers]) // downscale
    if not sizes.all():
        smallest = min(min(header.height, header.width) for header in headers)
        raise ValueError(
            f"downscale {downscale} leaves no pixel of a photo whose side is {smallest} pixels;"
            " expected a smaller factor; set config.data.downscale"
        )
    num_pixels = int(sizes.prod(axis=1).sum())
    if num_pixels > MOST_PIXELS:
        least = downscale * math.ceil(math.sqrt(num_pixels / MOST_PIXELS))
        raise ValueError(
            f"the photos hold {num_pixels} pixels; expected {MOST_PIXELS} or fewer; set"
            f" config.data.downscale={least}"
        )
    return sizes.astype(np.int32)


def _read_pixels(
    views: Sequence[View], sizes: np.ndarray, downscale: int, background: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The flat buffers of the photos and masks, and the first position of each view in them."""
    offsets = np.concatenate([[0], np.cumsum(sizes.prod(axis=1))]).astype(np.int32)
    rgb, mask = np.empty((offsets[-1], 3), np.uint8), np.empty(offsets[-1], bool)

    def fill(i: int) -> None:
        here = slice(offsets[i], offsets[i + 1])
        photo, inside = read_view(views[i], downscale=downscale, background=background)
        rgb[here], mask[here] = photo.reshape(-1, 3), inside.ravel()

    with ThreadPoolExecutor() as pool:  # decoding releases the interpreter's lock
        list(pool.map(fill, range(len(views))))
    return rgb, mask, offsets


def _report_masks(
    masks: Sequence[Bool[np.ndarray, "_h _w"]], names: Sequence[str], num_train: int
) -> None:
    """Warns of masks that say nothing; stops if no training mask shows the object."""
    shares = np.array([mask.mean() for mask in masks])
    if not shares[:num_train].any():
        raise ValueError(
            f"all {num_train} training masks are empty; expected the object above half brightness"
            " (grey value above 127, or alpha); make the masks anew"
        )
    for word, share in (("empty", 0), ("full", 1)):
        found = [name for name, s in zip(names, shares, strict=True) if s == share]
        if found:
            warnings.warn(
                f"{len(found)} of {len(masks)} masks are all {word}: {', '.join(found[:8])}"
                f"{' ...' if len(found) > 8 else ''}; expected the outline of the object",
                stacklevel=3,
            )


def _region(
    found: Similarity | None,
    hull: Callable[[], tuple[Float64[np.ndarray, "3"], float]],
    centre: Sequence[float] | None,
    radius: float | None,
) -> Similarity:
    """The region of interest: as given, else as found in the layout, else about the hull."""
    if found is None:
        given = centre is not None and radius is not None
        hull_centre, hull_radius = (np.zeros(3), 1.0) if given else hull()
        found = Similarity(np.array(hull_radius), np.eye(3), hull_centre)
    return Similarity(
        found.scale if radius is None else np.array(radius, np.float64),
        found.rotation,
        found.translation if centre is None else np.asarray(centre, np.float64),
    )
