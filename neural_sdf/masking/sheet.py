"""What masks hold, as one picture."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from neural_sdf.machine.files import as_png
from neural_sdf.photos.picture import INK, rim
from neural_sdf.scenes import Scene, view_masks, view_pixels

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
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    heights = [LINE + max(tile.height for tile in row) for row in rows]
    sheet = Image.new("RGB", (WIDTH, sum(heights)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, top in zip(rows, np.cumsum([0, *heights]).tolist(), strict=False):
        for column, tile in enumerate(row):
            place = column * side, top
            sheet.paste(tile, (place[0], place[1] + LINE))
            view = shown[rows.index(row) * columns + column]
            draw.text((place[0] + 2, place[1] + 2), scene.source.names[view][: side // 7], fill=INK)
    return as_png(np.asarray(sheet))


def _tile(scene: Scene, view: int, side: int) -> Image.Image:
    """One photo, its longer side so many pixels."""
    height, width = (int(length) for length in scene.sizes[view])
    rgb = np.asarray(scene.rgb)[view_pixels(scene, view)].reshape(height, width, 3)
    mask = view_masks(scene)[view]
    scale = (side - 4) / max(height, width)
    size = max(1, round(scale * width)), max(1, round(scale * height))
    small = np.asarray(Image.fromarray(rgb).resize(size)).copy()
    inside = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
    small[~inside] = (OUTSIDE + small[~inside]) // 2
    small[rim(inside, 1)] = 255, 0, 0
    return Image.fromarray(small)
