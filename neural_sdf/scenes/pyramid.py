"""Training photos at several sizes, laid out so that a step can look anywhere in them."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int, UInt8


class Pyramid(NamedTuple):
    """Photos from fine to coarse in one flat buffer, and what is needed to project into them.

    A level's pixel is the mean of a block of the photo's.

    Attributes:
        rgba: of all levels and photos; alpha is 255 where a pixel shows the object alone, else 0,
            [P, 4].
        offsets: first pixel of each photo at each level, [L, V].
        sizes: (height, width) likewise, pixels of the level, [L, V, 2].
        blocks: pixels of the photo along the edge of a level's, [L].
        intrinsics: K of each photo, half-pixel centres, [V, 3, 3].
        scene_from_camera: rigid OpenCV poses, [V, 4, 4].
        neighbours: photos that each is compared with, best first, [V, S].
    """

    rgba: UInt8[Array, "P 4"]
    offsets: Int[Array, "L V"]
    sizes: Int[Array, "L V 2"]
    blocks: Int[Array, " L"]
    intrinsics: Float[Array, "V 3 3"]
    scene_from_camera: Float[Array, "V 4 4"]
    neighbours: Int[Array, "V S"]

    def sample(
        self, level: Int[Array, ""], view: Int[Array, "*#n"], pixels: Float[Array, "*#n 2"]
    ) -> tuple[Float[Array, "*n 3"], Bool[Array, "*n"]]:
        """Colours between a level's pixels, bilinear, in [0, 1], and whether they are the object's.

        Differentiable in the place. Of the object are those whose four pixels all are.

        Args:
            level: of the pyramid.
            view: photos.
            pixels: (column, row) in the photo's own pixels, the first one's centre at 0.5.
        """
        place = pixels / self.blocks[level] - 0.5
        height, width = jnp.moveaxis(self.sizes[level, view], -1, 0)
        low = jnp.floor(place)
        x, y = jnp.moveaxis(place - low, -1, 0)
        column, row = jnp.moveaxis(low.astype(jnp.int32), -1, 0)
        inside = (column >= 0) & (row >= 0) & (column < width - 1) & (row < height - 1)
        first = self.offsets[level, view] + jnp.where(inside, row * width + column, 0)
        below, right = jnp.where(inside, width, 0), inside.astype(first.dtype)
        corners = jnp.stack([first, first + right, first + below, first + below + right])
        texels = self.rgba[corners]
        weights = jnp.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y])
        colours = jnp.sum(weights[..., None] * texels[..., :3].astype(place.dtype), axis=0) / 255
        return colours, inside & (texels[..., 3] > 0).all(axis=0)
