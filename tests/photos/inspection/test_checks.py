"""What is checked before masks are compared, against geometry."""

import re
from pathlib import Path

import numpy as np
import pytest

from neural_sdf.photos.files.capture import Header, View
from neural_sdf.photos.files.findings import listed, names
from neural_sdf.photos.files.lens_models import OpenCV
from neural_sdf.photos.inspection.cameras import (
    camera_places,
    lone_intrinsics,
    object_outside,
    strange_cameras,
    unseen_share,
)
from neural_sdf.photos.inspection.checks import repeated_photos, shared_masks
from neural_sdf.photos.inspection.outlines import said_nothing

AXES = np.concatenate([np.eye(3), -np.eye(3)])


def towards_middle(eye) -> np.ndarray:
    eye = np.asarray(eye, np.float64)
    forward = -eye / np.linalg.norm(eye)
    right = np.cross(forward, [0.12, 0.23, 0.97])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(forward, right), forward, eye], axis=1)
    return pose


def unit(vectors) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.mark.parametrize(
    ("directions", "share"),
    [
        (AXES[:1], 3 / 4),  # a cap of 60 degrees has a quarter of the sphere
        (AXES[[0, 3]], 1 / 2),
        (AXES, 0.0),  # (1, 1, 1) is 54.7 degrees from each axis
        (AXES[[0, 0, 0]], 3 / 4),
    ],
)
def test_the_unseen_share_is_that_of_spherical_caps(directions, share):
    assert unseen_share(directions) == pytest.approx(share, abs=0.01)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    assert unseen_share(directions @ turn) == pytest.approx(share, abs=0.01)


def test_the_unseen_share_is_that_of_random_normals():
    rng = np.random.default_rng(0)
    normals = unit(rng.normal(size=(50_000, 3)))
    for count in (2, 3, 5, 9):
        directions = unit(rng.normal(size=(count, 3)) + AXES[2])
        angle = np.degrees(np.arccos((normals @ directions.T).clip(-1, 1))).min(axis=1)
        assert unseen_share(directions) == pytest.approx(np.mean(angle > 60), abs=0.015)


def places(eyes, poses=None):
    poses = np.stack([towards_middle(eye) for eye in eyes]) if poses is None else poses
    return list(camera_places(poses, [f"v{i}" for i in range(len(poses))]))


def test_cameras_on_one_side_are_told_with_their_unseen_share():
    (finding,) = places(4 * AXES[[0]])
    assert (finding.code, finding.level, finding.views) == ("one-sided", "warning", ())
    assert re.match(r"7[456]\.\d% of all directions", finding.message)
    assert places(4 * AXES) == []


def test_cameras_inside_the_region_are_named():
    eyes = np.concatenate([3 * AXES, [[0.5, 0.2, 0], [0.0, 0.0, -0.99], [0, 1.01, 0]]])
    (finding,) = places(eyes)
    assert (finding.code, finding.level) == ("cameras-inside", "warning")
    assert finding.views == ("v6", "v7")
    assert finding.message.startswith("2 of 9 cameras are inside") and "v6, v7" in finding.message


def test_a_region_that_holds_half_of_the_cameras_is_an_error():
    eyes = np.concatenate([3 * AXES[:3], 0.5 * AXES[3:]])
    assert [(f.code, f.level) for f in places(eyes)] == [
        ("cameras-inside", "error"),
    ]
    (finding,) = places(np.concatenate([3 * AXES[:4], 0.5 * AXES[4:]]))
    assert finding.level == "warning"


def test_a_region_behind_most_cameras_is_told_alone():
    poses = np.stack([towards_middle(eye) for eye in 4 * AXES])
    away = poses.copy()
    away[:4, :3, 1:3] *= -1  # turned round about the camera's x axis
    (finding,) = places(None, away)
    assert (finding.code, finding.level) == ("region-behind-cameras", "error")
    assert "behind 4 of 6" in finding.message
    away[3] = poses[3]
    assert places(None, away) == []


SIDE, FOCAL = 200, 300.0
K = np.array([[FOCAL, 0, SIDE / 2 + 7], [0, FOCAL, SIDE / 2 - 5], [0, 0, 1]])


def disc(radius) -> np.ndarray:
    rows, columns = np.indices((SIDE, SIDE)) + 0.5
    return np.hypot(columns - K[0, 2], rows - K[1, 2]) < radius


def outside(masks, poses):
    return list(object_outside(masks, np.tile(K, (len(masks), 1, 1)), np.stack(poses)))


