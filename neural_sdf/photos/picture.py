"""A picture of a scene to look at before training: cameras, region of interest, hull and masks.

Three panels show the world along its axes; the fourth shows a photo with the outline of its mask
and of the region of interest. Wrong axes, masks and regions are seen at a glance.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64
from PIL import Image, ImageDraw
from scipy import ndimage

from neural_sdf.geometry import coordinates
from neural_sdf.machine.files import as_png
from neural_sdf.photos.outlines.hull import carve, grid
from neural_sdf.scenes.scene import Scene, view_mask, view_masks, view_photo

SIDE = 480  # of a panel, pixels
MARGIN = 30
AXES = ((0, 1), (0, 2), (1, 2))  # across and up, of each panel
CORNERS = np.array([(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
FRUSTUM = 0.12  # depth of a drawn camera, as share of the typical camera's distance
INK, REGION, HULL, TRAIN, TEST = "#202020", "#1f6fd0", "#c9b89b", "#303030", "#d06a1f"


def scene_picture(scene: Scene) -> bytes:
    """A scene drawn, as the content of a PNG file; the world's units stand at the axes."""
    picture = Image.new("RGB", (2 * SIDE, 2 * SIDE), "white")
    hull = _hull(scene)
    for i, axes in enumerate(AXES):
        picture.paste(_panel(scene, hull, axes), (SIDE * (i % 2), SIDE * (i // 2)))
    picture.paste(_photo(scene), (SIDE, SIDE))
    return as_png(np.asarray(picture))


def _hull(scene: Scene) -> Float64[np.ndarray, "N 3"]:
    """Points of the scene frame that are in all masks; none without masks."""
    if not scene.source.has_masks:
        return np.empty((0, 3))
    points, _ = grid(-np.ones(3), np.ones(3))
    points = points[np.linalg.norm(points, axis=1) < 1]
    masks = view_masks(scene)
    poses = np.asarray(scene.scene_from_camera, np.float64)
    return points[carve(points, masks, np.asarray(scene.intrinsics, np.float64), poses)]


def _panel(scene: Scene, hull: np.ndarray, axes: tuple[int, int]) -> Image.Image:
    """The scene seen along the third axis, with all cameras in it."""
    panel = Image.new("RGB", (SIDE, SIDE), "white")
    draw = ImageDraw.Draw(panel)
    poses = np.asarray(scene.scene_from_camera, np.float64)
    reach = 1.15 * max(1.0, float(np.abs(poses[:, :3, 3]).max()))
    scale = (SIDE / 2 - MARGIN) / reach

    def at(points: np.ndarray) -> list[tuple[float, float]]:
        flat = np.atleast_2d(points)[:, list(axes)] * [scale, -scale] + SIDE / 2
        return [(float(x), float(y)) for x, y in flat]

    for x, y in at(hull):
        draw.rectangle((x - 1, y - 1, x + 1, y + 1), fill=HULL)
    if len(hull):
        (left, bottom), (right, top) = at(np.stack([hull.min(axis=0), hull.max(axis=0)]))
        draw.rectangle((left, top, right, bottom), outline=INK)
    middle = SIDE / 2
    draw.ellipse((middle - scale, middle - scale, middle + scale, middle + scale), outline=REGION)
    for i, pose in enumerate(poses):
        frustum = _frustum(scene, i, FRUSTUM * reach)
        colour = TRAIN if i < int(scene.num_train) else TEST
        draw.polygon(at(frustum), outline=colour)
        for corner in at(frustum):
            draw.line((*at(pose[:3, 3])[0], *corner), fill=colour)
    _label(draw, scene, axes)
    return panel


def _frustum(scene: Scene, view: int, depth: float) -> Float64[np.ndarray, "4 3"]:
    """The photo's corners, at a depth before the camera, scene frame."""
    height, width = (int(side) for side in scene.sizes[view])
    pixels = np.concatenate([CORNERS * [width, height], np.ones((4, 1))], axis=1)
    local = depth * pixels @ np.linalg.inv(np.asarray(scene.intrinsics[view], np.float64)).T
    pose = np.asarray(scene.scene_from_camera[view], np.float64)
    return local @ pose[:3, :3].T + pose[:3, 3]


def _label(draw: ImageDraw.ImageDraw, scene: Scene, axes: tuple[int, int]) -> None:
    """The axes' names, and the world coordinates of the panel's middle and of the circle."""
    frame = scene.world_from_scene
    centre, radius = np.asarray(frame.translation), float(frame.scale)
    across, up = ("xyz"[axis] for axis in axes)
    draw.text((MARGIN, SIDE - MARGIN), f"{across} to the right, {up} up", fill=INK)
    place = ", ".join(f"{'xyz'[axis]} = {coordinates([centre[axis]], radius)}" for axis in axes)
    draw.text((MARGIN, MARGIN / 2), f"centre {place}; circle: radius {radius:.4g}", fill=REGION)


def _photo(scene: Scene) -> Image.Image:
    """The first training photo with the outline of its mask and of the region of interest."""
    rgb = view_photo(scene, 0).copy()
    height, width, _ = rgb.shape
    size = (SIDE - 2 * MARGIN) / max(height, width)
    if scene.source.has_masks:
        rgb[rim(view_mask(scene, 0), max(1, round(1 / size)))] = 255, 0, 0
    photo = Image.fromarray(rgb).resize((round(width * size), round(height * size)))
    draw = ImageDraw.Draw(photo)
    outline = _sphere_outline(np.asarray(scene.scene_from_camera[0], np.float64))
    if len(outline):
        image = outline @ np.asarray(scene.intrinsics[0], np.float64).T
        pixels = size * image[:, :2] / image[:, 2:]
        draw.polygon([(float(x), float(y)) for x, y in pixels], outline=REGION)
    panel = Image.new("RGB", (SIDE, SIDE), "white")
    panel.paste(photo, (MARGIN, MARGIN))
    name = f"{scene.source.names[0]}: mask red, region of interest blue"
    ImageDraw.Draw(panel).text((MARGIN, MARGIN / 2), name, fill=INK)
    return panel


def rim(mask: Bool[np.ndarray, "h w"], width: int) -> Bool[np.ndarray, "h w"]:
    """The pixels of a mask that are so near to its outside."""
    return mask & ~np.asarray(ndimage.binary_erosion(mask, iterations=width, border_value=1), bool)


def _sphere_outline(scene_from_camera: Float64[np.ndarray, "4 4"]) -> Float64[np.ndarray, "N 3"]:
    """Points of the unit sphere's outline as the camera sees it, camera frame; none from inside.

    They lie on the circle where rays touch: with the centre at c from the camera and d = |c|, its
    centre is (1 − 1/d²) c and its radius √(1 − 1/d²).
    """
    centre = -scene_from_camera[:3, :3].T @ scene_from_camera[:3, 3]
    far = float(np.linalg.norm(centre))
    if far <= 1 or centre[2] <= 1:
        return np.empty((0, 3))
    share = 1 - 1 / far**2
    _, _, basis = np.linalg.svd(centre[None] / far)
    turn = np.linspace(0, 2 * np.pi, 120, endpoint=False)[:, None]
    return share * centre + np.sqrt(share) * (np.cos(turn) * basis[1] + np.sin(turn) * basis[2])
