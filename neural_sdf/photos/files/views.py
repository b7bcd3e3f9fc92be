"""Photo and mask of a view, as a pinhole camera sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Shaped, UInt8
from PIL import Image

from neural_sdf.machine.files import as_png
from neural_sdf.photos.files import lens as lenses
from neural_sdf.photos.files.capture import Header, ImageFile, View
from neural_sdf.photos.files.images import alpha_of, on_background, read_pixels, whole_size
from neural_sdf.photos.files.lens import Window
from neural_sdf.photos.files.mask_values import read_mask, turned
from neural_sdf.photos.files.reduction import box_average


class Pinhole(NamedTuple):
    """The camera of a photo without its lens distortion.

    Attributes:
        intrinsics: K of the window at full size, pixels, [3, 3].
        window: what of the photo's grid of pixels is seen; empty if the lens leaves nothing.
    """

    intrinsics: Float64[np.ndarray, "3 3"]
    window: Window

    @property
    def size(self) -> tuple[int, int]:
        """(height, width), pixels."""
        return self.window.bottom - self.window.top, self.window.right - self.window.left


def pinhole_camera(view: View, header: Header) -> Pinhole:
    """The camera of a view's photo without its lens distortion; slow where there is some."""
    if view.lens is None:
        return Pinhole(view.intrinsics, Window(0, header.height, 0, header.width))
    kept = lenses.window(view.lens, view.intrinsics, header.height, header.width)
    if kept is None:
        return Pinhole(view.intrinsics, Window(0, 0, 0, 0))
    return Pinhole(lenses.cropped(view.intrinsics, kept), kept)


def pinhole_cameras(views: Sequence[View], headers: Mapping[str, Header]) -> dict[str, Pinhole]:
    """`pinhole_camera` of each view by its name; views of one camera share the work."""
    cameras: dict[tuple, Pinhole] = {}
    pinholes = {}
    for view in views:
        header = headers[view.name]
        camera = view.lens, view.intrinsics.tobytes(), header.height, header.width
        if camera not in cameras:
            cameras[camera] = pinhole_camera(view, header)
        pinholes[view.name] = cameras[camera]
    return pinholes


def read_view(
    view: View, window: Window, *, downscale: int, background: float, mask_shows: str
) -> tuple[UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]:
    """The photo and mask of a view, without lens distortion, reduced.

    A pixel is on the object if more than half of it is; all are where there is neither a mask nor
    an alpha channel. Values are float between the file and the result where transparency, lens or
    reduction mix them, so that they are rounded once.

    Args:
        view: names the files.
        window: of the view's pinhole camera.
        downscale: pixels averaged into one, along each side.
        background: grey in [0, 1] that transparent photos are laid on.
        mask_shows: what is bright in mask files, "object" or "background".

    Raises:
        ImageError: if a file cannot be used.
    """
    pixels = read_pixels(view.image, view.is_turned)
    alpha = alpha_of(pixels)
    if view.mask is not None:
        inside = fitted(_inside(view, view.mask, mask_shows), (len(pixels), len(pixels[0])))
    else:
        inside = np.ones(pixels.shape[:2], bool) if alpha is None else alpha
    if alpha is None and view.lens is None and downscale == 1:
        return pixels, inside
    rgb = pixels if alpha is None else on_background(pixels, background)
    source = _shown_places(view, window)
    reduced = np.rint(_reduced(rgb, source, downscale)).astype(np.uint8)
    return reduced, _reduced(inside, source, downscale) > 0.5


def read_outline(
    view: View, window: Window, *, downscale: int, background: float, mask_shows: str
) -> tuple[UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]:
    """As `read_view` of a view with a mask file, with black in place of the photo.

    All that is read of the photo is whether its file is whole.
    """
    del background
    assert view.mask is not None
    inside = fitted(_inside(view, view.mask, mask_shows), whole_size(view.image, view.is_turned))
    mask = _reduced(inside, _shown_places(view, window), downscale) > 0.5
    return np.zeros((*mask.shape, 3), np.uint8), mask


def _shown_places(view: View, window: Window) -> Float[np.ndarray, "2 h w"] | None:
    """What the pixels of a view's pinhole camera show of its photo; None without a lens."""
    if view.lens is None:
        return None
    return lenses.shown_places(view.lens, view.intrinsics, window)


def _reduced(
    values: Shaped[np.ndarray, "H W *c"], source: Float[np.ndarray, "2 h w"] | None, factor: int
) -> Float32[np.ndarray, "_h _w *c"]:
    """The values of a photo's pixels at the places that are shown, averaged."""
    if source is not None:
        values = lenses.resampled(values.astype(np.float32), source)
    return box_average(values, factor)


def fitted(mask: Bool[np.ndarray, "H W"], size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """A mask at the size, (height, width), of its photo."""
    if mask.shape == size:
        return mask
    grey = Image.fromarray(mask.astype(np.uint8) * np.uint8(255))
    return np.asarray(grey.resize((size[1], size[0]), Image.Resampling.BILINEAR)) > 127


def _inside(view: View, mask: ImageFile, mask_shows: str) -> Bool[np.ndarray, "H W"]:
    """True on the object, at the mask's own size, turned as its photo is."""
    is_inverted = (mask_shows == "background") != view.mask_shows_background
    return turned(read_mask(mask) != is_inverted, view.mask_turn)


def mask_file(view: View, *, mask_shows: str) -> bytes | None:
    """A view's mask as a grey PNG, 255 on the object; its alpha channel where it has no mask.

    None where it has neither.
    """
    if view.mask is not None:
        inside = _inside(view, view.mask, mask_shows)
        return as_png(np.where(inside, 255, 0).astype(np.uint8))
    pixels = read_pixels(view.image, view.is_turned)
    return as_png(pixels[..., 3]) if alpha_of(pixels) is not None else None
