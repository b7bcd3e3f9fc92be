"""Lens distortion against OpenCV's formula, on photos bent by inverting it numerically."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import optimize

from neural_sdf.photos import load_scene
from neural_sdf.photos.files.capture import View
from neural_sdf.photos.files.images import read_header
from neural_sdf.photos.files.lens import (
    cropped,
    distort,
    lens_or_none,
    resampled,
    shown_places,
    window,
)
from neural_sdf.photos.files.lens_models import Division, Fisheye, OpenCV
from neural_sdf.photos.files.views import pinhole_camera, read_view
from neural_sdf.photos.inspection.matches import find_matches, line_distance
from neural_sdf.photos.inspection.readings import Views
from neural_sdf.photos.layouts import read_capture

HEIGHT, WIDTH = 60, 80
K = np.array([[70.0, 0, 43], [0, 74, 27], [0, 0, 1]])
SKEWED = np.array([[70.0, 3, 43], [0, 74, 27], [0, 0, 1]])
LENSES = {
    "barrel": OpenCV(k1=-0.2, k2=0.03),
    "pincushion": OpenCV(k1=0.25, k2=0.05),
    "decentred": OpenCV(k1=0.05, p1=0.02, p2=-0.03),
    "rational": OpenCV(0.3, 0.02, 0.004, -0.003, 0.01, 0.1, 0.03, 0.002),
    "moustache": OpenCV(k1=0.3, k2=-0.6, k3=0.3),
}
WITH_GAPS = [name for name in LENSES if name != "barrel"]  # whose photo does not fill its grid


def opencv(lens: OpenCV, x, y):
    """As OpenCV's manual has it."""
    k1, k2, p1, p2, k3, k4, k5, k6 = lens
    r = np.sqrt(x**2 + y**2)
    f = (1 + k1 * r**2 + k2 * r**4 + k3 * r**6) / (1 + k4 * r**2 + k5 * r**4 + k6 * r**6)
    return (
        x * f + 2 * p1 * x * y + p2 * (r**2 + 2 * x**2),
        y * f + p1 * (r**2 + 2 * y**2) + 2 * p2 * x * y,
    )


def image_points(intrinsics, height, width):
    """(x, y) on the plane Z = 1 of each pixel's centre."""
    rows, columns = np.indices((height, width)) + 0.5
    pixels = np.stack([columns, rows, np.ones_like(rows)], axis=-1)
    points = pixels @ np.linalg.inv(intrinsics).T
    return points[..., 0], points[..., 1]


def photographed(lens, intrinsics, height, width):
    """Which pixels of the ideal grid lie in the photo, border included; blind to folds."""
    bent = np.stack([*opencv(lens, *image_points(intrinsics, height, width))], axis=-1)
    pixels = bent @ intrinsics[:2, :2].T + intrinsics[:2, 2]
    return ((pixels >= 0) & (pixels <= [width, height])).all(axis=-1)


def straightened(lens, x, y):
    """The ideal points of photographed ones: all equations solved at once."""
    photo = np.stack([x, y])

    def residual(ideal):
        return np.stack(opencv(lens, *ideal)) - photo

    ideal = optimize.newton_krylov(residual, photo, f_tol=1e-10, method="lgmres")
    np.testing.assert_allclose(np.stack(opencv(lens, *ideal)), photo, atol=1e-9)
    return ideal


def pattern(x, y):
    """Three smooth channels of the ideal image point, in [0, 255]."""
    return np.stack(
        [128 + 100 * np.sin(4 * x + 1), 120 + 110 * np.cos(3 * y - x), 130 + 200 * x * y], axis=-1
    ).clip(0, 255)


def from_edge(values):
    """Without the outermost pixels, half of which may lie beyond the photo's last centres."""
    return values[1:-1, 1:-1]


def test_distortion_is_that_computed_by_hand():
    """At (1, 2), r² = 5: f = (1 + .5 + .25 + .125) / (1 + .5 + .5 + .5) = 0.75."""
    lens = OpenCV(k1=0.1, k2=0.01, p1=0.02, p2=0.03, k3=0.001, k4=0.1, k5=0.02, k6=0.004)
    bent = distort(lens, np.array([1.0, 2.0]))
    np.testing.assert_allclose(bent, [0.75 + 0.08 + 0.21, 1.5 + 0.26 + 0.12], atol=1e-14)
    without_denominator = distort(lens._replace(k4=0.0, k5=0.0, k6=0.0), np.array([1.0, 2.0]))
    np.testing.assert_allclose(without_denominator, [1.875 + 0.29, 3.75 + 0.38], atol=1e-14)


