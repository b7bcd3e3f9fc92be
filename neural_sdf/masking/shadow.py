"""The shadow of an object, which masks hold as if it were a part: dark, and flat on the ground.

A shadow has the hue of the ground, and is darker (Horprasert, Harwood and Davis, "A statistical
approach for real-time robust background subtraction and shadow detection", 1999). So may be a part
of the object; but a shadow lies in a plane below it: what some photos show of it there is what all
others show, but for where the object hides it. What stands up from a plane is moved by parallax.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Int8, UInt8
from scipy import ndimage
from scipy.optimize import minimize

from neural_sdf.masking.hull_masks import enlarged, reduced, small_views
from neural_sdf.masking.plain import SQUARE, cleaned, parts_of
from neural_sdf.photos.outlines.cells import Views, distance_from
from neural_sdf.photos.outlines.hull import carve, grid, region_of_interest, viewed_place
from neural_sdf.photos.outlines.shown import shown_pixels

GROUND = 0.05, 0.6  # of the object's size: how far from it the ground is looked at
DARK = 0.3, 0.95  # brightness of a shadow over that of the ground
TINT = 0.15  # of that brightness: how far a channel of a shadow may be off the ground's hue
BLUR = 0.7  # of the photos, pixels: against noise
SHARE = 0.005, 0.5  # of the masks: less is not worth a search, more is no shadow of the rest
LIT = 0.25  # share of the photos that show a place as shadow or ground that may show ground
OFTEN = 0.15  # share of all photos that must show a place as shadow
TILTS = np.linspace(-0.4, 0.4, 5)  # tangents of a plane's slopes, tried first
HEIGHTS = np.linspace(-0.9, 0.7, 13)  # over the region's radius
SOME = 24  # photos by which the ground is looked for
# Of a search in turn from coarse to fine:
GROWN = 0.06, 0.02, 0.0  # of the object's size: how far shadow is grown
SIDES = 32, 64, 64  # cells of a plane along a side
STEP = 0.1, 0.04, 0.02  # first, of slopes and height
STEPS = 80  # at most
LYING = 0.9  # share of the shadow, of what planes of all heights explain, that one must explain
WITHIN = 0.5  # share of a part of a photo's shadow that the plane must explain
LOWEST = -0.35  # sine of the elevation of a camera that stands on the ground, about the object
ABOVE = 0.9, 0.5  # share of the cameras above the ground, and of the hull: it goes on below, unseen


class Bare(NamedTuple):
    """Masks without shadow, and what was found of it.

    Attributes:
        masks: true on the object.
        cut: share of the masks before that was left out as shadow.
        doubtful: share that may be shadow as well as a part of the object, and was left in.
    """

    masks: list[Bool[np.ndarray, "_h _w"]]
    cut: float
    doubtful: float


class Plane(NamedTuple):
    """A plane through `middle` along the unit vectors `across`, which the cameras look down on."""

    middle: Float64[np.ndarray, "3"]
    across: Float64[np.ndarray, "2 3"]

    @property
    def normal(self) -> Float64[np.ndarray, "3"]:
        """Of unit length, up."""
        return np.cross(*self.across)


class Shades(NamedTuple):
    """Where photos show what may be shadow.

    Attributes:
        views: small photos with their cameras.
        states: of each pixel of each, 0 on the ground, 1 on the object, 2 on what may be shadow.
        centre: of the region of the masks.
        radius: of that region.
        side: cells of a plane along a side, over the region's width.
    """

    views: Views
    states: list[Int8[np.ndarray, "_h _w"]]
    centre: Float64[np.ndarray, "3"]
    radius: float
    side: int = SIDES[-1]


def without_shadow(
    photos: Sequence[UInt8[np.ndarray, "_h _w 3"]],
    masks: Sequence[Bool[np.ndarray, "_h _w"]],
    intrinsics: Float64[np.ndarray, "V 3 3"],
    world_from_camera: Float64[np.ndarray, "V 4 4"],
) -> Bare:
    """Masks without the shadow beside the object; as they are where it cannot be told from a part.

    A thin or small part of the ground's hue that lies on the ground is taken for shadow.

    Args:
        photos: sizes may differ.
        masks: of object and shadow.
        intrinsics: K, half-pixel centres.
        world_from_camera: rigid OpenCV poses of cameras that look at the object.

    Raises:
        DataError: if the masks have no hull, or the cameras do not look at one place.
    """
    if not _look_down(world_from_camera):
        return Bare(list(masks), 0.0, 0.0)
    views, factors = small_views(photos, intrinsics, world_from_camera)
    small = reduced(masks, factors)
    grounds = [ground_colour(photo, mask) for photo, mask in zip(views.photos, small, strict=True)]
    dark = [shade(*each) for each in zip(views.photos, small, grounds, strict=True)]
    share = float(sum(s.sum() for s in dark) / max(1, sum(mask.sum() for mask in small)))
    if not SHARE[0] < share < SHARE[1]:
        return Bare(list(masks), 0.0, share)
    region = region_of_interest(small, views.intrinsics, views.world_from_camera)
    states = [mask.astype(np.int8) + part for mask, part in zip(small, dark, strict=True)]
    shades = Shades(views, states, *region)
    ground = _ground(shades)
    if ground is None:
        return Bare(list(masks), 0.0, share)
    lying = _explained(shades, ground, range(len(masks)))
    shadows = (shade(*each) for each in zip(photos, masks, grounds, strict=True))
    bare = [_cut(*each) for each in zip(masks, shadows, states, lying, factors, strict=True)]
    cut = 1 - sum(int(mask.sum()) for mask in bare) / sum(int(mask.sum()) for mask in masks)
    return Bare(bare, cut, share * float(1 - np.concatenate(lying).mean()))


def _look_down(world_from_camera: Float64[np.ndarray, "V 4 4"]) -> bool:
    """Whether nearly all cameras are on one side: from below as well, there is no ground."""
    centres = world_from_camera[:, :3, 3]
    away = centres - viewed_place(world_from_camera)[0]
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    mean = away.mean(axis=0)
    return bool((away @ mean > LOWEST * np.linalg.norm(mean)).mean() >= ABOVE[0])


def ground_colour(
    photo: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]
) -> Float64[np.ndarray, "3"] | None:
    """Median colour of the ground beside a mask, at least 1; None where there is no ground."""
    size = np.sqrt(mask.sum())
    away = distance_from(mask)
    beside = (away > GROUND[0] * size) & (away < GROUND[1] * size)
    return np.maximum(np.median(photo[beside], axis=0), 1.0) if beside.any() else None


def shade(
    photo: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    ground: Float64[np.ndarray, "3"] | None,
) -> Bool[np.ndarray, "h w"]:
    """Parts of a mask at its rim that have the hue of the ground and are darker.

    Brightness is the factor α by which the ground's colour E comes nearest to a pixel's I; the hue
    is off by |I − αE| (Horprasert et al., equations 5 and 6, of channels that vary alike).
    """
    if ground is None:
        return np.zeros(mask.shape, bool)
    smooth = ndimage.gaussian_filter(photo.astype(np.float32), (BLUR, BLUR, 0))
    brightness = smooth @ ground / (ground @ ground)
    off = np.abs(smooth - brightness[..., None] * ground).max(axis=-1)
    darker = (brightness > DARK[0]) & (brightness < DARK[1])
    parts = parts_of(mask & darker & (off < TINT * brightness * ground.max()))
    rim = np.asarray(ndimage.binary_dilation(~mask, SQUARE), bool)
    at_rim = np.zeros(parts.max() + 1, bool)
    at_rim[parts[rim]] = True
    at_rim[0] = False
    return at_rim[parts]


def _cut(
    mask: Bool[np.ndarray, "H W"],
    dark: Bool[np.ndarray, "H W"],
    state: Int8[np.ndarray, "h w"],
    lying: Bool[np.ndarray, " n"],
    factor: int,
) -> Bool[np.ndarray, "H W"]:
    """A mask without the parts that may be shadow of which most lie so in the small photo."""
    known = np.zeros(state.shape, np.float32)
    known[state == 2] = np.where(lying, 1.0, -1.0)
    votes = enlarged(known, factor, mask.shape)
    parts = parts_of(dark)
    lie, stand = (np.bincount(parts.ravel(), (sign * votes > 0).ravel()) for sign in (1, -1))
    cut = lie >= WITHIN * np.maximum(lie + stand, 1)
    cut[0] = False
    return cleaned(mask & ~cut[parts])


def _ground(shades: Shades) -> Plane | None:
    """The plane that explains what may be shadow, with the cameras and the object above; or None.

    None if planes of other heights explain more: then it stands up from the ground.
    """
    _, intrinsics, poses = shades.views
    slopes = _search(shades)
    ground = _plane(shades, slopes)
    cells, _ = grid(shades.centre - shades.radius, shades.centre + shades.radius)
    hull = cells[carve(cells, [state > 0 for state in shades.states], intrinsics, poses)]
    for points, least in zip((poses[:, :3, 3], hull), ABOVE, strict=True):
        if ((points - ground.middle) @ ground.normal > 0).sum() <= least * len(points):
            return None
    every = range(len(poses))
    levels = [
        np.concatenate(_explained(shades, _plane(shades, (*slopes[:2], height)), every))
        for height in np.linspace(-1.0, 1.0, shades.side // 2)
    ]
    here = np.concatenate(_explained(shades, ground, every))
    return ground if here.sum() >= LYING * (here | np.any(levels, axis=0)).sum() else None


def _search(shades: Shades) -> Float64[np.ndarray, "3"]:
    """Slopes and height of the plane that explains the most, by some of the photos.

    What may be shadow is grown at first, so that a plane is found from further away.
    """
    count = len(shades.states)
    some = np.unique(np.linspace(0, count - 1, min(count, SOME)).round().astype(int)).tolist()
    tried = [(one, other, height) for one in TILTS for other in TILTS for height in HEIGHTS]
    for grown, side, step in zip(GROWN, SIDES, STEP, strict=True):
        states = [_grown(state, grown) for state in shades.states]
        wide = shades._replace(states=states, side=side)

        def unexplained(slopes: Sequence[float] | np.ndarray, wide: Shades = wide) -> float:
            return -float(np.concatenate(_explained(wide, _plane(wide, slopes), some)).mean())

        start = np.array(min(tried, key=unexplained))
        simplex = start + np.vstack([np.zeros(3), step * np.eye(3)])
        options = {"initial_simplex": simplex, "maxfev": STEPS}
        found = minimize(unexplained, start, method="Nelder-Mead", options=options)
        tried = [tuple(found.x)]
    return np.array(tried[0])


def _grown(state: Int8[np.ndarray, "h w"], share: float) -> Int8[np.ndarray, "h w"]:
    """With what may be shadow grown over the ground, by a share of the object's size."""
    reach = share * np.sqrt((state > 0).sum())
    near = (state == 0) & (distance_from(state == 2) < reach) & (state == 2).any()
    return np.where(near, 2, state).astype(np.int8)


