"""Plane sweep: each pixel's depth is the one at which other photos show the same there.

Planes across the optical axis are swept through the object (Collins 1996); at each, a small window
of the photo is compared with what the others show of it, by normalised cross-correlation, which
exposure does not touch. The two most alike of a photo's neighbours count, since an occluded view is
like none (Kang, Szeliski and Chai 2001).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Bool, Float, Int

RADIUS = 1  # of a window, pixels
NOISE = 3 * 0.01**2  # variance of a window's colours that says nothing, summed over channels
OUTSIDE = 2  # photos that show the background there are enough to know that nothing is


class Album(NamedTuple):
    """Photos to be compared, all padded to one size.

    Attributes:
        rgb: in [0, 1], [V, h, w, 3].
        mask: true on the object, [V, h, w].
        sizes: (height, width) of each photo without what was added, [V, 2].
        intrinsics: K of each, half-pixel centres, [V, 3, 3].
        scene_from_camera: rigid OpenCV poses, [V, 4, 4].
        neighbours: photos that each is compared with, two at least, [V, S].
        nearness: least and greatest inverse depth along the optical axis that a photo's object may
            have, 1 / scene units, [V, 2].
        corners: (row, column) from which a window of one size holds the object, [V, 2].
    """

    rgb: Float[Array, "V h w 3"]
    mask: Bool[Array, "V h w"]
    sizes: Int[Array, "V 2"]
    intrinsics: Float[Array, "V 3 3"]
    scene_from_camera: Float[Array, "V 4 4"]
    neighbours: Int[Array, "V S"]
    nearness: Float[Array, "V 2"]
    corners: Int[Array, "V 2"]


def sweep(
    album: Album, view: Int[Array, ""], *, extent: tuple[int, int], num_planes: int
) -> tuple[Float[Array, "h w"], Float[Array, "h w"]]:
    """Inverse depth of each pixel of a photo, 1 / scene units, and how alike the photos are there.

    Planes are evenly spaced in inverse depth, and so in the other photos; between the best and the
    ones beside it a parabola decides. Alikeness is in [-1, 1]; off the object it is -1.

    Args:
        album: the photos.
        view: whose pixels.
        extent: (height, width) of what is looked at, from its corner in `album.corners`, pixels.
        num_planes: how many.
    """
    row, column = album.corners[view]
    own = lax.dynamic_slice(album.rgb[view], (row, column, 0), (*extent, 3))
    rows, columns = jnp.indices(extent)
    pixels = jnp.stack([columns + column + 0.5, rows + row + 0.5, jnp.ones(extent)], axis=-1)
    others = album.neighbours[view]
    turns, shifts = jax.vmap(lambda other: _map(album, view, other))(others)
    images, outlines, sizes = album.rgb[others], album.mask[others], album.sizes[others]
    # At inverse depth q a pixel u is where the other shows A u + q b.
    starts = jnp.einsum("sij,hwj->shwi", turns, pixels)
    mean, spread = _statistics(own)

    def look(q: Array) -> _Look:
        def at_one(start: Array, shift: Array, image: Array, outline: Array, size: Array) -> Any:
            place = start + q * shift
            in_front = place[..., 2] > 1e-6
            place = place[..., :2] / jnp.where(in_front, place[..., 2], 1.0)[..., None]
            colours, inside = sample(image, size, place)
            shown = inside & in_front
            return colours, shown, shown & ~_nearest(outline, place)

        return _Look(*jax.vmap(at_one)(starts, shifts, images, outlines, sizes))

    def alike(seen: _Look) -> Array:
        theirs, their_spread = jax.vmap(_statistics)(seen.colours)
        common = jax.vmap(lambda x: box((own * x).sum(axis=-1)))(seen.colours)
        common = common - (mean * theirs).sum(axis=-1)
        scores = jnp.where(seen.shown, common / (spread * their_spread), -1.0)
        return jnp.where(seen.outside.sum(axis=0) < OUTSIDE, _best_two(scores), -1.0)

    lowest, highest = album.nearness[view]
    step = (highest - lowest) / (num_planes - 1)

    def advance(carried: tuple[_Best, _Look], number: Array) -> tuple[tuple[_Best, _Look], None]:
        # Colours are handed on from step to step: where they are made and used in one, XLA samples
        # them anew for every pixel of a window.
        best, seen = carried
        after = look(lowest + step * (number + 1))
        return (best.seen(alike(seen), lowest + step * number), after), None

    start = _Best.fresh(extent), look(lowest)
    (best, _), _ = lax.scan(advance, start, jnp.arange(num_planes))
    found = best.place + step * best.offset()
    nowhere = jnp.zeros(album.mask.shape[1:])
    on_object = lax.dynamic_slice(album.mask[view], (row, column), extent)
    score = jnp.where(on_object, best.score, -1.0)
    return (
        lax.dynamic_update_slice(nowhere, found, (row, column)),
        lax.dynamic_update_slice(nowhere - 1, score, (row, column)),
    )


def sample(
    image: Float[Array, "h w 3"], size: Int[Array, "2"], places: Float[Array, "*n 2"]
) -> tuple[Float[Array, "*n 3"], Bool[Array, "*n"]]:
    """Colours between pixels, bilinear, and whether all four lie in the image.

    Args:
        image: colours.
        size: (height, width) of the part that is one.
        places: (column, row), the first pixel's centre at 0.5.
    """
    height, width = size
    low = jnp.floor(places - 0.5)
    x, y = jnp.moveaxis(places - 0.5 - low, -1, 0)[..., None]
    column, row = jnp.moveaxis(low.astype(jnp.int32), -1, 0)
    inside = (column >= 0) & (row >= 0) & (column < width - 1) & (row < height - 1)
    flat, across = image.reshape(-1, 3), image.shape[1]
    first = jnp.clip(row, 0, height - 2) * across + jnp.clip(column, 0, width - 2)
    top = flat[first] * (1 - x) + flat[first + 1] * x
    bottom = flat[first + across] * (1 - x) + flat[first + across + 1] * x
    return top * (1 - y) + bottom * y, inside


def _nearest(mask: Bool[Array, "h w"], places: Float[Array, "*n 2"]) -> Bool[Array, "*n"]:
    """The pixels of a mask at places in it; whatever elsewhere."""
    height, width = mask.shape
    column, row = jnp.moveaxis(places.astype(jnp.int32), -1, 0)
    return mask.reshape(-1)[jnp.clip(row, 0, height - 1) * width + jnp.clip(column, 0, width - 1)]


def box(image: Float[Array, "h w *c"]) -> Float[Array, "h w *c"]:
    """Mean over the window about each pixel; what lies beyond the border is black."""
    for axis in (0, 1):
        count, widths = image.shape[axis], [(0, 0)] * image.ndim
        widths[axis] = RADIUS, RADIUS
        padded = jnp.pad(image, widths)
        shifted = [lax.slice_in_dim(padded, i, i + count, axis=axis) for i in range(2 * RADIUS + 1)]
        image = sum(shifted, jnp.zeros_like(image)) / (2 * RADIUS + 1)
    return image


def _statistics(colours: Float[Array, "h w 3"]) -> tuple[Array, Array]:
    """Mean colour of each window [h, w, 3], and its standard deviation over all channels [h, w]."""
    mean = box(colours)
    variance = box((colours * colours).sum(axis=-1)) - (mean * mean).sum(axis=-1)
    return mean, jnp.sqrt(jnp.maximum(variance, 0.0) + NOISE)


def _best_two(scores: Float[Array, "S h w"]) -> Float[Array, "h w"]:
    """Mean of the two highest; a sort takes as long as all the rest."""
    first, second = jnp.maximum(scores[0], scores[1]), jnp.minimum(scores[0], scores[1])
    for score in scores[2:]:
        second = jnp.maximum(second, jnp.minimum(first, score))
        first = jnp.maximum(first, score)
    return (first + second) / 2


def _map(album: Album, view: Array, other: Array) -> tuple[Array, Array]:
    """A [3, 3] and b [3] of the pixel A u + b / z at which the other shows u at depth z."""
    other_from_scene = jnp.linalg.inv(album.scene_from_camera[other])
    other_from_view = other_from_scene @ album.scene_from_camera[view]
    K = album.intrinsics[other]
    return (
        K @ other_from_view[:3, :3] @ jnp.linalg.inv(album.intrinsics[view]),
        K @ other_from_view[:3, 3],
    )


class _Look(NamedTuple):
    """What the neighbours show at a plane.

    Attributes:
        colours: [S, h, w, 3].
        shown: whether a photo shows the place at all, [S, h, w].
        outside: whether it shows the background there, [S, h, w].
    """

    colours: Array
    shown: Array
    outside: Array


class _Best(NamedTuple):
    """The best plane so far, and the scores of those beside it; all [h, w].

    Attributes:
        score: of it.
        place: its inverse depth.
        before: score of the plane before it.
        after: of the one after it, -1 until that is known.
        latest: score of the plane seen last.
    """

    score: Array
    place: Array
    before: Array
    after: Array
    latest: Array

    @staticmethod
    def fresh(extent: tuple[int, int]) -> _Best:
        """Before any plane."""
        return _Best(jnp.full(extent, -2.0), jnp.zeros(extent), *[jnp.full(extent, -1.0)] * 3)

    def seen(self, score: Array, place: Array) -> _Best:
        """With one more plane."""
        better = score > self.score
        was_last = self.latest == self.score
        after = jnp.where(was_last, score, self.after)
        return _Best(
            score=jnp.where(better, score, self.score),
            place=jnp.where(better, place, self.place),
            before=jnp.where(better, self.latest, self.before),
            after=jnp.where(better, -1.0, after),
            latest=score,
        )

    def offset(self) -> Array:
        """Where the parabola through the three scores is highest, in planes, within half a one."""
        bend = self.before - 2 * self.score + self.after
        peaked = (self.before > -1) & (self.after > -1) & (bend < 0)
        slope = 0.5 * (self.before - self.after)
        return jnp.where(peaked, jnp.clip(slope / jnp.where(peaked, bend, -1.0), -0.5, 0.5), 0.0)