@pytest.mark.parametrize("name", LENSES)
def test_distortion_is_opencvs(name):
    ideal = np.random.default_rng(0).uniform(-1, 1, (4, 25, 2))
    expected = np.stack(opencv(LENSES[name], *np.moveaxis(ideal, -1, 0)), axis=-1)
    np.testing.assert_allclose(distort(LENSES[name], ideal), expected, atol=1e-12)


def test_each_coefficient_moves_a_point_by_its_own_term():
    """To first order, with r² = 0.25 at (0.3, 0.4)."""
    x, y, r2, tiny = 0.3, 0.4, 0.25, 1e-6
    terms = {
        **{f"k{i}": np.array([x, y]) * r2**i for i in (1, 2, 3)},
        **{f"k{i + 3}": -np.array([x, y]) * r2**i for i in (1, 2, 3)},
        "p1": np.array([2 * x * y, r2 + 2 * y * y]),
        "p2": np.array([r2 + 2 * x * x, 2 * x * y]),
    }
    assert set(terms) == set(OpenCV._fields)
    for name, term in terms.items():
        moved = distort(OpenCV(**{name: tiny}), np.array([x, y])) - [x, y]
        np.testing.assert_allclose(moved / tiny, term, atol=1e-5, err_msg=name)


def test_without_coefficients_there_is_no_lens():
    assert lens_or_none(OpenCV()) is None
    assert lens_or_none(OpenCV(0.0, 0.0, -0.0, 0.0, 0.0, 0.0, 0.0, 0.0)) is None
    assert lens_or_none(Fisheye()) == Fisheye(), "which bends without any coefficient"
    assert lens_or_none(OpenCV(0.0, 0.1, 0.2)) == OpenCV(k2=0.1, p1=0.2)


def test_a_lens_that_does_nothing_keeps_the_photo_as_it_is():
    photo = np.random.default_rng(0).uniform(0, 255, (HEIGHT, WIDTH, 3)).astype(np.float32)
    whole = window(OpenCV(), K, HEIGHT, WIDTH)
    assert whole == (0, HEIGHT, 0, WIDTH)
    np.testing.assert_allclose(resampled(photo, shown_places(OpenCV(), K, whole)), photo, atol=0.01)


@pytest.mark.parametrize("intrinsics", [K, SKEWED], ids=["square", "skewed"])
@pytest.mark.parametrize("name", LENSES)
def test_an_undistorted_photo_is_that_of_the_pinhole_camera(name, intrinsics):
    lens = LENSES[name]
    photo = pattern(*straightened(lens, *image_points(intrinsics, HEIGHT, WIDTH)))
    kept = window(lens, intrinsics, HEIGHT, WIDTH)
    source = shown_places(lens, intrinsics, kept)
    seen = resampled(photo, source)
    height, width = seen.shape[:2]
    assert (height, width) == (kept.bottom - kept.top, kept.right - kept.left)
    assert height * width > 0.5 * HEIGHT * WIDTH
    expected = pattern(*image_points(cropped(intrinsics, kept), height, width))
    np.testing.assert_allclose(from_edge(seen), from_edge(expected), atol=0.3)
    np.testing.assert_allclose(seen, expected, atol=4.5)
    grey = resampled(photo[..., 0], source)
    np.testing.assert_array_equal(grey, seen[..., 0])


