"""Growth of masks, on silhouettes of a ball in closed form."""

import numpy as np
import pytest

from neural_sdf.photos.outlines.growth import Cameras, Span, growth, shifted, silhouettes

SIZE, FOCAL, COUNT, DISTANCE = 128, 160.0, 24, 4.0
CENTRE = np.array([1.0, -2.0, 0.5])
IN_PHOTO = FOCAL * np.tan(np.arcsin(1 / DISTANCE))  # radius of the unit ball's silhouette, pixels
K = np.array([[FOCAL, 0, SIZE / 2], [0, FOCAL, SIZE / 2], [0, 0, 1]])
SPAN = Span(CENTRE, 0.7 * DISTANCE)


def poses(count=COUNT) -> np.ndarray:
    """Looking at the ball from points spread over the sphere."""
    index = np.arange(count) + 0.5
    height, turn = 1 - 2 * index / count, np.pi * (1 + 5**0.5) * index
    ring = np.sqrt(1 - height**2)
    forward = -np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=-1)
    right = np.cross(forward, [0.1, 0.2, 1.0])
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    matrices = np.tile(np.eye(4), (count, 1, 1))
    position = CENTRE - DISTANCE * forward
    matrices[:, :3] = np.stack([right, np.cross(forward, right), forward, position], axis=-1)
    return matrices


def disc(x=0.0, y=0.0, size=SIZE, radius=IN_PHOTO) -> np.ndarray:
    """The ball's silhouette, moved by pixels to the right and down."""
    rows, columns = np.indices((size, size)) + 0.5 - size / 2
    return np.hypot(columns - x, rows - y) < radius


CAMERAS = Cameras(np.tile(K, (COUNT, 1, 1)), poses())


def grown(masks, cameras=CAMERAS, **options) -> np.ndarray:
    return growth(silhouettes(masks), cameras, SPAN, **options)


def test_exact_masks_of_the_ball_need_no_growth(ball):
    """To a tenth of a pixel."""
    shapes = silhouettes([rgba[..., 3] > 0 for rgba in ball.rgba])
    cameras = Cameras(np.tile(ball.intrinsics, (12, 1, 1)), ball.world_from_camera)
    found = growth(shapes, cameras, Span(ball.centre, 0.7 * 4))
    assert found.max() * shapes.size < 0.1


def test_exact_masks_from_all_round_need_no_growth():
    assert grown([disc()] * COUNT).max() < 1e-3


def test_a_camera_that_looks_away_sees_nothing_of_the_ball():
    """Behind it, the ball lies on the same lines as before it."""
    away = CAMERAS.world_from_camera.copy()
    away[7, :3, :3] *= [1, -1, -1]
    found = grown([disc()] * COUNT, Cameras(CAMERAS.intrinsics, away))
    assert found[7] == 1.0


def test_a_camera_set_too_near_is_told_by_what_its_photo_does_not_show():
    """Its rim is inside the hull, but most of the ball lies outside its photo."""
    near = CAMERAS.world_from_camera.copy()
    near[7, :3, 3] = CENTRE + 0.3 * (near[7, :3, 3] - CENTRE) + 0.9 * near[7, :3, 0]
    cameras = Cameras(CAMERAS.intrinsics, near)
    assert np.nanmedian(grown([disc()] * COUNT, cameras)) < 0.002, "one in twenty is overruled"
    shapes = silhouettes([disc()] * COUNT)._replace(overruled=0.0)
    assert np.nanmedian(growth(shapes, cameras, SPAN)) > 0.02


def test_the_size_of_the_object_is_the_side_of_a_square_of_its_area():
    assert silhouettes([disc()] * 3).size == pytest.approx(np.sqrt(np.pi) * IN_PHOTO, rel=0.01)
    assert silhouettes([disc(), ~disc(radius=1e3)]).size > 70  # blank ones do not count


def test_distances_are_counted_from_beside_the_mask_in_sizes_of_the_object():
    """By comparing all pixels with all of the mask."""
    mask = disc(3, -5, size=40, radius=9.0)
    shapes = silhouettes([mask])
    pixels = np.stack(np.indices(mask.shape), axis=-1)
    nearest = np.linalg.norm(pixels[:, :, None] - pixels[mask], axis=-1).min(axis=-1)
    expected = np.clip((nearest - 1) / np.sqrt(mask.sum()), 0, 1)
    np.testing.assert_allclose(shapes.distance[0], expected, atol=1e-6)


@pytest.mark.parametrize("size", [128, 256, 300, 640])
def test_the_rim_is_the_outermost_pixels_of_the_mask(size):
    """Of masks made smaller, where more than half of a pixel is on the object."""
    radius = 0.3 * size
    shapes = silhouettes([disc(size=size, radius=radius)])
    scale = 1 / np.ceil(size / 256)
    assert shapes.scale[0] == pytest.approx(scale)
    far = np.linalg.norm(shapes.rim[0] - scale * size / 2, axis=1)
    assert 40 <= len(far) <= 48
    assert (far < scale * radius + 0.15).all()
    assert (far > scale * radius - 1.6).all()


@pytest.mark.parametrize("pixels", [4, 8, 12])
def test_a_displaced_mask_grows_by_the_mean_displacement_of_its_rim(pixels):
    """By d across the rim at one end, by d cos θ at θ from it and by nothing on the other half.

    One pixel beside the rim counts as on it, so that the mean of max(d cos θ − 1, 0) is to be seen.
    """
    for direction in ((0, -1), (0.6, 0.8)):
        moved = np.array(direction) * pixels
        masks = [disc()] * COUNT
        masks[5] = disc(*moved)
        expected = np.maximum(pixels * np.cos(np.linspace(-np.pi, np.pi, 720)) - 1, 0).mean()
        found = grown(masks)[5] * silhouettes(masks).size
        assert found == pytest.approx(expected, abs=0.3)