def _plane(shades: Shades, slopes: Sequence[float] | np.ndarray) -> Plane:
    """The plane of two slopes against the cameras' mean direction, and a height over the radius."""
    away = shades.views.world_from_camera[:, :3, 3] - shades.centre
    up = (away / np.linalg.norm(away, axis=1, keepdims=True)).mean(axis=0)
    frame = np.linalg.qr(np.column_stack([up, np.eye(3)]))[0].T
    up, one, other = frame * np.sign(frame[0] @ up)
    across = np.linalg.qr(np.stack([one + slopes[0] * up, other + slopes[1] * up], axis=1))[0].T
    if np.cross(*across) @ up < 0:
        across = across[::-1]
    return Plane(shades.centre + slopes[2] * shades.radius * up, across)


def _explained(shades: Shades, plane: Plane, which: Sequence[int]) -> list[Bool[np.ndarray, " _n"]]:
    """Which of the pixels that may be shadow are explained by one shadow in a plane, of each photo.

    It is where those photos show the plane as shadow that do not show the object before it.
    """
    steps = (np.arange(shades.side) + 0.5) * 2 / shades.side - 1
    cells = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    places = plane.middle + shades.radius * cells @ plane.across
    dark, lit = np.zeros((2, len(places)), int)
    for i in which:
        K, pose, state = _camera(shades, i)
        inside, row, column = shown_pixels(
            K @ pose[:3, :3].T @ (places - pose[:3, 3]).T, state.shape
        )
        dark += inside & (state[row, column] == 2)
        lit += inside & (state[row, column] == 0)
    shadow = (lit <= LIT * (dark + lit)) & (dark >= OFTEN * len(which))
    shadow = ndimage.binary_dilation(shadow.reshape(shades.side, shades.side), SQUARE)
    return [_on(shadow, plane, shades, i) for i in which]


def _on(
    shadow: Bool[np.ndarray, "n n"], plane: Plane, shades: Shades, i: int
) -> Bool[np.ndarray, " m"]:
    """Whether rays through the pixels of a photo that may be shadow meet a shadow in a plane."""
    K, pose, state = _camera(shades, i)
    row, column = np.nonzero(state == 2)
    pixels = np.stack([column + 0.5, row + 0.5, np.ones(len(row))], axis=-1)
    rays = pixels @ (pose[:3, :3] @ np.linalg.inv(K)).T
    with np.errstate(divide="ignore", invalid="ignore"):  # along the plane: met nowhere
        away = (plane.middle - pose[:3, 3]) @ plane.normal / (rays @ plane.normal)
    met = pose[:3, 3] + away[:, None] * rays - plane.middle
    inside, *cell = shown_pixels(
        np.vstack([(met @ plane.across.T / shades.radius + 1).T * shades.side / 2, np.sign(away)]),
        shadow.shape,
    )
    return inside & shadow[tuple(cell[::-1])]


def _camera(
    shades: Shades, i: int
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "4 4"], Int8[np.ndarray, "h w"]]:
    return shades.views.intrinsics[i], shades.views.world_from_camera[i], shades.states[i]