@pytest.mark.parametrize("name", LENSES)
def test_photo_and_mask_files_are_read_as_the_pinhole_camera_sees_them(tmp_path, name):
    def disc(x, y):
        return np.hypot(x - 0.1, y + 0.05) - 0.25

    x, y = straightened(LENSES[name], *image_points(K, HEIGHT, WIDTH))
    Image.fromarray(np.rint(pattern(x, y)).astype(np.uint8)).save(tmp_path / "photo.png")
    Image.fromarray(np.uint8(255) * (disc(x, y) < 0)).save(tmp_path / "mask.png")
    view = View("v", "a test", tmp_path / "photo.png", tmp_path / "mask.png", K, np.eye(4))
    view = view._replace(lens=LENSES[name])
    pinhole = pinhole_camera(view, read_header(view.image))
    intrinsics, size = pinhole.intrinsics, pinhole.size
    rgb, mask = read_view(view, pinhole.window, downscale=1, background=1.0, mask_shows="object")
    assert rgb.shape == (*size, 3) and mask.shape == size
    x, y = image_points(intrinsics, *size)
    off = np.abs(from_edge(rgb) - from_edge(pattern(x, y)))
    assert off.max() < 1.5  # rounded twice
    far = np.abs(disc(x, y)) > 1 / 70  # a pixel
    np.testing.assert_array_equal(mask[far], (disc(x, y) < 0)[far])
    assert 0.9 < mask.sum() / np.sum(disc(x, y) < 0) < 1.1


@pytest.mark.parametrize("name", LENSES)
def test_the_window_has_no_gap_and_cannot_grow(name):
    shown = photographed(LENSES[name], K, HEIGHT, WIDTH)
    assert shown.all() == (name not in WITH_GAPS)
    top, bottom, left, right = window(LENSES[name], K, HEIGHT, WIDTH)
    assert shown[top:bottom, left:right].all()
    sides = {
        "above": shown[top - 1 : top, left:right],
        "below": shown[bottom : bottom + 1, left:right],
        "left": shown[top:bottom, left - 1 : left],
        "right": shown[top:bottom, right : right + 1],
    }
    assert [side for side, pixels in sides.items() if pixels.size and pixels.all()] == []


@pytest.mark.parametrize("name", WITH_GAPS)
def test_the_window_is_nearly_the_largest_of_all(name):
    """Of every upright rectangle without a gap, by summed areas."""
    shown = photographed(LENSES[name], K, HEIGHT, WIDTH)
    gaps = np.pad(np.cumsum(np.cumsum(~shown, axis=0), axis=1), ((1, 0), (1, 0)))
    best = 0
    for top in range(HEIGHT):
        for bottom in range(top + 1, HEIGHT + 1):
            across = gaps[bottom] - gaps[top]  # of columns before each
            first = np.searchsorted(across, across, side="left")  # the same, from the left
            best = max(best, (bottom - top) * int((np.arange(WIDTH + 1) - first).max()))
    kept = window(LENSES[name], K, HEIGHT, WIDTH)
    assert (kept.bottom - kept.top) * (kept.right - kept.left) > 0.95 * best


WIDE = np.array([[30.0, 0, 41], [0, 31, 28], [0, 0, 1]])  # corners at r = 1.6


