"""A trained mesh lies, in the world of the photos, where the photos show the object."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from scipy import ndimage

from neural_sdf.experiment.evaluate import evaluate
from neural_sdf.experiment.export import export_mesh
from neural_sdf.experiment.train import train
from neural_sdf.photos.layouts import read_capture
from tests.shipped import config_of

MOST_VIEWS = 0.75  # masks are not certain to the pixel: those of the temple miss its dark slots


def photos_config(path: Path, **data):
    config = config_of("photos")
    config.data.update(path=str(path), **data)
    config.train.log_every = config.train.checkpoint_every = 1000
    return config


def mask_of(view) -> np.ndarray:
    if view.mask is None:
        return np.asarray(Image.open(view.image))[..., 3] > 127
    return np.asarray(Image.open(view.mask).convert("L")) > 127


def share_inside(vertices: np.ndarray, folder: Path, pixels: int) -> float:
    """Share of the vertices that most views have inside their mask, grown by so many pixels.

    By the cameras and masks as they are in the files, at full size.
    """
    inside = []
    for view in read_capture(folder, format="auto", cameras="").views:
        mask = ndimage.binary_dilation(mask_of(view), iterations=pixels)
        local = (vertices - view.world_from_camera[:3, 3]) @ view.world_from_camera[:3, :3]
        image = local @ view.intrinsics.T
        column, row = np.floor(image[:, :2] / image[:, 2:]).astype(int).T
        shown = (column >= 0) & (row >= 0) & (column < mask.shape[1]) & (row < mask.shape[0])
        assert shown.all()
        inside.append(mask[row, column])
    return float(np.mean(np.mean(inside, axis=0) >= MOST_VIEWS))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "downscale", "steps"), [("spot_tiny", 1, 600), ("middlebury_templeRing", 4, 1500)]
)
def test_vertices_of_a_trained_mesh_project_into_the_masks(
    photo_set, tmp_path, name, downscale, steps
):
    folder = photo_set(name)
    config = photos_config(folder, downscale=downscale)
    config.train.steps = steps
    train(config, tmp_path / "run")
    metrics = evaluate(tmp_path / "run", resolution=96)
    assert metrics["mask_iou"] >= 0.93
    summary = export_mesh(tmp_path / "run", tmp_path / "mesh.ply", resolution=96)
    assert summary.watertight
    vertices = np.asarray(trimesh.load(tmp_path / "mesh.ply", process=False).vertices)
    assert share_inside(vertices, folder, downscale) >= 0.99
    aside = 0.05 * np.ptp(vertices, axis=0).max()
    assert share_inside(np.add(vertices, [aside, 0, 0]), folder, downscale) < 0.97  # no empty check
