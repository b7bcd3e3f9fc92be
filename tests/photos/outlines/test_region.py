"""The region of interest: which of its sources is asked first, and what each of them says."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from neural_sdf.geometry import Similarity, SparsePoints
from neural_sdf.photos import load_scene, write_scene
from neural_sdf.photos.files.capture import Capture
from neural_sdf.photos.outlines.region import (
    FILE,
    find_region,
    given_region,
    write_region,
    written_region,
)
from tests.photos import layouts

SIZE = 40
K = np.array([[50.0, 0, SIZE / 2], [0, 50, SIZE / 2], [0, 0, 1]])
TURN = Rotation.from_rotvec([0.3, -0.5, 0.2]).as_matrix()
MIDDLE, DISTANCE = np.array([3.0, -1.0, 2.0]), 4.0
BALL = 0.5  # radius of the ball in the middle


def ring(count=12, heights=(0.3, -0.4)) -> np.ndarray:
    """Cameras that look at the middle from all round."""
    turns = 2 * np.pi * np.arange(count) / count
    height = np.where(np.arange(count) % 2, *heights)
    forward = -np.stack([np.cos(turns), np.sin(turns), height], axis=-1)
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    right = np.cross([0.0, 0.0, -1.0], forward)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    poses = np.tile(np.eye(4), (count, 1, 1))
    position = MIDDLE - DISTANCE * forward
    poses[:, :3] = np.stack([right, np.cross(forward, right), forward, position], axis=-1)
    return poses


def ball_masks(count=12) -> list[np.ndarray]:
    """Of a ball in the middle of every photo: rays within asin(BALL / DISTANCE) of the axis."""
    rows, columns = np.indices((SIZE, SIZE)) + 0.5 - SIZE / 2
    return [np.hypot(rows, columns) < 50 * np.tan(np.arcsin(BALL / DISTANCE))] * count


def ball_points(count=400) -> np.ndarray:
    directions = np.random.default_rng(0).normal(size=(count, 3))
    return MIDDLE + BALL * directions / np.linalg.norm(directions, axis=1, keepdims=True)


def sparse(places) -> SparsePoints:
    return SparsePoints(np.asarray(places), np.full(len(places), np.nan))


def find(folder, capture=Capture(()), masks=None, poses=None, centre=None, radius=None, size=SIZE):  # noqa: B008
    poses = ring() if poses is None else poses
    intrinsics, sizes = np.tile(K, (len(poses), 1, 1)), np.full((len(poses), 2), size)
    return find_region(
        folder, capture, masks, intrinsics, poses, sizes, centre=centre, radius=radius
    )


def sphere(region) -> tuple[list[float], float]:
    return region.world_from_scene.translation.tolist(), float(region.world_from_scene.scale)


def test_each_source_is_asked_where_all_before_it_are_silent(tmp_path):
    """With one taken away after the other, from a set that has them all."""
    own = Similarity(np.array(7.0), TURN, np.array([4.0, 5, 6]))
    capture = Capture((), own, sparse(ball_points()))
    (tmp_path / FILE).write_text(json.dumps({"centre": [1, 2, 3], "radius": 9}))
    both = {"centre": (0.5, 0.25, 0.125), "radius": 8.0}

    found = find(tmp_path, capture, ball_masks(), **both)
    assert found.found_by == "the settings"
    assert sphere(found) == ([0.5, 0.25, 0.125], 8.0)
    found = find(tmp_path, capture, ball_masks())
    assert found.found_by == "region.json"
    assert sphere(found) == ([1.0, 2.0, 3.0], 9.0)
    (tmp_path / FILE).unlink()
    found = find(tmp_path, capture, ball_masks())
    assert found == (own, "the camera file")
    capture = capture._replace(world_from_scene=None)
    found = find(tmp_path, capture, ball_masks())
    assert found.found_by == "the masks' visual hull"
    of_masks = sphere(found)
    found = find(tmp_path, capture)
    assert found.found_by == "sparse points"
    of_points = sphere(found)
    found = find(tmp_path)
    assert found.found_by == "the cameras' common view"
    of_cameras = sphere(found)

    for (centre, radius), least, most in (
        (of_masks, BALL, 1.5 * BALL),
        (of_points, BALL, 1.2 * BALL),
        (of_cameras, 1.4, 1.6),  # 4 sin(atan(20 / 50)) = 1.486
    ):
        np.testing.assert_allclose(centre, MIDDLE, atol=0.1)
        assert least < radius < most
    assert of_masks[1] != of_points[1]


def test_the_region_by_points_is_the_object_and_not_its_table(tmp_path):
    """Even where ten points of eleven are the table's."""
    rng = np.random.default_rng(0)
    table = MIDDLE + rng.uniform([-2, -2, -1.01 * BALL], [2, 2, -0.99 * BALL], (4000, 3))
    points = np.concatenate([ball_points(), table])
    centre, radius = sphere(
        find(tmp_path, Capture((), None, sparse(points)), poses=ring(heights=(0.3, 0.6)))
    )
    np.testing.assert_allclose(centre, MIDDLE, atol=0.2)
    assert 0.9 * BALL < radius < 1.25 * BALL


