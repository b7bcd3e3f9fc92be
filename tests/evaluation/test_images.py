import json

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from neural_sdf.evaluation import comparison, mask_iou, psnr_masked, ssim_masked
from neural_sdf.machine.files import write_png
from neural_sdf.mistake import Mistake

RNG = np.random.default_rng(0)
PHOTO = RNG.uniform(size=(24, 30, 3))
RENDER = np.clip(PHOTO + RNG.normal(scale=0.1, size=PHOTO.shape), 0, 1)
EVERYWHERE = np.ones((24, 30), bool)


def disc():
    rows, columns = np.indices((24, 30))
    return (rows - 12) ** 2 + (columns - 15) ** 2 < 81


@pytest.mark.parametrize(("offset", "decibel"), [(0.1, 20.0), (0.01, 40.0), (1.0, 0.0)])
def test_psnr_of_a_constant_offset_is_known(offset, decibel):
    black = np.zeros((4, 5, 3), np.float32)
    assert psnr_masked(black + offset, black, np.ones((4, 5), bool)) == pytest.approx(decibel)


def test_psnr_is_over_all_masked_pixels_and_channels():
    photo = np.zeros((2, 2, 3))
    render = photo.copy()
    render[0, 0, 1] = 0.6
    render[1, 1] = 1.0  # outside
    mask = np.array([[True, True], [False, False]])
    assert psnr_masked(render, photo, mask) == pytest.approx(-10 * np.log10(0.36 / 6))


def test_psnr_of_equal_images_is_the_cap_and_fits_json():
    value = psnr_masked(PHOTO, PHOTO, EVERYWHERE)
    assert json.loads(json.dumps(value)) == 100.0


def test_ssim_is_the_map_of_skimage_on_a_full_mask():
    score, full = structural_similarity(
        RENDER,
        PHOTO,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
        channel_axis=-1,
        full=True,
    )
    assert ssim_masked(RENDER, PHOTO, EVERYWHERE) == pytest.approx(full.mean())
    assert score == pytest.approx(full[5:-5, 5:-5].mean())


def test_ssim_is_the_formula_of_wang_over_the_mask():
    mask = disc()
    x, y = (np.where(mask[..., None], image, 1.0) for image in (RENDER, PHOTO))

    def blur(image):
        return gaussian_filter(image, sigma=(1.5, 1.5, 0), truncate=3.5)

    mean_x, mean_y = blur(x), blur(y)
    covariance = blur(x * y) - mean_x * mean_y
    variances = blur(x * x) - mean_x**2 + blur(y * y) - mean_y**2
    expected = (2 * mean_x * mean_y + 1e-4) * (2 * covariance + 9e-4)
    expected = expected / ((mean_x**2 + mean_y**2 + 1e-4) * (variances + 9e-4))
    assert ssim_masked(RENDER, PHOTO, mask) == pytest.approx(expected[mask].mean(), rel=1e-6)


def test_what_lies_outside_the_mask_does_not_count():
    mask = disc()
    spoiled = np.where(mask[..., None], RENDER, 0.3)
    assert ssim_masked(spoiled, PHOTO, mask) == ssim_masked(RENDER, PHOTO, mask)
    assert psnr_masked(spoiled, PHOTO, mask) == psnr_masked(RENDER, PHOTO, mask)


def test_ssim_of_equal_images_is_one():
    assert ssim_masked(PHOTO, PHOTO, disc()) == pytest.approx(1.0)


def test_ssim_of_an_image_smaller_than_its_window_is_refused():
    for height, width in ((10, 30), (24, 10)):
        few = (PHOTO[:height, :width], RENDER[:height, :width], EVERYWHERE[:height, :width])
        with pytest.raises(Mistake, match=f"has {width}x{height} pixels; expected at least 11"):
            ssim_masked(*few)
    ssim_masked(PHOTO[:11, :11], RENDER[:11, :11], EVERYWHERE[:11, :11])


@pytest.mark.parametrize("measure", [psnr_masked, ssim_masked])
def test_an_empty_mask_is_refused(measure):
    with pytest.raises(ValueError, match="mask is empty"):
        measure(RENDER, PHOTO, ~EVERYWHERE)


def test_iou_of_known_masks():
    a = np.array([[True, True, False, False]])
    b = np.array([[False, True, True, False]])
    empty = np.zeros_like(a)
    assert mask_iou(a, b) == pytest.approx(1 / 3)
    assert mask_iou(a, a) == 1.0
    assert mask_iou(a, ~a) == 0.0
    assert mask_iou(empty, a) == 0.0
    assert mask_iou(empty, empty) == 1.0


def test_comparison_shows_five_panels_in_order():
    hit = np.array([[True, True, False]])
    photo, render = np.full((1, 3, 3), 0.5), np.full((1, 3, 3), 0.6)
    normals = np.broadcast_to([0.0, 0.0, 1.0], (1, 3, 3)).copy()
    depth = np.array([[2.0, 4.0, 0.0]])
    strip = comparison(photo, render, normals, depth, hit)
    assert strip.shape == (1, 15, 3)
    assert strip.dtype == np.uint8
    assert (strip[:, :3] == 128).all()
    assert (strip[:, 3:6] == 153).all()
    assert (strip[:, 6:9] == 102).all()  # 0.1 of 0.25
    assert strip[0, 9:12].tolist() == [[128, 128, 255], [128, 128, 255], [0, 0, 0]]
    assert strip[0, 12:15, 0].tolist() == [255, 51, 0]


def test_comparison_of_a_view_without_hits_is_black_where_geometry_is_missing():
    miss = ~EVERYWHERE
    strip = comparison(PHOTO, RENDER, np.zeros_like(PHOTO), np.zeros(miss.shape), miss)
    assert (strip[:, 90:] == 0).all()


def test_png_read_back_equals_written(tmp_path):
    image = RNG.integers(0, 256, (7, 9, 3), dtype=np.uint8)
    write_png(tmp_path / "eval" / "view.png", image)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "eval" / "view.png")), image)