@pytest.mark.parametrize("radius", [79.0, 82.0, 95.0])
def test_the_share_of_an_object_outside_is_that_of_rays_past_the_sphere(radius):
    """The unit sphere at distance 4 is a disc of focal length · tan(asin(1/4)) = 77.5 pixels."""
    poses = [towards_middle(4 * unit(np.array(eye))) for eye in ([1.0, 2, 3], [-2, 1, 0.5])]
    (finding,) = outside([disc(radius)] * 2, poses)
    share = 1 - (FOCAL * np.tan(np.arcsin(1 / 4)) / radius) ** 2
    assert (finding.code, finding.level) == ("object-outside", "warning")
    assert float(finding.message.split("%")[0]) == pytest.approx(100 * share, abs=1.0)


def test_an_object_inside_the_region_or_of_which_nothing_is_known_is_not_told():
    poses = [towards_middle([1.0, 2, 3.3])] * 2
    assert outside([disc(75.0)] * 2, poses) == []
    assert outside([np.ones((SIDE, SIDE), bool), disc(75.0)], poses) == []
    assert outside([np.zeros((SIDE, SIDE), bool)] * 2, poses) == []


def test_an_object_mostly_outside_is_an_error():
    aside = towards_middle([0.0, -4.0, 0.0])
    aside[:3, 3] += [1.2, 0, 0]  # the ray of the middle misses the sphere by 0.2
    (finding,) = outside([disc(20.0)], [aside])
    assert (finding.code, finding.level) == ("object-outside", "error")


def view(name, pose, fx=60.0, fy=60.0) -> View:
    intrinsics = np.array([[fx, 0, 20], [0, fy, 20], [0, 0, 1.0]])
    return View(name, "a test", Path(name), None, intrinsics, pose)


def test_copies_of_a_photo_are_named_and_those_held_out_counted(tmp_path):
    paths = [tmp_path / name for name in ("IMG_3.png", "IMG_3 (1).png", "other.png")]
    for path, content in zip(paths, (b"same", b"same", b"else"), strict=True):
        path.write_bytes(content)
    one, far = poses_of(2)
    near = one + np.pad([[0.003], [-0.002], [0.001]], ((0, 1), (3, 0)))
    posed = zip(paths, (one, near, far), strict=True)
    views = [view(path.name, pose)._replace(image=path) for path, pose in posed]
    (finding,) = repeated_photos(views)
    assert finding.level == "warning" and finding.views == ("IMG_3.png", "IMG_3 (1).png")
    assert "IMG_3.png, IMG_3 (1).png" in finding.message and "testing" not in finding.message
    (finding,) = repeated_photos([views[0], views[1]._replace(is_test=True), views[2]])
    assert ", 1 photos for training and for testing" in finding.message
    assert not list(repeated_photos(views[1:]))
    views[1] = views[1]._replace(world_from_camera=far)  # a ball looks alike from all sides
    assert not list(repeated_photos(views))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_copies_from_places_that_are_none_are_not_from_one_place(tmp_path, value):
    """What is wrong with such poses is told by itself."""
    nowhere = np.full((4, 4), value)
    poses = [nowhere, nowhere, *poses_of(4)]
    views = [
        view(f"v{i}", pose)._replace(image=tmp_path / f"{i}.png") for i, pose in enumerate(poses)
    ]
    for i, each in enumerate(views):
        each.image.write_bytes(b"photo" if i < 2 else bytes(i))
    assert list(repeated_photos(views)) == []


def test_a_mask_of_two_frames_of_one_photo_is_not_that_of_several_photos():
    one, other, third = (view(name, pose) for name, pose in zip("abc", poses_of(3), strict=True))
    views = [v._replace(mask=Path("mask.png"), image=Path("0.png")) for v in (one, other)]
    assert not list(shared_masks(views))
    (finding,) = shared_masks([*views, third._replace(mask=Path("mask.png"))])
    assert finding.code == "shared-masks"


def poses_of(count) -> list[np.ndarray]:
    eyes = 4 * unit(np.random.default_rng(0).normal(size=(count, 3)))
    return [towards_middle(eye) for eye in eyes]


@pytest.mark.parametrize(("count", "level"), [(12, "warning"), (40, "note")])
def test_views_of_the_same_pose_are_named(count, level):
    views = [view(f"v{i}", pose) for i, pose in enumerate(poses_of(count))]
    views[7] = views[7]._replace(world_from_camera=views[2].world_from_camera + 1e-9)
    (finding,) = strange_cameras(views)
    assert (finding.code, finding.level) == ("duplicate-poses", level)
    assert finding.views == ("v2", "v7")


