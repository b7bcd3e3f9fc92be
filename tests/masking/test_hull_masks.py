import numpy as np
import pytest
from PIL import Image

from neural_sdf.masking.hull_masks import refine_by_hull, sphere_masks
from neural_sdf.masking.plain import plain_background
from neural_sdf.photos import load_scene
from neural_sdf.scenes import view_masks, view_photos
from neural_sdf.scenes.frame import world_from_camera


def overlap(masks, truth):
    """Intersection over union of each pair."""
    pairs = list(zip(masks, truth, strict=True))
    return np.array([(one & other).sum() / (one | other).sum() for one, other in pairs])


def noise(shape, spread, seed=0):
    return np.random.default_rng(seed).normal(0.0, spread, shape)


def ball_photos(ball, background, spread=2.0):
    """The ball before a background of one colour, with noise of a camera."""
    photos = np.where(ball.rgba[..., 3:] > 0, ball.rgba[..., :3], background)
    photos = photos + noise(photos.shape, spread)
    return list(np.clip(np.rint(photos), 0, 255).astype(np.uint8))


def ball_masks(ball):
    return list(ball.rgba[..., 3] > 0)


def ball_cameras(ball):
    return np.tile(ball.intrinsics, (12, 1, 1)), ball.world_from_camera


def ball_sphere(ball, growth=1.4):
    sizes = [(36, 48)] * 12
    return sphere_masks(ball.centre, growth * ball.radius, sizes, *ball_cameras(ball))


def disc(radius, middle=(30.3, 32.6), size=64, over=8):
    """How much of each pixel a disc covers, [size, size]."""
    rows, columns = (np.indices((size * over, size * over)) + 0.5) / over
    inside = np.hypot(rows - middle[0], columns - middle[1]) < radius
    return inside.reshape(size, over, size, over).mean(axis=(1, 3))


def blended(cover, colour, background):
    return np.rint(cover[..., None] * colour + (1 - cover[..., None]) * background).astype(np.uint8)


def scene_views(scene):
    return view_photos(scene), view_masks(scene), scene.intrinsics, world_from_camera(scene)


def region_masks(scene, photos):
    sizes = [photo.shape[:2] for photo in photos]
    centre, radius = scene.world_from_scene.translation, float(scene.world_from_scene.scale)
    return sphere_masks(centre, radius, sizes, scene.intrinsics, world_from_camera(scene))


@pytest.mark.parametrize("background", [(0, 0, 0), (255, 255, 255), (120, 120, 20)], ids=str)
def test_an_object_before_a_plain_background_is_found(ball, background):
    masks = plain_background(ball_photos(ball, background))
    assert overlap(masks, ball_masks(ball)).min() > 0.96


def test_photos_of_one_set_may_have_other_sizes_and_exposures(ball):
    photos = ball_photos(ball, (240, 240, 240))
    photos[0] = photos[0].repeat(2, axis=0).repeat(2, axis=1)
    photos[1] = np.rint(0.9 * photos[1]).astype(np.uint8)
    truth = ball_masks(ball)
    truth[0] = truth[0].repeat(2, axis=0).repeat(2, axis=1)
    assert overlap(plain_background(photos), truth).min() > 0.96


def test_the_object_may_touch_the_border_in_some_photos(ball):
    photos, truth = ball_photos(ball, (0, 0, 0)), ball_masks(ball)
    photos[:4], truth[:4] = ([image[:, :24] for image in some[:4]] for some in (photos, truth))
    assert all(mask[:, -1].any() for mask in truth[:4])
    assert overlap(plain_background(photos), truth).min() > 0.96


def test_a_rim_pixel_is_on_the_object_if_it_holds_more_than_half_of_it():
    covers = [disc(radius) for radius in (10.0, 14.5, 20.2)]
    for background in (0, 255):
        masks = plain_background([blended(cover, (150, 140, 90), background) for cover in covers])
        for mask, cover in zip(masks, covers, strict=True):
            assert (mask != (cover > 0.5)).sum() <= 0.02 * mask.sum()


def test_the_dark_side_of_an_object_is_on_it():
    """Otsu's threshold, halfway between the means, would take its edge away."""
    shade = np.linspace(60, 240, 64)[None, :, None] * np.ones((64, 1, 3))
    cover = disc(28.0)
    photo = blended(cover, shade, 10) + noise((64, 64, 3), 1.0)
    (mask,) = plain_background([np.clip(np.rint(photo), 0, 255).astype(np.uint8)])
    assert overlap([mask], [cover > 0.5])[0] > 0.97


def test_shadows_are_closed_and_dust_is_removed_but_a_hole_stays_open():
    ring = disc(26.0) - disc(12.0)
    photo = blended(ring, (200, 180, 160), 10)
    photo[32, 10] = photo[24, 12:14] = 10  # shadows within the ring
    photo[3:5, 3:5] = 200
    (mask,) = plain_background([photo])
    assert mask[32, 10] and mask[24, 12:14].all()
    assert not mask[3:5, 3:5].any() and not mask[24:38, 26:40].any()
    assert (mask != (ring > 0.5)).sum() <= 0.02 * mask.sum()


