import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from neural_sdf.photos.files.capture import View
from neural_sdf.photos.files.images import read_header, read_pixels
from neural_sdf.photos.files.lens import Window
from neural_sdf.photos.files.reduction import box_average, downscale_intrinsics
from neural_sdf.photos.files.views import read_view

WHOLE = Window(0, 0, 0, 0)  # says something of views with a lens only
RANDOM = np.random.default_rng(0).integers(0, 256, (7, 9, 4), dtype=np.uint8)


def photo(path, image, mask=None, *, downscale=1, background=1.0):
    """What is read of a photo saved at `path`, with a full mask unless one is given."""
    image.save(path)
    mask_path = path.with_name("mask.png")
    (mask or Image.new("L", image.size, 255)).save(mask_path)
    view = View("view", "frame 0", path, mask_path, np.eye(3), np.eye(4))
    return read_view(view, WHOLE, downscale=downscale, background=background, mask_shows="object")


def test_box_average_is_the_mean_of_each_block_and_cuts_the_remainder():
    averages = box_average(RANDOM, 3)
    assert averages.shape == (2, 3, 4)
    for i in range(2):
        for j in range(3):
            block = RANDOM[3 * i : 3 * i + 3, 3 * j : 3 * j + 3].astype(float)
            np.testing.assert_allclose(averages[i, j], block.mean(axis=(0, 1)), rtol=1e-6)


def test_reduced_pixel_has_the_ray_through_the_middle_of_its_block():
    K = np.array([[60.0, 3.0, 25.2], [0.0, 66.0, 17.7], [0.0, 0.0, 1.0]])
    reduced = downscale_intrinsics(K, 4)
    ray = np.linalg.solve(reduced, [2.5, 1.5, 1.0])  # of column 2, row 1
    np.testing.assert_allclose(K @ ray, [10.0, 6.0, 1.0])  # columns 8 to 12, rows 4 to 8
    np.testing.assert_array_equal(reduced, [[15, 0.75, 6.3], [0, 16.5, 4.425], [0, 0, 1]])


def test_rgb_is_read_as_stored(tmp_path):
    rgb, mask = photo(tmp_path / "a.png", Image.fromarray(RANDOM[..., :3]))
    np.testing.assert_array_equal(rgb, RANDOM[..., :3])
    assert mask.all()


@pytest.mark.parametrize("background", [0.0, 0.5, 1.0])
def test_alpha_blends_stored_values_with_the_background(tmp_path, background):
    rgb, _ = photo(tmp_path / "a.png", Image.fromarray(RANDOM), background=background)
    alpha = RANDOM[..., 3:] / 255
    blend = RANDOM[..., :3] * alpha + 255 * background * (1 - alpha)
    assert np.abs(rgb - blend).max() <= 0.5001


def test_alpha_is_the_mask_where_no_mask_is_given(tmp_path):
    Image.fromarray(RANDOM).save(tmp_path / "a.png")
    view = View("a", "frame 0", tmp_path / "a.png", None, np.eye(3), np.eye(4))
    for downscale in (1, 2):
        _, mask = read_view(view, WHOLE, downscale=downscale, background=1.0, mask_shows="object")
        expected = box_average(RANDOM[..., 3].astype(float), downscale) > 127.5
        np.testing.assert_array_equal(mask, expected)


def test_grey_palette_and_bilevel_photos_become_rgb(tmp_path):
    grey = Image.fromarray(RANDOM[..., 0])
    rgb, _ = photo(tmp_path / "grey.png", grey)
    np.testing.assert_array_equal(rgb, np.repeat(RANDOM[..., :1], 3, axis=-1))
    palette = Image.fromarray(RANDOM[..., :3]).quantize(8)
    rgb, _ = photo(tmp_path / "palette.png", palette)
    np.testing.assert_array_equal(rgb, np.asarray(palette.convert("RGB")))
    bilevel = grey.point(lambda value: 255 * (value > 99), "1")
    rgb, _ = photo(tmp_path / "bilevel.png", bilevel)
    np.testing.assert_array_equal(rgb[..., 0], 255 * (RANDOM[..., 0] > 99))


def test_a_transparent_palette_colour_shows_the_background(tmp_path):
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), mode="P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.info["transparency"] = 1
    rgb, _ = photo(tmp_path / "a.png", palette)
    np.testing.assert_array_equal(rgb, [[[10, 20, 30], [255, 255, 255]]])
    assert read_header(tmp_path / "a.png")[:3] == (1, 2, True)


def test_of_sixteen_bits_the_high_byte_is_kept(tmp_path):
    deep = np.array([[0, 255, 256, 0x7FFF, 0xFFFF]], np.uint16)
    rgb, _ = photo(tmp_path / "grey.png", Image.fromarray(deep))
    np.testing.assert_array_equal(rgb[..., 1], deep >> 8)
    _, mask = photo(tmp_path / "b.png", Image.new("L", (5, 1)), Image.fromarray(deep))
    np.testing.assert_array_equal(mask, [[False, False, False, False, True]])


def test_of_sixteen_bit_colours_the_high_byte_is_kept(tmp_path):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    pixel = zlib.compress(b"\0" + struct.pack(">HHH", 0x12FF, 0x8001, 0xFFFF))
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    Image.new("L", (1, 1), 255).save(tmp_path / "m.png")
    view = View("a", "frame 0", path, tmp_path / "m.png", np.eye(3), np.eye(4))
    rgb, _ = read_view(view, WHOLE, downscale=1, background=1.0, mask_shows="object")
    np.testing.assert_array_equal(rgb, [[[0x12, 0x80, 0xFF]]])


def test_a_mask_is_what_is_brighter_than_half_then_more_than_half_of_a_block(tmp_path):
    grey = np.array([[127, 128, 0, 255], [128, 128, 0, 255]], np.uint8)
    for mode in ("L", "RGB"):
        mask = Image.fromarray(grey).convert(mode)
        _, full = photo(tmp_path / "a.png", Image.new("RGB", (4, 2)), mask)
        np.testing.assert_array_equal(full, grey > 127)
        _, half = photo(tmp_path / "a.png", Image.new("RGB", (4, 2)), mask, downscale=2)
        np.testing.assert_array_equal(half, [[True, False]])


def test_a_cmyk_photo_is_refused_by_name(tmp_path):
    Image.new("CMYK", (4, 3)).save(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=r"a.jpg .*colour mode CMYK; expected 8-bit RGB"):
        read_header(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_photo_turned_by_exif_is_refused_by_name(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / f"a{suffix}"
    Image.new("RGB", (4, 3)).save(path, exif=exif)
    with pytest.raises(ValueError, match=rf"a{suffix} .*EXIF orientation 6; expected 1"):
        read_pixels(path)
    assert read_header(path)[:2] == read_pixels(path, False).shape[:2] == (3, 4)
    assert read_pixels(path, True).shape[:2] == (4, 3)


def test_a_truncated_photo_is_refused_by_name(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(RANDOM).save(path)
    path.write_bytes(path.read_bytes()[:120])
    view = View("a", "frame 0", path, None, np.eye(3), np.eye(4))
    with pytest.raises(ValueError, match=r"a.png cannot be read: .*; expected a whole PNG or JPEG"):
        read_view(view, WHOLE, downscale=1, background=1.0, mask_shows="object")


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_no_image_is_refused_by_name_once(tmp_path, content):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a.png cannot be read") as error:
        read_header(path)
    assert str(error.value).count(str(path)) == 1
