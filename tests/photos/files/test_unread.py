"""Photos of which only that they are whole is asked."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from neural_sdf.photos.files.images import ImageError, read_pixels, unread_pixels
from neural_sdf.photos.files.reduction import box_average

NOISE = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)


def file_of(suffix: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(NOISE).save(file, suffix)
    return file.getvalue()


@pytest.mark.parametrize("suffix", ["png", "jpeg", "bmp"])
def test_a_whole_photo_is_black_at_its_own_size(tmp_path, suffix):
    path = tmp_path / f"photo.{suffix}"
    path.write_bytes(file_of(suffix))
    pixels = unread_pixels(path)
    assert (pixels.shape, pixels.dtype) == (NOISE.shape, np.uint8)
    assert not pixels.any()


@pytest.mark.parametrize("suffix", ["png", "jpeg", "bmp"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_photo_that_is_cut_off_is_refused_as_it_is_when_read(tmp_path, suffix, share):
    path = tmp_path / f"photo.{suffix}"
    content = file_of(suffix)
    path.write_bytes(content[: int(share * len(content))])
    for read in (read_pixels, unread_pixels):
        with pytest.raises(ImageError) as error:
            read(path)
        assert error.value.code == "unreadable-images"


def test_a_png_with_a_damaged_pixel_is_judged_as_it_is_when_read(tmp_path):
    path, content = tmp_path / "photo.png", bytearray(file_of("png"))
    content[len(content) // 2] ^= 0x55
    path.write_bytes(content)
    told = []
    for read in (read_pixels, unread_pixels):
        with pytest.raises(ImageError) as error:
            read(path)
        told.append(str(error.value))
    assert told[0] == told[1]


def test_exif_behind_the_pixels_of_a_png_is_seen(tmp_path):
    path, content = tmp_path / "photo.png", file_of("png")
    exif = Image.Exif()
    exif[274] = 6  # to be shown turned
    body = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    path.write_bytes(content[:-12] + chunk + content[-12:])
    for read in (read_pixels, unread_pixels):
        with pytest.raises(ImageError) as error:
            read(path)
        assert error.value.code == "exif-rotation"


@pytest.mark.parametrize("factor", [1, 2, 3, 16, 17])
def test_bytes_are_averaged_to_the_means_of_their_blocks(factor):
    values = np.full((40, 55, 3), 255, np.uint8)
    values[::2] = np.random.default_rng(1).integers(0, 256, (20, 55, 3))
    height, width = 40 // factor, 55 // factor
    blocks = values[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    np.testing.assert_allclose(box_average(values, factor), blocks.mean(axis=(1, 3)), rtol=1e-6)
