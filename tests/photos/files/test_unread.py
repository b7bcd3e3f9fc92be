"""Photos of which only that they are whole is asked."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from neural_sdf.photos.files.capture import View
from neural_sdf.photos.files.images import ImageError, read_header, read_pixels, whole_size
from neural_sdf.photos.files.lens_models import OpenCV
from neural_sdf.photos.files.reduction import box_average
from neural_sdf.photos.files.views import pinhole_camera, read_outline, read_view

NOISE = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)


def file_of(suffix: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(NOISE).save(file, suffix)
    return file.getvalue()


@pytest.mark.parametrize("suffix", ["png", "jpeg", "bmp"])
def test_a_whole_photo_has_its_size_without_its_pixels(tmp_path, suffix):
    path = tmp_path / f"photo.{suffix}"
    path.write_bytes(file_of(suffix))
    assert whole_size(path) == (30, 40)


@pytest.mark.parametrize("lens", [None, OpenCV(k1=-0.2, k2=0.03)])
@pytest.mark.parametrize("downscale", [1, 3])
@pytest.mark.parametrize("shrink", [1, 2])
def test_a_mask_is_the_same_whether_its_photo_is_looked_at(tmp_path, lens, downscale, shrink):
    photo, mask = tmp_path / "photo.png", tmp_path / "mask.png"
    photo.write_bytes(file_of("png"))
    Image.fromarray(NOISE[::shrink, ::shrink, 0] // 128 * np.uint8(255)).save(mask)
    K = np.array([[30.0, 0, 20], [0, 30, 15], [0, 0, 1]])
    view = View("v", "a test", photo, mask, K, np.eye(4), lens=lens)
    window = pinhole_camera(view, read_header(photo)).window
    how = {"downscale": downscale, "background": 1.0, "mask_shows": "background"}
    (rgb, inside), (black, outline) = (
        read(view, window, **how) for read in (read_view, read_outline)
    )
    assert inside.any() and not inside.all()
    np.testing.assert_array_equal(outline, inside)
    np.testing.assert_array_equal(black, np.zeros_like(rgb))


@pytest.mark.parametrize("suffix", ["png", "jpeg", "bmp"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_photo_that_is_cut_off_is_refused_as_it_is_when_read(tmp_path, suffix, share):
    path = tmp_path / f"photo.{suffix}"
    content = file_of(suffix)
    path.write_bytes(content[: int(share * len(content))])
    for read in (read_pixels, whole_size):
        with pytest.raises(ImageError) as error:
            read(path)
        assert error.value.code == "unreadable-images"


def test_a_png_with_a_damaged_pixel_is_judged_as_it_is_when_read(tmp_path):
    path, content = tmp_path / "photo.png", bytearray(file_of("png"))
    content[len(content) // 2] ^= 0x55
    path.write_bytes(content)
    told = []
    for read in (read_pixels, whole_size):
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
    for read in (read_pixels, whole_size):
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