def test_without_points_the_common_view_is_asked(tmp_path):
    for points in (None, np.empty((0, 3))):
        capture = Capture((), None, None if points is None else sparse(points))
        assert find(tmp_path, capture).found_by == "the cameras' common view"


@pytest.mark.parametrize("given", [{"centre": (1.0, 1.5, 2.5)}, {"radius": 0.75}])
def test_half_a_setting_changes_that_half_of_what_is_found(tmp_path, given):
    own = Similarity(np.array(7.0), TURN, np.array([4.0, 5, 6]))
    found = find(tmp_path, Capture((), own), **given)
    assert found.found_by == "the camera file and the settings"
    centre, radius = sphere(found)
    assert centre == list(given.get("centre", (4.0, 5.0, 6.0)))
    assert radius == given.get("radius", 7.0)
    np.testing.assert_array_equal(found.world_from_scene.rotation, TURN)


def without_masks(photos: layouts.Photos, folder: Path, points: np.ndarray) -> Path:
    layouts.write_colmap_text(folder, photos)
    for mask in (folder / "masks").iterdir():
        mask.unlink()
    lines = [f"{i} {' '.join(map(repr, p))} 1 2 3 0.5\n" for i, p in enumerate(points.tolist())]
    (folder / "sparse/0/points3D.txt").write_text("".join(lines))
    return folder


