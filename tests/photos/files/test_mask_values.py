"""Masks are read by what they are: two values, labels, palettes, cut-outs, soft edges."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from neural_sdf.photos.files.mask_values import read_mask

INSIDE = np.zeros((40, 50), bool)
INSIDE[8:30, 12:41] = True
SPOTS = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def two(low, high):
    return Image.fromarray(np.where(INSIDE[..., None], high, low).astype(np.uint8).squeeze())


def palette(colours, index=None):
    index = INSIDE.astype(np.uint8) if index is None else index
    image = Image.fromarray(index, mode="P")
    image.putpalette([value for colour in colours for value in colour])
    return image


def cut_out(rgb, alpha):
    return Image.fromarray(np.dstack([rgb, alpha.astype(np.uint8)]))


def soft():
    """An edge of many greys; half of them are inside."""
    ramp = np.clip((np.arange(50) - 25) * 20 + 128, 0, 255).astype(np.uint8)
    return Image.fromarray(np.repeat(ramp[None], 40, axis=0))


LABELS = np.where(INSIDE, np.arange(50) // 20 + 1, 0).astype(np.uint8)
DRAWN = np.where(INSIDE[..., None], 255, 0).astype(np.uint8).repeat(3, axis=-1)
KINDS = {
    "0 and 255": two([0], [255]),
    "0 and 1": two([0], [1]),
    "1 and 2": two([1], [2]),
    "0 and 38": two([0], [38]),
    "200 and 255": two([200], [255]),
    "one bit": two([0], [255]).convert("1"),
    "black and dark red": two([0, 0, 0], [128, 0, 0]),
    "black and green": two([0, 0, 0], [0, 255, 0]),
    "labels": Image.fromarray(LABELS),
    "colours of labels": Image.fromarray(
        np.array([[0, 0, 0], [128, 0, 0], [0, 0, 90], [9, 60, 9]], np.uint8)[LABELS]
    ),
    "a palette": palette([(0, 0, 0), (128, 0, 0)]),
    "a palette of labels": palette([(0, 0, 0), (128, 0, 0), (0, 128, 0), (9, 9, 80)], LABELS),
    "a palette of greys, white first": palette(
        [(255, 255, 255), (0, 0, 0)], (~INSIDE).astype(np.uint8)
    ),
    "16 bits, 0 and 1": Image.fromarray(INSIDE.astype(np.uint16)),
    "16 bits, 0 and 255": Image.fromarray(INSIDE.astype(np.uint16) * 255),
    "16 bits, grey and white": Image.fromarray(np.where(INSIDE, 60000, 20000).astype(np.uint16)),
    "16 bits, full": Image.fromarray(INSIDE.astype(np.uint16) * 65535),
    "a cut-out of a dark thing": cut_out(SPOTS // 4, 255 * INSIDE),
    "a cut-out, soft": cut_out(SPOTS, np.where(INSIDE, 200, 90)),
    "black on nothing": cut_out(np.zeros_like(SPOTS), 255 * INSIDE),
    "white on black, opaque": cut_out(DRAWN, np.full(INSIDE.shape, 255)),
    "white on black, clear at the rim": cut_out(DRAWN, np.pad(np.full((36, 46), 255), 2)),
    "grey and alpha": Image.fromarray(
        np.dstack([SPOTS[..., 0], 255 * INSIDE]).astype(np.uint8), mode="LA"
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
def test_the_object_is_found_in_every_kind_of_mask(tmp_path, kind):
    KINDS[kind].save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), INSIDE)


def test_soft_edges_are_cut_at_half(tmp_path):
    soft().save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png")[0], np.arange(50) >= 25)


def test_a_jpeg_of_a_mask_is_cut_at_half(tmp_path):
    two([0], [255]).save(tmp_path / "mask.jpg", quality=60)
    assert (read_mask(tmp_path / "mask.jpg") != INSIDE).mean() < 0.01


@pytest.mark.parametrize(("value", "is_inside"), [(0, False), (255, True)])
def test_one_value_says_the_same_everywhere(tmp_path, value, is_inside):
    Image.new("L", (5, 4), value).save(tmp_path / "mask.png")
    assert (read_mask(tmp_path / "mask.png") == is_inside).all()


def test_a_grey_that_stands_for_nothing_in_a_file_of_16_bits_leaves_values_as_they_are(tmp_path):
    KINDS["16 bits, 0 and 255"].save(tmp_path / "mask.png")
    content = (tmp_path / "mask.png").read_bytes()
    clear = b"tRNS\0\0"  # black is transparent
    chunk = struct.pack(">I", 2) + clear + struct.pack(">I", zlib.crc32(clear))
    (tmp_path / "mask.png").write_bytes(content[:33] + chunk + content[33:])  # behind the header
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), INSIDE)


def test_a_few_colours_without_black_are_cut_at_half(tmp_path):
    colours = np.array([[20, 0, 90], [0, 90, 20], [250, 200, 0], [90, 220, 250]], np.uint8)
    Image.fromarray(colours[2 * INSIDE + np.arange(50) % 2]).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), INSIDE)


def test_a_few_greys_up_to_white_are_cut_at_half(tmp_path):
    greys = np.array([0, 90, 160, 255], np.uint8)[2 * INSIDE + np.arange(50) % 2]
    for bands in (greys, np.dstack([greys] * 3)):
        Image.fromarray(bands).save(tmp_path / "mask.png")
        np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), INSIDE)
