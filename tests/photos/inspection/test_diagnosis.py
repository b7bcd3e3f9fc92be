"""Why outlines of four balls disagree with their cameras, and that good ones are left alone."""

import re

import numpy as np
import pytest
from scipy import ndimage

from neural_sdf.photos.inspection.choice import least, told
from neural_sdf.photos.inspection.comparison import NOISE, scores
from neural_sdf.photos.inspection.diagnosis import FINE, diagnose
from neural_sdf.photos.inspection.readings import Reading, Views
from neural_sdf.photos.outlines.growth import silhouettes

CENTRES = np.array([[0.0, 0.0, 0.0], [0.55, 0.1, 0.25], [-0.35, 0.45, -0.3], [-0.1, -0.55, 0.35]])
RADII = np.array([0.55, 0.35, 0.3, 0.25])
VIEWS = 16
WIDE, TALL = (60, 90), (90, 60)  # (height, width)


def poses_of(count: int = VIEWS) -> np.ndarray:
    """From all round, looking a little past the middle."""
    rng = np.random.default_rng(3)
    heights, turns = np.linspace(-0.85, 0.85, count), 2.4 * np.arange(count)
    ring = np.sqrt(1 - heights**2)
    eyes = 4 * np.stack([ring * np.cos(turns), ring * np.sin(turns), heights], axis=-1)
    return np.stack([pose_at(eye, 0.15 * rng.normal(size=3)) for eye in eyes])


def pose_at(eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(forward, right), forward, eye], axis=1)
    return pose


