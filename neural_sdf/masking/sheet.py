"""What masks hold, as one picture."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from neural_sdf.machine.files import as_png
from neural_sdf.photos.picture import INK, rim
from neural_sdf.scenes import Scene, view_mask, view_photo

WIDTH = 900  # of the picture, pixels
MOST = 24  # photos shown
LINE = 16  # height of a line of text, pixels
OUTSIDE = np.array([90, 140, 255])  # mixed with what is outside masks


def mask_sheet(scene: Scene) -> bytes:
    """Photos with what is outside their masks made blue and the rim red, as a PNG file's content.

    Of many photos some are shown, evenly spread.
    """
    count = len(scene.sizes)
    shown = np.unique(np.linspace(0, count - 1, min(count, MOST)).round().astype(int))
    columns = min(6, math.ceil(math.sqrt(len(shown))))
    side = WIDTH // columns
    tiles = [_tile(scene, int(i), side) for i in shown]
    rows = [range(i, min(i + columns, len(tiles))) for i in range(0, len(tiles), columns)]
    heights = [LINE + max(tiles[i].height for i in row) for row in rows]
    sheet = Image.new("RGB", (WIDTH, sum(heights)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, top in zip(rows, np.cumsum([0, *heights]).tolist(), strict=False):
        for column, i in enumerate(row):
            left, name = column * side, scene.source.names[shown[i]]
            sheet.paste(tiles[i], (left, top + LINE))
            draw.text((left + 2, top + 2), name[: side // 7], fill=INK)
    return as_png(np.asarray(sheet))


def _tile(scene: Scene, view: int, side: int) -> Image.Image:
    """One photo, its longer side so many pixels."""
    rgb, mask = view_photo(scene, view), view_mask(scene, view)
    height, width = mask.shape
    scale = (side - 4) / max(height, width)
    size = max(1, round(scale * width)), max(1, round(scale * height))
    small = np.asarray(Image.fromarray(rgb).resize(size)).copy()
    inside = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
    small[~inside] = (OUTSIDE + small[~inside]) // 2
    small[rim(inside, 1)] = 255, 0, 0
    return Image.fromarray(small)