def test_a_textured_background_is_refused(ball):
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 256, (12, 36, 48, 3))
    photos = np.where(ball.rgba[..., 3:] > 0, ball.rgba[..., :3], texture).astype(np.uint8)
    with pytest.raises(ValueError, match=r"12 photos is not plain.*expected.*masks=hull"):
        plain_background(list(photos))


def test_photos_of_nothing_are_refused():
    with pytest.raises(ValueError, match="not plain"):
        plain_background([np.full((20, 30, 3), 128, np.uint8)] * 3)


def test_a_room_is_refused(photo_set):
    files = sorted((photo_set("fox") / "images").glob("*.jpg"))[::6]
    with pytest.raises(ValueError, match="not plain"):
        plain_background([np.asarray(Image.open(file).reduce(6)) for file in files])


def test_the_sphere_is_seen_where_an_independent_photograph_shows_it(ball):
    masks = ball_sphere(ball, growth=1.0)
    np.testing.assert_array_equal(masks, ball_masks(ball))


def test_a_sphere_behind_the_camera_is_not_seen_and_one_around_it_is_everywhere():
    K, pose = np.array([[[20.0, 0, 8], [0, 20, 8], [0, 0, 1]]]), np.eye(4)[None]
    assert not sphere_masks(np.array([0.0, 0.0, -3.0]), 1.0, [(16, 16)], K, pose)[0].any()
    assert sphere_masks(np.array([0.0, 0.0, -0.5]), 1.0, [(16, 16)], K, pose)[0].all()


def test_a_sphere_is_start_enough_where_the_colours_differ(ball):
    masks = refine_by_hull(ball_photos(ball, (30, 60, 220)), ball_sphere(ball), *ball_cameras(ball))
    assert overlap(masks, ball_masks(ball)).min() > 0.93


def test_nibbled_masks_are_mended(ball):
    truth, rng = ball_masks(ball), np.random.default_rng(1)
    nibbled = [mask.copy() for mask in truth]
    for mask in nibbled:
        row, column = rng.integers(10, 20), rng.integers(14, 28)
        mask[row : row + 8, column : column + 8] = False
        mask[:4, :6] = True  # a bit of cloth
    assert overlap(nibbled, truth).mean() < 0.9
    mended = refine_by_hull(ball_photos(ball, (30, 60, 220)), nibbled, *ball_cameras(ball))
    assert overlap(mended, truth).min() > 0.93


def test_a_mask_that_misses_a_part_is_mended(ball):
    rough = [mask.copy() for mask in ball_masks(ball)]
    rough[5][:, :24] = False
    mended = refine_by_hull(ball_photos(ball, (30, 60, 220)), rough, *ball_cameras(ball))
    assert overlap(mended, ball_masks(ball)).min() > 0.93


def test_blank_masks_say_nothing(ball):
    """Three of twelve, more than may contradict the hull."""
    rough = [np.zeros_like(mask) for mask in ball_masks(ball)[:3]] + ball_masks(ball)[3:]
    masks = refine_by_hull(ball_photos(ball, (30, 60, 220)), rough, *ball_cameras(ball))
    assert overlap(masks, ball_masks(ball)).min() > 0.93


def test_the_hull_mends_what_colours_alone_cannot(ball):
    """A patch of the surroundings' colour on the object, in one view."""
    photos = ball_photos(ball, (30, 60, 220))
    photos[3][16:21, 22:27] = (30, 60, 220)
    K, poses = (np.concatenate([part, part]) for part in ball_cameras(ball))
    photos, start = photos + ball_photos(ball, (30, 60, 220)), 2 * ball_sphere(ball)
    masks = refine_by_hull(photos, start, K, poses)
    assert masks[3][16:21, 22:27].all()


def test_what_lies_outside_a_photo_is_not_background(ball):
    photos, truth, start = (
        [image[:, :24] for image in some[:6]] + list(some[6:])
        for some in (ball_photos(ball, (30, 60, 220)), ball_masks(ball), ball_sphere(ball))
    )
    masks = refine_by_hull(photos, start, *ball_cameras(ball))
    assert overlap(masks, truth).min() > 0.93


def test_the_hull_takes_photos_of_different_sizes(ball):
    photos, truth, start = ball_photos(ball, (30, 60, 220)), ball_masks(ball), ball_sphere(ball)
    K, poses = ball_cameras(ball)
    for i in (0, 7):  # beyond the size that is worked at, and no multiple of the factor
        for some in (photos, truth, start):
            some[i] = some[i].repeat(9, axis=0).repeat(9, axis=1)[:-1, :-1]
        K[i, :2] *= 9
    masks = refine_by_hull(photos, start, K, poses)
    assert [mask.shape for mask in masks] == [photo.shape[:2] for photo in photos]
    assert overlap(masks, truth).min() > 0.93


