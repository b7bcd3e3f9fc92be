"""Pictures of what is made of plain photos: which of them match, and what their masks hold."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from neural_sdf.data.images import as_png
from neural_sdf.data.motion import Motion
from neural_sdf.data.preview import INK, rim
from neural_sdf.data.scene import Scene, view_masks, view_pixels

WIDTH = 900  # of a picture, pixels
MOST = 24  # photos shown
LINE = 16  # height of a line of text, pixels
OUTSIDE = np.array([90, 140, 255])  # mixed with what is outside masks
PLACED, LEFT_OUT = (31, 111, 208), (208, 60, 31)


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


def match_sheet(motion: Motion) -> bytes:
    """How many points each two photos share, as a PNG file's content.

    Row and column i stand for photo i: the darker, the more points. Photos whose camera was found
    are marked blue, the others red.
    """
    count = len(motion.photos)
    cell = max(4, 720 // count)
    share = np.log1p(motion.matches) / math.log1p(max(1, int(motion.matches.max())))
    grey = np.rint(255 * (1 - share)).astype(np.uint8)
    table = Image.fromarray(grey).resize((cell * count, cell * count), Image.Resampling.NEAREST)
    names = max(len(name) for name in motion.photos)
    margin = min(240, 12 + 7 * names)
    sheet = Image.new("RGB", (margin + table.width + LINE, table.height + 3 * LINE), "white")
    draw = ImageDraw.Draw(sheet)
    sheet.paste(table.convert("RGB"), (margin, LINE))
    draw.rectangle((margin - 1, LINE - 1, margin + table.width, LINE + table.height), outline=INK)
    kept = set(motion.groups[0]) if motion.groups else set()
    every = math.ceil(LINE * 0.8 / cell)
    for i, name in enumerate(motion.photos):
        colour, top = (PLACED if i in kept else LEFT_OUT), LINE + i * cell
        draw.rectangle((margin - 7, top, margin - 3, top + cell - 1), fill=colour)
        if i % every == 0 or i not in kept:
            draw.text((2, top), name[: (margin - 12) // 7], fill=colour)
    draw.text(
        (margin, table.height + LINE + 4),
        f"points in common, at most {motion.matches.max()}; blue: {len(kept)} photos whose camera"
        f" was found, red: {count - len(kept)} others",
        fill=INK,
    )
    return as_png(np.asarray(sheet))
