"""One scene in every layout that is read, written by NumPy and Pillow alone.

What all of them can hold: square photos and pixels, the principal point in the middle, no lens, no
region of interest. Poses are world_from_camera with OpenCV axes, K has half-pixel centres; layouts
that count pixels from the centre of the first get a K whose principal point is 0.5 less.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

SIZE, FOCAL = 48, 70.0
NUM_VIEWS = 12
CENTRE, RADIUS = (1.0, -2.0, 0.5), 1.25  # of the region of interest
K = np.array([[FOCAL, 0, SIZE / 2], [0, FOCAL, SIZE / 2], [0, 0, 1]])
K_FROM_FIRST_CENTRE = K - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]


Balls = tuple[tuple[tuple[float, float, float], float], ...]  # middle from CENTRE, radius
ONE_BALL: Balls = (((0.0, 0.0, 0.0), 0.8),)


class Photos(NamedTuple):
    """Values and silhouettes, [V, H, W, 3] and [V, H, W], with poses, [V, 4, 4]."""

    rgb: np.ndarray
    mask: np.ndarray
    poses: np.ndarray


def take_photos(balls: Balls = ONE_BALL) -> Photos:
    """Balls in the region, from all round; their colour is their normal.

    Cameras are rolled and look past the middle, so that no sign or axis goes unseen.
    """
    rng = np.random.default_rng(7)
    turns, heights = 2.4 * np.arange(NUM_VIEWS), np.linspace(-0.8, 0.8, NUM_VIEWS)
    around = np.sqrt(1 - heights**2)
    eyes = 4 * np.stack([around * np.cos(turns), around * np.sin(turns), heights], axis=-1)
    poses = np.stack([_pose(eye, *rng.normal(size=(2, 3))) for eye in eyes])
    rows, columns = np.indices((SIZE, SIZE)) + 0.5
    local = np.stack([columns - SIZE / 2, rows - SIZE / 2, np.full_like(rows, FOCAL)], axis=-1)
    rgb, mask = zip(*(_photograph(pose, local, balls) for pose in poses), strict=True)
    return Photos(np.stack(rgb), np.stack(mask), poses)


def _pose(eye: np.ndarray, up: np.ndarray, aside: np.ndarray) -> np.ndarray:
    forward = 0.1 * aside - eye
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(forward, right), forward, CENTRE + eye], axis=1)
    return pose


def _photograph(pose: np.ndarray, local: np.ndarray, balls: Balls) -> tuple[np.ndarray, np.ndarray]:
    """Where |o + t d| = r first, with o from a ball's centre."""
    directions = local / np.linalg.norm(local, axis=-1, keepdims=True) @ pose[:3, :3].T
    nearest = np.full(local.shape[:2], np.inf)
    colours = np.full(local.shape, 255.0)
    for middle, radius in balls:
        origin = pose[:3, 3] - CENTRE - middle
        along = directions @ origin
        inside = along**2 - origin @ origin + radius**2
        t = -along - np.sqrt(np.maximum(inside, 0))
        normals = (origin + t[..., None] * directions) / radius
        first = (inside > 0) & (t < nearest)
        colours[first], nearest[first] = 127.5 * (normals[first] + 1), t[first]
    return colours.astype(np.uint8), np.isfinite(nearest)


def write_idr(folder: Path, photos: Photos) -> None:
    _write_images(folder, photos, "image", "mask")
    world_mats = {}
    for i, pose in enumerate(photos.poses):
        world_mats[f"world_mat_{i}"] = np.vstack([_projection(pose), [0, 0, 0, 1]])
    np.savez(folder / "cameras.npz", **world_mats)


def write_transforms(folder: Path, photos: Photos) -> None:
    """As Blender leaves it: an angle of view for all, camera axes right, up, backwards."""
    names = _write_images(folder, photos, "train", "masks")
    frames = [
        {
            "file_path": f"./train/{Path(name).stem}",
            "mask_path": f"masks/{name}",
            "transform_matrix": (pose @ np.diag([1, -1, -1, 1])).tolist(),
        }
        for name, pose in zip(names, photos.poses, strict=True)
    ]
    document = {"camera_angle_x": 2 * np.arctan(SIZE / 2 / FOCAL), "frames": frames}
    (folder / "transforms_train.json").write_text(json.dumps(document))


def write_colmap_text(folder: Path, photos: Photos) -> None:
    names = _write_images(folder, photos, "images", "masks")
    lines = [
        f"{i + 1} {_spelled(_quaternion_and_translation(pose))} 1 {name}\n\n"
        for i, (name, pose) in enumerate(zip(names, photos.poses, strict=True))
    ]
    model = folder / "sparse/0"
    model.mkdir(parents=True)
    half = SIZE / 2
    camera = f"1 PINHOLE {SIZE} {SIZE} {FOCAL} {FOCAL} {half} {half}\n"
    (model / "cameras.txt").write_text(camera)
    (model / "images.txt").write_text("".join(lines))
    (model / "points3D.txt").write_text("")


def write_colmap_binary(folder: Path, photos: Photos) -> None:
    names = _write_images(folder, photos, "images", "masks")
    images = struct.pack("<Q", NUM_VIEWS)
    for i, (name, pose) in enumerate(zip(names, photos.poses, strict=True)):
        values = _quaternion_and_translation(pose)
        images += struct.pack("<I7dI", i + 1, *values, 1) + name.encode() + b"\0"
        images += struct.pack("<Q", 0)
    model = folder / "sparse/0"
    model.mkdir(parents=True)
    camera = struct.pack("<QIiQQ3d", 1, 1, 0, SIZE, SIZE, FOCAL, SIZE / 2, SIZE / 2)
    (model / "cameras.bin").write_bytes(camera)  # 0: SIMPLE_PINHOLE
    (model / "images.bin").write_bytes(images)
    (model / "points3D.bin").write_bytes(struct.pack("<Q", 0))