@pytest.mark.parametrize("intrinsics", [K, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize(
    ("k1", "k2", "k3"),
    [
        *((k1, 0.0, 0.0) for k1 in (-0.3, -0.6, -1.0, -3.0, -10.0)),
        *((-0.5, 0.02, 0.0), (-2.0, 1.2, 0.0), (-1.1, 0.55, -0.08), (0.3, -0.5, 0.0)),
    ],
)
def test_the_window_ends_before_the_fold_and_fills_what_is_before_it(k1, k2, k3, intrinsics):
    """Where r (1 + k1 r² + k2 r⁴ + k3 r⁶) ceases to rise, the photo shows the same again."""
    slope = np.polynomial.Polynomial([1, 0, 3 * k1, 0, 5 * k2, 0, 7 * k3])
    fold = min((z.real for z in slope.roots() if abs(z.imag) < 1e-9 < z.real), default=np.inf)
    kept = window(OpenCV(k1=k1, k2=k2, k3=k3), intrinsics, HEIGHT, WIDTH)
    assert kept is not None
    shape = kept.bottom - kept.top, kept.right - kept.left
    pixel = 1 / intrinsics[0, 0]
    assert np.hypot(*image_points(cropped(intrinsics, kept), *shape)).max() < fold + pixel
    within = min(fold / np.sqrt(2) / pixel - 1, 27)  # half the side of a square in the circle
    assert shape[0] * shape[1] > 0.7 * (2 * within) ** 2


@pytest.mark.parametrize("name", ["k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"])
@pytest.mark.parametrize("size", [-1e6, -5.0, 5.0, 1e6, 1e30, -1e30, np.nan])
def test_no_coefficient_is_too_large_for_an_answer(name, size):
    kept = window(OpenCV(**{name: size}), K, HEIGHT, WIDTH)
    if kept is not None:
        shown = photographed(OpenCV(**{name: size}), K, HEIGHT, WIDTH)
        assert shown[kept.top : kept.bottom, kept.left : kept.right].all()


def test_a_scene_is_cropped_to_the_window_of_its_lens(ball, transforms_folder, edit_json):
    lens = OpenCV(k1=0.3, k2=0.1, p1=0.03, p2=0.02)
    edit_json(transforms_folder / "transforms.json", lambda d: d.update(lens._asdict()))
    ideal = np.stack([*straightened(lens, *image_points(ball.intrinsics, 36, 48))], axis=-1)
    pixels = ideal @ ball.intrinsics[:2, :2].T + ball.intrinsics[:2, 2]
    column, row = np.moveaxis(pixels.astype(int).clip(0, [47, 35]), -1, 0)
    for i, rgba in enumerate(ball.rgba):
        Image.fromarray(rgba[row, column]).save(transforms_folder / f"images/{i:03d}.png")
    shown = photographed(lens, ball.intrinsics, 36, 48)
    top, bottom, left, right = window(lens, ball.intrinsics, 36, 48)
    assert top > 0 and left > 0 and shown[top:bottom, left:right].all()
    scene = load_scene(transforms_folder, holdout_every=0)
    np.testing.assert_array_equal(scene.sizes, [[bottom - top, right - left]] * 12)
    expected = ball.intrinsics - [[0, 0, left], [0, 0, top], [0, 0, 0]]
    np.testing.assert_allclose(scene.intrinsics, np.tile(expected, (12, 1, 1)), atol=1e-12)
    masks = ball.rgba[:, top:bottom, left:right, 3] > 0
    assert np.mean(scene.mask.reshape(masks.shape) != masks) < 0.03


@pytest.fixture
def fox(photo_set, tmp_path) -> Path:
    """Six photos of the set, far apart."""
    folder = photo_set("fox")
    document = json.loads((folder / "transforms.json").read_text())
    frames = sorted(document["frames"], key=lambda frame: frame["file_path"])
    frames = [frame for frame in frames if (folder / frame["file_path"]).is_file()][:30:5]
    (tmp_path / "images").mkdir()
    for frame in frames:
        (tmp_path / frame["file_path"]).symlink_to(folder / frame["file_path"])
    (tmp_path / "transforms.json").write_text(json.dumps({**document, "frames": frames}))
    return tmp_path


def test_matches_of_fox_lie_nearer_to_their_lines_with_the_lens_than_without(fox):
    def distance(views):
        photos, intrinsics = [], []
        for view in views:
            K, kept = pinhole_camera(view, read_header(view.image))
            photo, _ = read_view(view, kept, downscale=4, background=1.0, mask_shows="object")
            photos.append(photo)
            intrinsics.append(K / [[4], [4], [1]])
        poses = np.stack([view.world_from_camera for view in views])
        seen = Views(
            names=tuple(v.name for v in views),
            indices=np.arange(len(views)),
            masks=(),
            intrinsics=np.stack(intrinsics),
            world_from_camera=poses,
            sizes=np.array([photo.shape[:2] for photo in photos]),
        )
        return line_distance(find_matches(photos, seen), seen)

    views = read_capture(fox, format="auto", cameras="").views
    assert distance(views) < 0.9 * distance([view._replace(lens=None) for view in views])


def test_what_a_lens_photographs_nowhere_is_in_no_window():
    """Beyond 1 / (2 √k) on the plane Z = 1 the division model has no photographed point."""
    kept = window(Division(1.0), K, HEIGHT, WIDTH)
    assert kept is not None
    source = shown_places(Division(1.0), K, kept)
    assert np.isfinite(source).all()
    x, y = image_points(K, HEIGHT, WIDTH)
    assert (np.hypot(x, y) > 0.5).any(), "the photo's grid reaches beyond"
    rows, columns = slice(kept.top, kept.bottom), slice(kept.left, kept.right)
    assert (np.hypot(x, y)[rows, columns] <= 0.5).all()
