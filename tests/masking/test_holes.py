"""Open holes, told from places of the background's colour."""

import numpy as np
import pytest

from neural_sdf.masking.holes import filled, open_holes
from neural_sdf.photos.outlines.cells import Views, carve_cells
from neural_sdf.scenes import view_masks, view_photos
from neural_sdf.scenes.paint import smooth
from neural_sdf.scenes.synthetic import Shoot, synthetic_scene


@pytest.fixture(scope="module")
def cup():
    """From all round, the handle's hole about ten pixels wide."""
    return synthetic_scene(Shoot(20, 0, (96, 96), smooth))


def views_of(scene, which):
    photos = [view_photos(scene)[i] for i in which]
    return Views(photos, scene.intrinsics[which], np.asarray(scene.scene_from_camera)[which])


def judged(views, masks):
    hull, dissent = carve_cells(views, [filled(mask) for mask in masks])
    return open_holes(views, masks, hull._replace(centres=hull.centres[dissent <= 0.05]))


def above(scene):
    """Views as of a mug on a table: none from below."""
    return np.flatnonzero(np.asarray(scene.scene_from_camera)[:, 2, 3] > 0.2)


def patched(views, masks, point, normal, half=3):
    """Masks with a hole wherever a place of the surface is seen; and where these holes are."""
    patches = [np.zeros_like(mask) for mask in masks]
    for patch, K, pose in zip(patches, *views[1:], strict=True):
        away = pose[:3, 3] - point
        if normal @ away > 0.2 * np.linalg.norm(away):
            x, y, depth = K @ pose[:3, :3].T @ -away
            column, row = int(x / depth), int(y / depth)
            patch[row - half : row + half, column - half : column + half] = True
    return [m & ~p for m, p in zip(masks, patches, strict=True)], patches


def test_the_hole_of_a_handle_is_open(cup):
    for which in (np.arange(20), above(cup)):
        views, masks = views_of(cup, which), [view_masks(cup)[i] for i in which]
        holes = [filled(mask) & ~mask for mask in masks]
        found = judged(views, masks)
        large = [hole.sum() for hole in holes if hole.sum() > 20]
        assert len(large) >= 3
        kept = sum((f & h).sum() for f, h in zip(found, holes, strict=True))
        assert kept > 0.95 * sum(hole.sum() for hole in holes)


def test_a_place_of_the_backgrounds_colour_is_closed(cup):
    """On the wall of the cup, away from its handle, and on its saucer seen from below."""
    views, masks = views_of(cup, np.arange(20)), view_masks(cup)
    for point, normal in (
        (np.array([-0.35, 0.35, 0.1]), np.array([-1.0, 1.0, 0.0]) / np.sqrt(2)),
        (np.array([-0.3, 0.0, -0.4]), np.array([0.0, 0.0, -1.0])),
    ):
        spoilt, patches = patched(views, masks, point, normal)
        assert sum(patch.any() for patch in patches) >= 3
        for hole, patch, mask in zip(judged(views, spoilt), patches, masks, strict=True):
            assert not (hole & patch & mask).any()


def test_below_a_ring_on_a_table_the_colours_decide():
    """Nobody sees where the rays leave; what has the very colours of the table is a hole."""
    for hue, is_open in ((200, True), (140, False)):
        views, masks = ring_on_table(hue)
        for hole, mask in zip(judged(views, masks), masks, strict=True):
            assert hole.any() == is_open
            assert hole.sum() in (0, (filled(mask) & ~mask).sum())


def ring_on_table(inside):
    """A flat ring of radii 0.4 and 1, seen steeply from above, with something grey within."""
    photos, masks, poses = [], [], []
    K = np.array([[90.0, 0, 32], [0, 90, 32], [0, 0, 1]])
    for angle in np.linspace(0, 2 * np.pi, 9)[:-1]:
        centre = np.array([1.2 * np.cos(angle), 1.2 * np.sin(angle), 3.0])
        forward = -centre / np.linalg.norm(centre)
        right = np.cross(forward, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        pose = np.eye(4)
        pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=-1)
        pose[:3, 3] = centre
        rows, columns = np.indices((64, 64)) + 0.5
        rays = (
            np.stack([columns, rows, np.ones((64, 64))], -1) @ (pose[:3, :3] @ np.linalg.inv(K)).T
        )
        x, y = np.moveaxis(centre[:2] - rays[..., :2] * (centre[2] / rays[..., 2:]), -1, 0)
        reach = np.hypot(x, y)
        mask = (reach < 1) & (reach > 0.4)
        noise = np.random.default_rng(0).integers(-3, 4, (64, 64))
        grey = np.where(mask, 60, np.where(reach < 0.5, inside, 200)) + noise
        photos.append(np.repeat(grey[..., None], 3, axis=-1).astype(np.uint8))
        masks.append(mask)
        poses.append(pose)
    return Views(photos, np.tile(K, (8, 1, 1)), np.stack(poses)), masks
