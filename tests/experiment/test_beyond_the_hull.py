"""What only colour tells: photos.py digs out the compartments of a cabinet that outlines fill."""

import igl
import numpy as np
import pytest
import trimesh
from scipy.ndimage import distance_transform_edt, map_coordinates

from neural_sdf.experiment.export import export_mesh
from neural_sdf.experiment.train import train
from neural_sdf.export import as_trimesh, extract_mesh, read_mesh
from neural_sdf.geometry import inverse, transform_points
from neural_sdf.photos import load_scene
from neural_sdf.photos.outlines.hull import carve, grid
from neural_sdf.scenes import view_masks
from neural_sdf.scenes.cabinet import cabinet, inside
from tests.shipped import config_of


def walls_inside(mesh: trimesh.Trimesh) -> np.ndarray:
    points, _ = trimesh.sample.sample_surface(mesh, 20_000, seed=0)
    return points[inside(points)]


def distances(points: np.ndarray, mesh: trimesh.Trimesh) -> np.ndarray:
    return np.sqrt(igl.point_mesh_squared_distance(points, mesh.vertices, mesh.faces)[0])


@pytest.mark.slow
def test_compartments_are_dug_out(tmp_path):
    config = config_of("photos", data__format="synthetic_cabinet", train__steps=700)
    train(config, tmp_path)
    scene = load_scene("", format="synthetic_cabinet")
    export_mesh(tmp_path, tmp_path / "mesh.ply", resolution=128)
    written = read_mesh(tmp_path / "mesh.ply")
    scene_from_world = inverse(scene.world_from_scene)
    vertices = np.asarray(transform_points(scene_from_world, written.vertices), np.float64)
    found = as_trimesh(written._replace(vertices=vertices))
    truth = as_trimesh(extract_mesh(lambda _, points: cabinet(points), None, resolution=192))
    diagonal = np.linalg.norm(truth.extents)
    walls = walls_inside(truth)
    error = np.mean([distances(walls, found).mean(), distances(walls_inside(found), truth).mean()])
    print(f"error in the compartments: {error / diagonal:.2%} of the diagonal")
    cells, spacing = grid(-np.ones(3), np.ones(3))
    train_views = int(scene.num_train)
    cameras = scene.intrinsics[:train_views], scene.scene_from_camera[:train_views]
    side = round(len(cells) ** (1 / 3))
    hull = carve(cells, view_masks(scene)[:train_views], *cameras).reshape((side,) * 3)
    depth = distance_transform_edt(hull, sampling=spacing)
    of_hull = map_coordinates(depth, ((walls + 1) / spacing - 0.5).T, order=1).mean()
    print(f"of the hull: {of_hull / diagonal:.2%}")
    assert of_hull > 0.05 * diagonal
    assert error < 0.015 * diagonal