def test_views_of_the_same_place_or_direction_alone_are_no_duplicates():
    views = [view(f"v{i}", pose) for i, pose in enumerate(poses_of(12))]
    turned, moved = (views[2].world_from_camera.copy() for _ in range(2))
    turned[:3, :3] = views[3].world_from_camera[:3, :3]
    moved[:3, 3] += 0.001
    others = [view("turned", turned), view("moved", moved)]
    assert list(strange_cameras(views + others)) == []


def test_all_views_of_one_pose_are_duplicates():
    pose = poses_of(1)[0]
    (finding,) = strange_cameras([view(f"v{i}", pose) for i in range(3)])
    assert finding.views == ("v0", "v1", "v2")
    assert list(strange_cameras([view("v0", pose)])) == []


def test_focal_lengths_far_from_equal_are_noted():
    poses = poses_of(4)
    views = [view(f"v{i}", pose) for i, pose in enumerate(poses)]
    assert list(strange_cameras([v._replace(intrinsics=1.04 * v.intrinsics) for v in views])) == []
    (finding,) = strange_cameras([*views[:3], view("v3", poses[3], fx=60.0, fy=66.0)])
    assert (finding.code, finding.level) == ("unequal-focal-lengths", "note")
    assert finding.views == ("v3",)
    assert "in 1 of 4 cameras" in finding.message
    assert finding.message.endswith("fx is 0.909 times fy in v3")
    assert list(strange_cameras([view(f"v{i}", p, fx=62.0) for i, p in enumerate(poses)])) == []


HEADERS = {f"v{i}": Header(48, 64, False) for i in range(6)}


def lone(views: list) -> tuple[str, ...]:
    return tuple(name for f in lone_intrinsics(views, HEADERS) for name in f.views)


@pytest.mark.parametrize(
    "changes",
    [{"fx": 63.0}, {"fy": 61.0}, {"skew": 0.3}, {"lens": OpenCV(0.01, 0.0)}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_camera_unlike_the_one_that_all_others_share_is_noted(changes):
    views = [view(f"v{i}", pose) for i, pose in enumerate(poses_of(6))]
    K = views[3].intrinsics.copy()
    K[0, 0], K[1, 1] = changes.get("fx", K[0, 0]), changes.get("fy", K[1, 1])
    K[0, 1] = changes.get("skew", 0.0)
    views[3] = views[3]._replace(intrinsics=K, lens=changes.get("lens"))
    (finding,) = lone_intrinsics(views, HEADERS)
    assert (finding.level, finding.views) == ("note", ("v3",))


def test_several_cameras_and_rounded_ones_are_not_noted():
    """Two phones, one camera for each photo, numbers rounded to three digits, a turned photo."""
    views = [view(f"v{i}", pose) for i, pose in enumerate(poses_of(6))]
    other = [view(f"v{i}", v.world_from_camera, fx=90.0, fy=90.0) for i, v in enumerate(views)]
    assert lone([*views[:4], *other[4:]]) == ()
    each = [v._replace(intrinsics=v.intrinsics * (1 + 0.01 * i)) for i, v in enumerate(views)]
    assert lone(each) == ()
    assert lone([*views[:5], views[5]._replace(intrinsics=views[5].intrinsics + 0.01)]) == ()
    with_portrait = HEADERS | {"v5": Header(64, 48, False)}
    assert list(lone_intrinsics([*views[:5], other[5]], with_portrait)) == []


def test_masks_of_one_value_are_named():
    blank, full, good = np.zeros((4, 4), bool), np.ones((4, 4), bool), np.eye(4, dtype=bool)
    found = list(said_nothing([good, blank, full, good, blank], list("abcde")))
    assert [(f.code, f.level, f.views) for f in found] == [
        ("empty-masks", "warning", ("b", "e")),
        ("full-masks", "warning", ("c",)),
    ]
    (finding,) = said_nothing([blank] * 3, list("abc"))
    assert (finding.code, finding.level, finding.views) == ("empty-masks", "error", ())
    assert list(said_nothing([good] * 2, list("ab"))) == []


def test_many_names_are_cut_short_and_counted():
    assert names(["a", "b"]) == "a, b"
    assert names(list("abcdefgh")) == "a, b, c, d, e, f, g, h"
    assert names(list("abcdefghij")) == "a, b, c, d, e, f, g, h and 2 more"
    assert listed(list("abcde")) == "a; b; c; d; e"
    assert listed(list("abcdefg")) == "a; b; c; d; e and 2 more like it"