def test_growth_rises_with_the_displacement_of_all_masks():
    levels = [np.median(grown([disc(pixels, 0)] * COUNT)) for pixels in (0, 3, 6, 12, 24)]
    assert (np.diff(levels) > 0.005).all()


def test_growth_rises_with_noise_of_the_poses():
    noise = np.random.default_rng(0).normal(size=(COUNT, 3)) / 3**0.5
    levels = []
    for amount in (0.0, 0.05, 0.1, 0.2):
        moved = CAMERAS.world_from_camera.copy()
        moved[:, :3, 3] += amount * noise
        levels.append(np.median(grown([disc()] * COUNT, CAMERAS._replace(world_from_camera=moved))))
    assert (np.diff(levels) > 0).all() and levels[-1] > 0.01


@pytest.mark.parametrize("bad", [disc(20, -10), disc(-30, 30, radius=15), disc(0, 45)])
def test_one_bad_view_does_not_spoil_the_others(bad):
    masks = [disc()] * COUNT
    masks[7] = bad
    found = grown(masks)
    assert found[7] > 0.05
    assert np.delete(found, 7).max() < 2e-3


def test_where_many_views_are_bad_all_are_told():
    masks = [disc(20 * (i % 2), 0) for i in range(COUNT)]
    assert grown(masks).min() > 0.02


def test_a_blank_mask_has_no_growth_and_spoils_nothing():
    masks = [disc()] * COUNT
    masks[3], masks[9] = np.zeros((SIZE, SIZE), bool), np.ones((SIZE, SIZE), bool)
    found = grown(masks)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found)), [3, 9])  # a full one has no rim
    assert np.nanmax(found) < 2e-3


def test_only_the_views_asked_about_are_told():
    masks = [disc(i % 3, 0) for i in range(COUNT)]
    everything, some = grown(masks), grown(masks, only=(2, 11))
    np.testing.assert_array_equal(np.flatnonzero(~np.isnan(some)), [2, 11])
    np.testing.assert_array_equal(some[[2, 11]], everything[[2, 11]])


def test_cameras_that_look_elsewhere_are_told_by_the_greatest_growth():
    """No ray has a point that others see."""
    turned = CAMERAS.world_from_camera * [1.0, -1, -1, 1]
    cameras = CAMERAS._replace(world_from_camera=turned)
    np.testing.assert_array_equal(grown([disc()] * COUNT, cameras), 1.0)


def test_an_object_cut_off_by_the_photo_is_no_disagreement():
    """What lies outside a photo is unknown: the ball reaches over the border of half of them."""
    intrinsics = CAMERAS.intrinsics.copy()
    intrinsics[::2, 0, 2] += 40
    masks = [disc(40 * (i % 2 == 0), 0) for i in range(COUNT)]
    assert masks[0][:, -1].any() and not masks[1][:, -1].any()
    assert grown(masks, CAMERAS._replace(intrinsics=intrinsics)).max() < 5e-3


def test_large_masks_are_compared_at_a_smaller_size():
    """By whole factors: 640 becomes 213 by 3."""
    size, factor = 640, 640 / SIZE
    masks = [disc(size=size, radius=factor * IN_PHOTO)] * COUNT
    shapes = silhouettes(masks)
    assert shapes.distance[0].shape == (213, 213)
    np.testing.assert_allclose(shapes.scale, 1 / 3)
    cameras = CAMERAS._replace(intrinsics=CAMERAS.intrinsics * np.array([[factor], [factor], [1]]))
    assert growth(shapes, cameras, SPAN).max() < 2e-3
    masks[5] = disc(8 * factor, 0, size=size, radius=factor * IN_PHOTO)
    small = [disc()] * COUNT
    small[5] = disc(8, 0)
    assert growth(silhouettes(masks), cameras, SPAN)[5] == pytest.approx(grown(small)[5], rel=0.2)


@pytest.mark.parametrize("shift", [(5, 0), (0, -7), (-11, 4)])
def test_shifted_silhouettes_are_those_of_rolled_masks(shift):
    masks = [disc(i, -2 * i) for i in range(4)]
    x, y = shift
    rolled = silhouettes([np.roll(mask, (y, x), axis=(0, 1)) for mask in masks])
    moved = shifted(silhouettes(masks), np.array(shift, np.float64))
    inner = np.s_[12:-12, 12:-12]
    for i in range(4):
        np.testing.assert_array_equal(moved.distance[i][inner], rolled.distance[i][inner])
        np.testing.assert_array_equal(moved.rim[i], rolled.rim[i])


def test_only_one_mask_is_shifted_where_one_is_asked_for():
    shapes = silhouettes([disc()] * 4)
    moved = shifted(shapes, np.array([5.0, 3.0]), only=2)
    for i in (0, 1, 3):
        np.testing.assert_array_equal(moved.distance[i], shapes.distance[i])
        np.testing.assert_array_equal(moved.rim[i], shapes.rim[i])
    np.testing.assert_array_equal(moved.rim[2], shapes.rim[2] + [5, 3])
    assert (moved.distance[2] != shapes.distance[2]).any()


def test_a_displacement_is_undone_by_shifting_back():
    masks = [disc()] * COUNT
    masks[5] = disc(9, -6)
    shapes = silhouettes(masks)
    back = shifted(shapes, np.array([-9.0, 6.0]), only=5)
    assert growth(shapes, CAMERAS, SPAN)[5] > 0.03
    assert growth(back, CAMERAS, SPAN)[5] < 1e-3