def test_few_views_are_enough(ball):
    few, (K, poses) = [0, 4, 8], ball_cameras(ball)
    photos, start, truth = (
        [some[i] for i in few]
        for some in (ball_photos(ball, (30, 60, 220)), ball_sphere(ball), ball_masks(ball))
    )
    masks = refine_by_hull(photos, start, K[few], poses[few])
    assert overlap(masks, truth).min() > 0.93


def test_an_object_without_colours_of_its_own_is_refused(ball):
    photos = [np.full((36, 48, 3), 90, np.uint8)] * 12
    with pytest.raises(ValueError, match=r"nothing is left.* 12 photos; .*a folder of masks"):
        refine_by_hull(photos, ball_sphere(ball), *ball_cameras(ball))


def test_masks_that_do_not_agree_are_refused(ball):
    """Each shows another corner, so that no place is in nearly all of them."""
    photos, masks = [], []
    for i in range(12):
        photo = np.full((36, 48, 3), 90, np.uint8)
        row, column = (0, 0) if i % 2 else (32, 44)
        photo[row : row + 4, column : column + 4] = (250, 0, 0)
        photos.append(photo)
        masks.append(photo[..., 0] > 200)
    with pytest.raises(ValueError, match="nothing is left"):
        refine_by_hull(photos, masks, *ball_cameras(ball))


@pytest.mark.parametrize(("value", "amount"), [(False, "no"), (True, "every")])
def test_masks_without_object_or_surroundings_are_refused(ball, value, amount):
    masks = [np.full((36, 48), value)] * 12
    with pytest.raises(ValueError, match=f"have {amount} pixel on the object; expected.*; start"):
        refine_by_hull(ball_photos(ball, 0), masks, *ball_cameras(ball))


def test_the_cup_is_found_from_its_region_alone():
    scene = load_scene("", format="synthetic", downscale=2)
    photos, truth, *cameras = scene_views(scene)
    parts = [photos, truth, region_masks(scene, photos), *cameras]
    photos, truth, start, *cameras = (part[::4] for part in parts)
    masks = refine_by_hull(photos, start, *cameras)
    assert overlap(masks, truth).mean() > 0.98


@pytest.mark.slow
def test_the_temple_is_masked_as_the_set_says(photo_set):
    scene = load_scene(photo_set("middlebury_templeRing"), holdout_every=0)
    photos, truth, *_ = scene_views(scene)
    agreement = overlap(plain_background(photos), truth)
    print(f"background: IoU {agreement.mean():.4f}, at least {agreement.min():.4f}")
    assert agreement.mean() >= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("start", ["background", "sphere"])
def test_the_temple_is_masked_by_its_hull_as_the_set_says(photo_set, start):
    scene = load_scene(photo_set("middlebury_templeRing"), holdout_every=0)
    photos, truth, *cameras = scene_views(scene)
    rough = plain_background(photos) if start == "background" else region_masks(scene, photos)
    agreement = overlap(refine_by_hull(photos, rough, *cameras), truth)
    print(f"hull, from {start}: IoU {agreement.mean():.4f}, at least {agreement.min():.4f}")
    assert agreement.mean() >= 0.97


def test_what_points_prove_is_on_the_object_whatever_its_colour(ball):
    """Half of it, to one side, has the colour of the surroundings."""
    K, poses = ball_cameras(ball)
    photos, truth = ball_photos(ball, (30, 60, 220)), ball_masks(ball)
    points = np.random.default_rng(0).normal(size=(3000, 3))
    points *= ball.radius / np.linalg.norm(points, axis=1, keepdims=True)
    points = points[points[:, 0] > 0] + ball.centre
    for photo, pose, mask in zip(photos, poses, truth, strict=True):
        pixels = (ball.intrinsics @ pose[:3, :3].T @ (points - pose[:3, 3]).T)[:2]
        depth = (points - pose[:3, 3]) @ pose[:3, 2]
        column, row = (pixels / depth).astype(int)
        bare = np.zeros_like(mask)
        bare[row, column] = True
        photo[bare & mask] = (30, 60, 220)
    start = ball_sphere(ball)
    found = refine_by_hull(photos, start, K, poses, points)
    without = refine_by_hull(photos, start, K, poses)
    assert overlap(found, truth).min() > 0.8 > overlap(without, truth).mean() + 0.1
    strays = ball.centre + np.random.default_rng(1).uniform(-1.4, 1.4, (12, 3)) * ball.radius
    found = refine_by_hull(ball_photos(ball, (30, 60, 220)), start, K, poses, strays)
    assert overlap(found, truth).min() > 0.93
