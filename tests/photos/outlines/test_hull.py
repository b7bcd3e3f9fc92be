import numpy as np
import pytest

from neural_sdf.photos.load import load_scene
from neural_sdf.photos.outlines.hull import region_of_interest, viewed_place
from tests.photos import layouts


def masks_of(ball):
    return [rgba[..., 3] > 0 for rgba in ball.rgba]


def region(ball, masks=None, poses=None):
    poses = ball.world_from_camera if poses is None else poses
    masks = masks or masks_of(ball)[: len(poses)]
    intrinsics = np.broadcast_to(ball.intrinsics, (len(poses), 3, 3))
    return region_of_interest(masks, intrinsics, poses)


def test_cameras_that_look_at_a_point_view_that_place():
    target = np.array([3.0, -1.0, 2.0])
    poses = np.tile(np.eye(4), (3, 1, 1))
    poses[1, :3, :3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]
    poses[2, :3, :3] = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
    poses[:, :3, 3] = target - 4 * poses[:, :3, 2]
    middle, distance = viewed_place(poses)
    np.testing.assert_allclose(middle, target, atol=1e-12)
    assert distance == pytest.approx(4.0)


def test_the_region_holds_the_ball_and_little_more(ball):
    centre, radius = region(ball)
    off = np.linalg.norm(centre - ball.centre)
    assert off < 0.1 * ball.radius
    assert off + ball.radius < radius < 1.3 * ball.radius


@pytest.mark.parametrize(("count", "wrong"), [(24, 1), (14, 1), (14, 2)])
@pytest.mark.parametrize("shows", ["nothing", "a corner"])
def test_a_wrong_mask_among_many_does_not_cut_the_region(count, wrong, shows):
    """Views of a ball from a ring; a wrong mask of fourteen is more than the usual share."""
    turns = 2 * np.pi * np.arange(count) / count
    poses = np.tile(np.eye(4), (count, 1, 1))
    forward = -np.stack([np.cos(turns), np.sin(turns), 0 * turns], axis=-1)
    down = np.broadcast_to([0.0, 0.0, -1.0], (count, 3))
    poses[:, :3] = np.stack([np.cross(down, forward), down, forward, -4 * forward], axis=-1)
    intrinsics = np.tile(np.array([[50.0, 0, 20], [0, 50, 20], [0, 0, 1]]), (count, 1, 1))
    rows, columns = np.indices((40, 40)) + 0.5
    bad = (rows < 8) & (columns < 8) & (shows == "a corner")
    masks = [np.hypot(rows - 20, columns - 20) < 12.5] * (count - wrong) + [bad] * wrong
    centre, radius = region_of_interest(masks, intrinsics, poses)
    np.testing.assert_allclose(centre, 0, atol=0.1)
    assert 1.0 < radius < 1.4


def test_what_lies_outside_a_photo_is_unknown_and_not_background(ball):
    cut = [mask[:, :24] for mask in masks_of(ball)]
    intrinsics = np.broadcast_to(ball.intrinsics, (12, 3, 3))
    centre, radius = region_of_interest(
        cut[:6] + masks_of(ball)[6:], intrinsics, ball.world_from_camera
    )
    assert np.linalg.norm(centre - ball.centre) + ball.radius < radius < 1.3 * ball.radius


def test_photos_that_all_cut_the_object_show_its_ends_all_the_same():
    """Two balls apart, each photo cut down to a window about the middle of its mask."""
    side, balls = 18, (((-0.6, 0.0, 0.0), 0.4), ((0.6, 0.0, 0.0), 0.4))
    photos = layouts.take_photos(balls)
    masks, intrinsics = [], []
    for mask in photos.mask:
        middle = np.mean(np.nonzero(mask), axis=1)
        top, left = np.clip(middle - side / 2, 0, layouts.SIZE - side).astype(int)
        masks.append(mask[top : top + side, left : left + side])
        intrinsics.append(layouts.K - [[0, 0, left], [0, 0, top], [0, 0, 0]])
    centre, radius = region_of_interest(masks, np.stack(intrinsics), photos.poses)
    ends = [np.linalg.norm(np.add(layouts.CENTRE, middle) - centre) for middle, _ in balls]
    assert max(ends) + 0.4 < radius < 1.3


def test_parallel_cameras_are_refused(ball):
    poses = np.tile(ball.world_from_camera[0], (4, 1, 1))
    poses[:, 0, 3] += np.arange(4)
    with pytest.raises(ValueError, match=r"same direction.*set centre and rad"):
        region(ball, poses=poses)


def test_a_single_view_is_refused(ball):
    with pytest.raises(ValueError, match=r"the 1 training cameras look in nearly the same"):
        region(ball, poses=ball.world_from_camera[:1])


def test_cameras_of_the_wrong_axes_are_refused_with_the_remedy(ball):
    poses = ball.world_from_camera * [1.0, -1, -1, 1]
    with pytest.raises(ValueError, match=r"meet behind 12 of 12 cameras.*OpenGL axes in transf"):
        region(ball, poses=poses)


def test_masks_that_agree_on_nothing_are_refused_with_the_remedy(ball):
    corners = [np.indices(mask.shape).max(axis=0) < 3 for mask in masks_of(ball)]
    with pytest.raises(ValueError, match=r"no point within 4.* of .* set centre and radius"):
        region(ball, masks=corners)


def test_spot_is_found_within_its_known_sphere(photo_set):
    scene = load_scene(photo_set("spot_tiny"))
    transform = scene.world_from_scene
    assert float(transform.scale) == pytest.approx(1.3, rel=0.03)
    np.testing.assert_allclose(transform.translation, [0.25, -0.15, 0.4], atol=0.03 * 1.3)
