"""Which of some plain photos match, as one picture."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from neural_sdf.machine.files import as_png
from neural_sdf.motion.motion import Motion
from neural_sdf.photos.picture import INK

LINE = 16  # height of a line of text, pixels
PLACED, LEFT_OUT = (31, 111, 208), (208, 60, 31)


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