def write_llff(folder: Path, photos: Photos) -> None:
    """Camera axes down, right, backwards."""
    _write_images(folder, photos, "images", "masks")
    rows = []
    for pose in photos.poses:
        right, down, forward, position = pose[:3].T
        matrix = np.stack([down, right, -forward, position, [SIZE, SIZE, FOCAL]], axis=1)
        rows.append([*matrix.ravel(), 2.0, 6.0])
    np.save(folder / "poses_bounds.npy", np.array(rows))


def write_blended_mvs(folder: Path, photos: Photos) -> None:
    names = _write_images(folder, photos, "blended_images", "masks")
    (folder / "cams").mkdir()
    for name, pose in zip(names, photos.poses, strict=True):
        extrinsic = _spelled(np.linalg.inv(pose).ravel())
        intrinsic = _spelled(K_FROM_FIRST_CENTRE.ravel())
        text = f"extrinsic\n{extrinsic}\n\nintrinsic\n{intrinsic}\n\n2.0 0.01 192 6.0\n"
        (folder / f"cams/{Path(name).stem}_cam.txt").write_text(text)


def write_middlebury(folder: Path, photos: Photos) -> None:
    names = _write_images(folder, photos, "", "masks")
    lines = [f"{NUM_VIEWS}\n"]
    for name, pose in zip(names, photos.poses, strict=True):
        R, t = pose[:3, :3].T, -pose[:3, :3].T @ pose[:3, 3]
        lines.append(f"{name} {_spelled([*K_FROM_FIRST_CENTRE.ravel(), *R.ravel(), *t])}\n")
    (folder / "ball_par.txt").write_text("".join(lines))


def write_projections(folder: Path, photos: Photos) -> None:
    names = _write_images(folder, photos, "visualize", "masks")
    (folder / "txt").mkdir()
    for name, pose in zip(names, photos.poses, strict=True):
        text = f"CONTOUR\n{_spelled(_projection(pose).ravel())}\n"
        (folder / f"txt/{Path(name).stem}.txt").write_text(text)


def write_sdfstudio(folder: Path, photos: Photos) -> None:
    """The box of the scene is SDFStudio's own volume, in which the object need not be."""
    names = _write_images(folder, photos, "", "foreground_mask")
    intrinsics = np.eye(4)
    intrinsics[:3, :3] = K
    frames = [
        {
            "rgb_path": name,
            "foreground_mask": f"foreground_mask/{name}",
            "camtoworld": pose.tolist(),
            "intrinsics": intrinsics.tolist(),
        }
        for name, pose in zip(names, photos.poses, strict=True)
    ]
    box = {"aabb": [[-1, -1, -1], [1, 1, 1]], "near": 0.5, "far": 4.5, "radius": 1.0}
    document = {"camera_model": "OPENCV", "height": SIZE, "width": SIZE, "scene_box": box}
    (folder / "meta_data.json").write_text(json.dumps({**document, "frames": frames}))


def write_nsvf(folder: Path, photos: Photos) -> None:
    """Without a box, which would be the region."""
    names = _write_images(folder, photos, "rgb", "masks")
    (folder / "pose").mkdir()
    for name, pose in zip(names, photos.poses, strict=True):
        (folder / f"pose/{Path(name).stem}.txt").write_text(_spelled(pose.ravel()))
    (folder / "intrinsics.txt").write_text(f"{FOCAL} {SIZE / 2} {SIZE / 2} 0.\n0. 0. 0.\n")


class Layout(NamedTuple):
    """How the scene is written, and the files of it that hold cameras."""

    write: Callable[[Path, Photos], None]
    files: tuple[str, ...]


MODEL = ("sparse/0/cameras", "sparse/0/images", "sparse/0/points3D")
LAYOUTS = {
    "idr": Layout(write_idr, ("cameras.npz",)),
    "transforms": Layout(write_transforms, ("transforms_train.json",)),
    "colmap": Layout(write_colmap_text, tuple(f"{name}.txt" for name in MODEL)),
    "colmap, binary": Layout(write_colmap_binary, tuple(f"{name}.bin" for name in MODEL)),
    "llff": Layout(write_llff, ("poses_bounds.npy",)),
    "blended_mvs": Layout(write_blended_mvs, ("cams/003_cam.txt",)),
    "middlebury": Layout(write_middlebury, ("ball_par.txt",)),
    "sdfstudio": Layout(write_sdfstudio, ("meta_data.json",)),
    "nsvf": Layout(write_nsvf, ("pose/003.txt", "intrinsics.txt")),
    "projections": Layout(write_projections, ("txt/003.txt",)),
}


def _write_images(folder: Path, photos: Photos, place: str, masks: str) -> list[str]:
    """The names of the files, the same for photos and masks."""
    names = [f"{i:03d}.png" for i in range(NUM_VIEWS)]
    for part in (place, masks):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for name, rgb, mask in zip(names, photos.rgb, photos.mask, strict=True):
        Image.fromarray(rgb).save(folder / place / name)
        Image.fromarray(np.uint8(255) * mask).save(folder / masks / name)
    return names


def _projection(pose: np.ndarray) -> np.ndarray:
    return K_FROM_FIRST_CENTRE @ np.linalg.inv(pose)[:3]


def _quaternion_and_translation(pose: np.ndarray) -> list[float]:
    camera_from_world = np.linalg.inv(pose)
    x, y, z, w = Rotation.from_matrix(camera_from_world[:3, :3]).as_quat()
    return [w, x, y, z, *camera_from_world[:3, 3]]


def _spelled(values) -> str:
    return " ".join(repr(float(value)) for value in values)
