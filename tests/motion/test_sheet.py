"""Pictures of matches and masks: they show what they say."""

import io

import numpy as np
import pytest
from PIL import Image

from neural_sdf.masking.sheet import MOST, WIDTH, mask_sheet
from neural_sdf.motion.motion import Motion
from neural_sdf.motion.sheet import LEFT_OUT, LINE, PLACED, match_sheet
from neural_sdf.scenes.paint import smooth
from neural_sdf.scenes.synthetic import Shoot, synthetic_scene


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content))).astype(int)


def motion(count: int, kept: int) -> Motion:
    matches = np.zeros((count, count), int)
    matches[0, 1] = matches[1, 0] = 1000
    matches[1, 2] = matches[2, 1] = 10
    return Motion(
        photos=tuple(f"photo{i}" for i in range(count)),
        num_points=np.full(count, 2000),
        matches=matches,
        groups=(tuple(range(kept)),) if kept else (),
        model=None,
        error=0.0,
        num_mapped=0,
    )


def test_the_more_points_two_photos_share_the_darker_their_cell():
    sheet = pixels(match_sheet(motion(6, 4)))
    cell, right = 720 // 6, sheet.shape[1] - LINE

    def shade(i, j):
        return sheet[LINE + i * cell + cell // 2, right - 720 + j * cell + cell // 2, 0]

    assert shade(0, 1) == shade(1, 0) == 0
    assert 0 < shade(1, 2) == shade(2, 1) < 255
    assert shade(3, 4) == shade(2, 2) == 255


@pytest.mark.parametrize(("count", "kept"), [(3, 3), (6, 4), (40, 13), (400, 0)])
def test_photos_that_are_placed_are_blue_and_the_others_red(count, kept):
    sheet = pixels(match_sheet(motion(count, kept)))
    cell = max(4, 720 // count)
    bar = sheet[LINE : LINE + cell * count, sheet.shape[1] - LINE - cell * count - 5]
    assert ((bar == PLACED).all(-1)).sum() == kept * cell
    assert ((bar == LEFT_OUT).all(-1)).sum() == (count - kept) * cell


@pytest.mark.parametrize("count", [1, 2, 7, 30])
def test_masks_are_outlined_and_what_is_outside_is_blue(count):
    scene = synthetic_scene(Shoot(count, 0, (24, 32), smooth))
    scene = scene._replace(rgb=np.zeros_like(scene.rgb))
    sheet = pixels(mask_sheet(scene))
    assert sheet.shape[1] == WIDTH
    shown = min(count, MOST)
    columns = min(6, int(np.ceil(np.sqrt(shown))))
    red = (sheet == [255, 0, 0]).all(-1)
    side = WIDTH // columns
    tiles = [red[:, i * side : (i + 1) * side].any() for i in range(columns)]
    assert all(tiles)
    black, blue = (sheet == 0).all(-1), (sheet == [45, 70, 127]).all(-1)
    share = black.sum() / (black.sum() + blue.sum() + red.sum())
    first = np.unique(np.linspace(0, count - 1, shown).round().astype(int))
    masks = scene.mask.reshape(count, -1)[first]
    assert share == pytest.approx(masks.mean(), abs=0.06)