def outline(K: np.ndarray, pose: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pixels whose ray meets a ball: |(c − o) × d| < r."""
    rows, columns = np.indices(size) + 0.5
    pixels = np.stack([columns, rows, np.ones(size)], axis=-1)
    directions = pixels @ np.linalg.inv(K).T @ pose[:3, :3].T
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    apart = np.linalg.norm(np.cross(CENTRES - pose[:3, 3], directions[..., None, :]), axis=-1)
    return (apart < RADII).any(axis=-1)


def camera(size: tuple[int, int], focal: float, aside: tuple[float, float] = (0, 0)) -> np.ndarray:
    return np.array(
        [[focal, 0, size[1] / 2 + aside[0]], [0, focal, size[0] / 2 + aside[1]], [0, 0, 1.0]]
    )


def taken(cameras: list[np.ndarray], sizes: list[tuple[int, int]], poses=None) -> Views:
    poses = poses_of(len(cameras)) if poses is None else poses
    masks = [outline(K, pose, size) for K, pose, size in zip(cameras, poses, sizes, strict=True)]
    names = tuple(f"v{i:02d}" for i in range(len(poses)))
    places = np.arange(len(poses))
    return Views(names, places, masks, np.array(cameras), poses, np.array(sizes))


def alike(size=WIDE, focal=110.0, aside=(0, 0), poses=None) -> Views:
    count = VIEWS if poses is None else len(poses)
    return taken([camera(size, focal, aside)] * count, [size] * count, poses)


def lying_and_upright() -> Views:
    sizes = [WIDE if i % 3 else TALL for i in range(VIEWS)]
    return taken([camera(size, 110.0) for size in sizes], sizes)


def pairs() -> Views:
    """Two cameras side by side."""
    poses = poses_of()[::2].repeat(2, axis=0)
    poses[1::2, :3, 3] += 0.2 * poses[1::2, :3, 0]
    return alike(poses=poses)


def of_many_lengths() -> Views:
    """Focal lengths from wide to so long that the object is cut off by the photos' borders."""
    lengths = np.exp(np.random.default_rng(0).uniform(np.log(40), np.log(300), VIEWS))
    return taken([camera(WIDE, focal) for focal in lengths], [WIDE] * VIEWS)


@pytest.mark.parametrize(
    "views",
    [
        *(alike, lying_and_upright, pairs, of_many_lengths),
        *(lambda: alike(TALL), lambda: alike(aside=(9, -6))),
    ],
)
def test_nothing_is_found_where_outlines_and_cameras_agree(views):
    assert list(diagnose(views())) == []


def zoomed(views: Views, factor) -> Views:
    K = views.intrinsics.copy()
    K[:, [0, 1], [0, 1]] *= np.reshape(factor, (-1, 1))
    return views._replace(intrinsics=K)


def mapped(views: Views, matrix) -> Views:
    return views._replace(intrinsics=np.array(matrix) @ views.intrinsics)


def centred(views: Views, x: float, y: float) -> Views:
    K = views.intrinsics.copy()
    K[:, :2, 2] = x, y
    return views._replace(intrinsics=K)


def with_masks_of_first() -> Views:
    views = pairs()
    return views._replace(masks=[views.masks[i - i % 2] for i in range(VIEWS)])


def with_masks_of_second() -> Views:
    views = pairs()
    return views._replace(masks=[views.masks[i - i % 2 + 1] for i in range(VIEWS)])


def angle_of_longer_side() -> Views:
    views = lying_and_upright()
    return zoomed(views, views.sizes[:, 1] / views.sizes.max(axis=1))


def cut(left: float, above: float) -> Views:
    """Photos and masks of 120x160 cut to 96x128, of which so much of what is gone was there."""
    views = alike((120, 160), 200.0, (9, -7))
    y, x = round(24 * above), round(32 * left)
    small = views._replace(
        masks=[mask[y : y + 96, x : x + 128] for mask in views.masks],
        sizes=np.tile([96, 128], (VIEWS, 1)),
    )
    return mapped(small, np.diag([0.8, 0.8, 1]))._replace(enlarged=np.full(VIEWS, 0.8))


def turned(quarters: int, aside: tuple[float, float]) -> Views:
    """Photos and masks that were turned without their cameras."""
    views = alike(aside=aside)
    masks = [np.rot90(mask, quarters) for mask in views.masks]
    return views._replace(masks=masks, sizes=np.array([mask.shape for mask in masks]))


def with_axes(views: Views, signs: list[float]) -> Views:
    return views._replace(world_from_camera=views.world_from_camera * signs)


ASIDE = (5, -4)  # pixels of the principal point from the middle
H, W = WIDE
SHARES = np.diag([1 / W, 1 / H, 1])
OF_HALVES = [[2 / W, 0, -1], [0, 2 / H, -1], [0, 0, 1]]
FAULTS = {
    "the angle of upright photos is that of their height": (
        lambda: zoomed(alike(TALL), 2 / 3),
        "wrong-focal-length",
        r"multiplied by 1\.5, .* from an angle along the longer side that is taken",
    ),
    "that of the upright ones among others is": (
        angle_of_longer_side,
        "wrong-focal-length",
        r"multiplied by 1\.5 in 6 of 16 views, .* along the longer side",
    ),
    "focal lengths are twice too long": (
        lambda: zoomed(alike(), 2.0),
        "wrong-focal-length",
        r"too long: multiplied by about 0\.(4[5-9]|5[0-4])",
    ),
    "cameras are those of photos of twice the size": (
        lambda: mapped(alike(), np.diag([2, 2, 1])),
        "wrong-focal-length",
        r"photos 2 times as wide and high: .* multiplied by 0\.5",
    ),
    "intrinsics are left out": (
        lambda: alike()._replace(intrinsics=np.tile(np.eye(3), (VIEWS, 1, 1))),
        "wrong-focal-length",
        "are 1 pixels in photos of 90, .* seem to be left out",
    ),
    "intrinsics are shares of the sides": (
        lambda: mapped(alike(), SHARES),
        "wrong-focal-length",
        "not in pixels: taken as shares of width and height",
    ),
    "intrinsics go from -1 to 1": (
        lambda: mapped(alike(), OF_HALVES),
        "wrong-focal-length",
        "shares of half the sides, from -1 to 1",
    ),
    "cy is counted from below": (
        lambda: centred(alike(aside=(9, -7)), W / 2 + 9, H / 2 + 7),
        "wrong-principal-point",
        "with cy counted from the other side",
    ),
    "the principal point is another camera's": (
        lambda: centred(alike(), W / 2 + 9, H / 2 - 7),
        "wrong-principal-point",
        "in the middle of the photo",
    ),
    "photos were made half as large": (
        lambda: mapped(alike(aside=ASIDE), np.diag([2, 2, 1])),
        "wrong-focal-length",
        r"photos 2 times as wide and high: .* multiplied by 0\.5, masks and cameras agree$",
    ),
    "photos were made twice as large": (
        lambda: mapped(alike(aside=ASIDE), np.diag([0.5, 0.5, 1])),
        "wrong-focal-length",
        r"photos 0\.5 times as wide and high: .* multiplied by 2, masks and cameras agree$",
    ),
    "photos were made larger by no usual factor": (
        lambda: mapped(alike(aside=ASIDE), np.diag([0.7, 0.7, 1])),
        "wrong-focal-length",
        r"photos 0\.(69|70?)\d* times as wide and high: .* multiplied by 1\.4[23]",
    ),
    "focal lengths are too long by what only nears the ratio of the sides": (
        lambda: zoomed(alike((90, 120), 165.0, ASIDE), 1.6),
        "wrong-focal-length",
        r"too long: multiplied by about 0\.6[0-5]\d*, masks and cameras agree$",
    ),
    "photos were cut all round": (
        lambda: cut(0.5, 0.5),
        "cut-photos",
        "cut all round, and not made smaller: .* masks and cameras agree$",
    ),
    "photos were cut on the left and above": (
        lambda: cut(1.0, 1.0),
        "cut-photos",
        "cut on the left and above, and not made smaller",
    ),
    "photos were cut somewhere": (
        lambda: cut(0.75, 0.3),
        "cut-photos",
        "cut on some sides, and not made smaller",
    ),
    "photos are upside down": (
        lambda: turned(2, ASIDE),
        "wrong-axes",
        "photos are turned by a half: with the cameras turned as they are, .* agree$",
    ),
    "photos are upside down, with the principal point in the middle": (
        lambda: turned(2, (0, 0)),
        "wrong-axes",
        "photos are turned by a half: with the cameras turned as they are, .* agree$",
    ),
    "photos lie on their left side": (
        lambda: turned(1, ASIDE),
        "wrong-axes",
        "photos are turned by a quarter: with the cameras turned as they are, .* agree$",
    ),
    "photos lie on their right side": (
        lambda: turned(3, ASIDE),
        "wrong-axes",
        "photos are turned by a quarter: with the cameras turned as they are, .* agree$",
    ),
    "x and y axes of the poses are turned": (
        lambda: with_axes(alike(aside=ASIDE), [-1.0, -1.0, 1.0, 1.0]),
        "wrong-axes",
        "turned by a half about its optical axis, masks and cameras agree$",
    ),
    "two cameras share the masks of the first": (
        with_masks_of_first,
        "shared-masks",
        "16 of 16 views have the very mask of another view",
    ),
    "two cameras share the masks of the second": (
        with_masks_of_second,
        "shared-masks",
        "with one view of each mask, masks and cameras agree",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_else_explains_a_disagreement_is_told_before_the_poses(fault):
    spoilt, code, words = FAULTS[fault]
    (finding,) = diagnose(spoilt())
    assert (finding.code, finding.level) == (code, "error"), finding
    assert re.search(words, finding.message), finding.message


@pytest.mark.parametrize("factor", [0.93, 1.07])
def test_focal_lengths_so_wrong_that_outlines_hardly_show_it_are_warned_of(factor):
    (finding,) = diagnose(zoomed(alike((180, 240), 330.0, ASIDE), factor))
    assert (finding.code, finding.level) == ("wrong-focal-length", "warning"), finding
    (words,) = re.findall(r"multiplied by about ([\d.]+), masks and cameras agree", finding.message)
    assert float(words) == pytest.approx(1 / factor, rel=0.07)


def test_all_that_explains_a_disagreement_equally_well_is_told():
    found = [Reading("a", f"it is {x}", "mend it", lambda v, x=x: zoomed(v, x)) for x in (2, 3)]
    views = alike()
    finding = told(least([found], views, lambda _: 0.0, 0.0), "masks and cameras")
    assert finding.message == "it is 2; or it is 3"
    assert finding.remedy == "masks and cameras alone do not tell which: mend it"
    (first,) = least([[found[0], found[0]]], views, lambda _: 0.0, 0.0)
    assert first is found[0]


def test_growth_that_is_hardly_there_and_that_nothing_explains_is_no_finding():
    """Masks of a third of the photos' size."""
    views = alike((180, 240), 330.0, ASIDE)
    views = views._replace(masks=[np.kron(m[::3, ::3], np.ones((3, 3), bool)) for m in views.masks])
    growths = scores(silhouettes(views.masks), views)
    assert growths is not None and FINE < np.median(growths) < NOISE
    assert list(diagnose(views)) == []


@pytest.mark.slow
@pytest.mark.parametrize("first", [3, 8, 12])
@pytest.mark.parametrize(("step", "neighbour"), [(1, "previous"), (-1, "next")])
def test_the_view_from_which_photos_and_poses_are_out_of_step_is_named(first, step, neighbour):
    views = alike(poses=poses_of(20))
    order = np.arange(20)
    order[first:] = np.clip(order[first:] + step, 0, 19)
    (finding,) = diagnose(views._replace(world_from_camera=views.world_from_camera[order]))
    assert finding.code == "wrong-order", finding
    # The pose of the first view is gone where the step is 1: it fits neither way.
    named = [f"from view v{i:02d} on" for i in (first, first + (step > 0))]
    assert any(words in finding.message for words in named), finding.message
    assert f"with the {neighbour} view's pose" in finding.message


def renumbered(views: Views) -> Views:
    """Masks in the order 0, 1, 10, 11, 2 of their numbers, each pose its own photo's."""
    lexical = sorted(range(len(views.names)), key=str)
    return views._replace(masks=[views.masks[i] for i in lexical])


def with_two_exchanged(views: Views) -> Views:
    masks = list(views.masks)
    masks[3], masks[7] = masks[7], masks[3]
    return views._replace(masks=masks)


@pytest.mark.parametrize("spoil", [renumbered, with_two_exchanged])
def test_masks_of_other_photos_are_not_laid_on_the_poses(spoil):
    (finding,) = diagnose(spoil(alike()))
    assert (finding.code, finding.level) == ("wrong-order", "error"), finding
    assert finding.message.startswith(("masks and poses", "masks or poses"))
    assert finding.remedy.startswith("see that each mask is that of its own photo; if so")
    assert not re.search("poses (are )?counted|with the poses", finding.message)


def test_one_pose_a_little_off_among_exact_ones_is_noted():
    """By less than the pixel that masks of real photos are off."""
    views = alike(WIDE, 440.0 / 4)
    poses = views.world_from_camera.copy()
    poses[5, :3, 3] += 0.12 * poses[5, :3, 0]
    (finding,) = diagnose(views._replace(world_from_camera=poses))
    assert (finding.code, finding.level, finding.views) == ("odd-views", "note", (views.names[5],))


def chewed(mask: np.ndarray, seed: int) -> np.ndarray:
    """Without parts of it, as where dark parts are taken for background."""
    noise = np.random.default_rng(seed).normal(size=mask.shape)
    return mask & (ndimage.gaussian_filter(noise, 5) < 0.03)


@pytest.mark.slow
def test_masks_that_are_all_bad_are_not_laid_on_the_poses_alone():
    views = alike()
    bad = [chewed(mask, i) for i, mask in enumerate(views.masks)]
    (finding,) = diagnose(views._replace(masks=bad))
    assert finding.code in ("masks-disagree", "pose-noise")
    assert "no usual mistake in axes, order, focal lengths" in finding.message
    assert finding.remedy.startswith("see that") and "mask" in finding.remedy.split(";")[0]
    assert "poses are noisy" not in finding.message


@pytest.mark.slow
@pytest.mark.parametrize("is_lost", [True, False])
def test_one_bad_mask_is_told_and_no_pose_is_called_noisy(is_lost):
    views = alike()
    masks, half = list(views.masks), np.indices(WIDE)[1] < W / 2
    masks[5] = (
        masks[5] & half
        if is_lost
        else masks[5] | ndimage.binary_dilation(masks[5] & half, iterations=9)
    )
    (finding,) = diagnose(views._replace(masks=masks))
    assert (finding.code, finding.level) == ("odd-views", "warning"), finding
    assert finding.views == (() if is_lost else ("v05",))
    assert "nois" not in finding.message