def load_without_masks(folder: Path, **settings):
    """Whether it warns of their absence is not asked here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return load_scene(folder, **settings)


def test_a_set_says_from_where_its_region_is(idr_folder, transforms_folder, ball):
    assert load_scene(idr_folder).source.region == "the camera file"
    assert load_scene(transforms_folder).source.region == "the masks' visual hull"
    for folder in (idr_folder, transforms_folder):
        write_region(folder, Similarity(np.array(1.5), TURN, ball.centre))
        scene = load_scene(folder)
        assert scene.source.region == "region.json"
        assert scene.world_from_scene.scale == 1.5
        scene = load_scene(folder, centre=tuple(ball.centre), radius=1.25)
        assert scene.source.region == "the settings"
        np.testing.assert_array_equal(scene.world_from_scene.rotation, np.eye(3))


def test_a_set_without_masks_has_the_region_of_its_points_or_cameras(tmp_path):
    photos = layouts.take_photos()
    away = np.random.default_rng(0).normal(size=(300, 3))
    on_ball = layouts.CENTRE + 0.8 * away / np.linalg.norm(away, axis=1, keepdims=True)
    folder = without_masks(photos, tmp_path, on_ball)
    scene = load_without_masks(folder)
    assert scene.source.region == "sparse points"
    np.testing.assert_allclose(scene.world_from_scene.translation, layouts.CENTRE, atol=0.1)
    assert 0.8 <= scene.world_from_scene.scale < 1.0
    write_scene(scene, tmp_path / "written", "transforms")
    (tmp_path / "written" / FILE).unlink()
    again = load_without_masks(tmp_path / "written")
    assert again.source.region == "sparse points"
    np.testing.assert_allclose(again.world_from_scene.scale, scene.world_from_scene.scale)
    (folder / "sparse/0/points3D.txt").unlink()
    scene = load_without_masks(folder)
    assert scene.source.region == "the cameras' common view"


def test_the_scene_is_seen_in_the_frame_of_a_turned_region(transforms_folder, ball):
    """World points of the cameras' centres: x = s R x' + c."""
    write_region(transforms_folder, Similarity(np.array(1.5), TURN, ball.centre))
    scene = load_scene(transforms_folder, holdout_every=0)
    poses = scene.scene_from_camera
    centres = 1.5 * poses[:, :3, 3] @ TURN.T + ball.centre
    np.testing.assert_allclose(centres, ball.world_from_camera[:, :3, 3], atol=1e-9)
    axes = TURN @ poses[:, :3, :3]
    np.testing.assert_allclose(axes, ball.world_from_camera[:, :3, :3], atol=1e-9)


def test_a_box_is_the_sphere_through_its_corners():
    lower, upper = np.array([-1.0, 2.0, 0.5]), np.array([3.0, 5.0, 12.5])
    centre, radius = given_region(None, None, (*lower, *upper))
    assert tuple(centre) == (1.0, 3.5, 6.5)
    assert radius == 6.5  # half of √(4² + 3² + 12²)
    corners = np.stack(np.meshgrid(*zip(lower, upper, strict=True)), axis=-1).reshape(-1, 3)
    np.testing.assert_allclose(np.linalg.norm(corners - centre, axis=1), radius)


def test_a_box_is_the_region_of_the_scene(transforms_folder, ball):
    lower, upper = ball.centre - 0.8, ball.centre + 0.8
    scene = load_scene(transforms_folder, box=(*lower, *upper))
    assert scene.source.region == "the settings"
    np.testing.assert_allclose(scene.world_from_scene.translation, ball.centre)
    assert float(scene.world_from_scene.scale) == pytest.approx(0.8 * 3**0.5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (((0, 0, 0), None, (0, 0, 0, 1, 1, 1)), "box .* is given beside a centre or a radius"),
        ((None, 1.0, (0, 0, 0, 1, 1, 1)), "box .* is given beside a centre or a radius"),
        ((None, None, (0, 0, 0, 1, 1)), "box .*expected six world coordinates"),
        ((None, None, (0, 0, 0, 1, 0, 1)), "box .*the lower corner and then the upper one"),
        ((None, None, (1, 1, 1, 0, 0, 0)), "box .*the lower corner and then the upper one"),
        ((None, None, (0, 0, 0, 1, 1, np.inf)), "box .*expected six world coordinates"),
        ((None, None, (0, 0, np.nan, 1, 1, 1)), "box .*expected six world coordinates"),
        (((0, 0), None, None), "centre .*expected three finite"),
        (((0, 0, np.nan), None, None), "centre .*expected three finite"),
        ((None, 0.0, None), "radius 0.0: expected a positive"),
        ((None, -1.0, None), "radius -1.0: expected a positive"),
        ((None, np.inf, None), "radius inf: expected a positive"),
        ((None, np.nan, None), "radius nan: expected a positive"),
    ],
)
def test_settings_that_are_no_place_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        given_region(*given)


def test_a_region_that_was_written_is_read(tmp_path):
    region = Similarity(np.array(0.1 + 0.2), TURN, np.array([1 / 3, -2e5, 1e-7]))
    write_region(tmp_path, region)
    found = find(tmp_path)
    assert found.found_by == "region.json"
    for read, written in zip(found.world_from_scene, region, strict=True):
        np.testing.assert_array_equal(read, written)


def test_a_region_may_have_a_center(tmp_path):
    (tmp_path / FILE).write_text('{"center": [1, 2, 3], "radius": 2}')
    np.testing.assert_array_equal(written_region(tmp_path).translation, [1, 2, 3])


GOOD = {"centre": [1.0, 2.0, 3.0], "radius": 2.0}


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", "7", '"centre"', "[" * 100_000, "\xff", "{}", "\0"),
        *(
            json.dumps({**GOOD, **change})
            for change in (
                *({"centre": c} for c in (None, 7, [], [1, 2], [1, 2, 3, 4], [[1, 2, 3]], "abc")),
                *({"centre": [1, 2, c]} for c in (None, "x", [3], {}, np.nan, np.inf, 10**400)),
                *({"centre": {"x": 1}}, {"centre": [[1.0] * 50] * 50}),
                *({"radius": r} for r in (None, 0, -1, [2.0], "x", {}, np.nan, np.inf, 10**400)),
                *({"rotation": r} for r in (None, [], [1, 2, 3], np.ones((3, 3)).tolist(), "x")),
                *({"rotation": np.diag(d).tolist()} for d in ([2.0, 2, 2], [1.0, 1, -1], [1, 1])),
                {"rotation": np.full((3, 3), np.nan).tolist()},
                {"rotation": np.full((3, 3), 1e200).tolist()},
            )
        ),
        '{"radius": 2.0}',
        '{"centre": [1, 2, 3]}',
        '{"centre": [1, 2, 3], "radius": ' + "9" * 5000 + "}",
    ],
    ids=lambda text: text[:60].encode("unicode_escape").decode(),
)
def test_a_file_of_no_region_is_refused_in_one_line(tmp_path, text):
    (tmp_path / FILE).write_bytes(text.encode("latin1"))
    with pytest.raises(
        ValueError, match=r"region.json cannot be read \(.*\), expected a json"
    ) as error:
        find(tmp_path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


def test_points_far_off_do_not_widen_the_region(tmp_path):
    """Structure from motion leaves some, near and far, on every side and on one."""
    rng = np.random.default_rng(1)
    near = MIDDLE + 3 * BALL * rng.normal(size=(6, 3))
    far = MIDDLE + 1e4 * rng.normal(size=(200, 3))
    one_side = MIDDLE + [2.5, 0, 0] + 0.1 * rng.normal(size=(5, 3))
    infinite = np.array([[np.inf, 0, 0], [0, np.nan, 0], [1e30, 1e30, -1e30]])
    alone = find(tmp_path, Capture((), None, sparse(ball_points())))
    for outliers in (near, far, one_side, infinite):
        found = find(tmp_path, Capture((), None, sparse([*ball_points(), *outliers])))
        assert found.found_by == "sparse points"
        centre, radius = sphere(found)
        assert np.linalg.norm(centre - MIDDLE) < 0.15 * BALL
        assert 0.95 * BALL < radius < 1.5 * BALL
    assert BALL < sphere(alone)[1] < 1.2 * BALL


def test_few_points_near_the_middle_are_not_asked(tmp_path):
    """All others lie behind the cameras: half their distance is as good a guess as any."""
    points = np.concatenate([ball_points(5), MIDDLE + [[100.0, 0, 0]] * 50])
    centre, radius = sphere(find(tmp_path, Capture((), None, sparse(points))))
    np.testing.assert_allclose(centre, MIDDLE, atol=1e-9)
    assert radius == pytest.approx(0.5 * DISTANCE)


def shown_whole(poses, intrinsics, centre, radius, width, height) -> np.ndarray:
    """Which cameras show all points of a sphere."""
    directions = np.random.default_rng(0).normal(size=(2000, 3))
    points = centre + radius * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    local = np.einsum("vij,vnj->vni", poses[:, :3, :3].mT, points - poses[:, None, :3, 3])
    image = np.einsum("vij,vnj->vni", intrinsics, local)
    pixels = image[..., :2] / image[..., 2:]
    inside = ((pixels >= 0) & (pixels <= [width, height])).all(axis=-1)
    return (inside & (local[..., 2] > 0)).all(axis=1)


def test_the_common_view_is_the_largest_sphere_that_cameras_show_whole(tmp_path):
    poses = ring(15)
    intrinsics = np.tile(K, (15, 1, 1)) * np.linspace(1.3, 0.7, 15)[:, None, None]  # zoom
    intrinsics[:, 2, 2] = 1
    intrinsics[:, 0, 2], intrinsics[:, 1, 2] = 30, 20
    sizes = np.tile([40, 60], (15, 1))  # lying: the height is what bounds the view
    found = find_region(
        tmp_path, Capture(()), None, intrinsics, poses, sizes, centre=None, radius=None
    )
    centre, radius = sphere(found)
    np.testing.assert_allclose(centre, MIDDLE, atol=1e-9)
    assert shown_whole(poses, intrinsics, centre, 0.999 * radius, 60, 40).sum() == 8  # of 15
    assert shown_whole(poses, intrinsics, centre, 1.01 * radius, 60, 40).sum() == 7


def test_most_cameras_of_a_set_without_masks_show_the_common_view(tmp_path):
    """Cameras that look past the middle show a little less than all of it."""
    photos = layouts.take_photos()
    folder = without_masks(photos, tmp_path, np.empty((0, 3)))
    scene = load_without_masks(folder, holdout_every=0)
    shown = shown_whole(scene.scene_from_camera, scene.intrinsics, np.zeros(3), 0.85, 48, 48)
    assert shown.mean() > 0.5
    assert not shown_whole(
        scene.scene_from_camera, scene.intrinsics, np.zeros(3), 1.2, 48, 48
    ).any()


def test_without_a_common_view_the_settings_are_asked_for(tmp_path):
    parallel = np.tile(np.eye(4), (5, 1, 1))
    parallel[:, 0, 3] = np.arange(5)
    with pytest.raises(ValueError, match=r"same direction .* set centre"):
        find(tmp_path, poses=parallel)
    found = find(tmp_path, poses=parallel, centre=(2.0, 0.0, 9.0), radius=3.0)
    assert sphere(found) == ([2.0, 0.0, 9.0], 3.0)


def test_a_folder_of_its_name_is_not_read(tmp_path):
    (tmp_path / FILE).mkdir()
    assert find(tmp_path).found_by == "the cameras' common view"
