"""The cabinet: what it is, and that outlines cannot tell it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trimesh

from neural_sdf.export import as_trimesh, extract_mesh
from neural_sdf.photos import load_scene
from neural_sdf.photos.outlines.hull import carve, grid
from neural_sdf.scenes import Scene, view_masks
from neural_sdf.scenes.cabinet import cabinet, inside
from neural_sdf.tracing import trace


@pytest.fixture(scope="module")
def scene() -> Scene:
    return load_scene("", format="synthetic_cabinet", downscale=2)


def test_walls_are_solid_and_compartments_are_not():
    walls = jnp.array([[0, 0, -0.3], [0.3, 0, -0.14], [0.47, 0, 0], [0, 0.25, 0.05], [0.1, 0, 0.3]])
    hollows = jnp.array([[0.25, 0, 0.05], [-0.25, -0.1, -0.35], [0.2, 0, 0.35], [0, -0.5, 0]])
    assert (cabinet(walls) < 0).all()
    assert (cabinet(hollows) > 0).all()


def test_it_is_one_closed_piece_in_the_unit_sphere():
    mesh = as_trimesh(extract_mesh(lambda _, points: cabinet(points), None, resolution=96))
    assert mesh.is_watertight
    assert mesh.body_count == 1
    assert mesh.euler_number == 2
    assert np.linalg.norm(mesh.vertices, axis=-1).max() < 0.95


def test_field_is_a_lower_bound_of_the_distance():
    points = jax.random.uniform(jax.random.key(0), (5000, 3), minval=-1, maxval=1)
    slopes = jnp.linalg.norm(jax.vmap(jax.grad(lambda x: cabinet(x)))(points), axis=-1)
    assert slopes.max() < 1 + 1e-5


def test_outlines_fill_its_compartments(scene):
    cells, _ = grid(-np.ones(3), np.ones(3))
    train = int(scene.num_train)
    views = scene.intrinsics[:train], scene.scene_from_camera[:train]
    hull = carve(cells, view_masks(scene)[:train], *views, dissent=0.0)
    hollow = inside(cells) & (np.asarray(cabinet(jnp.asarray(cells))) > 0.1)
    assert hollow.sum() > 500
    assert hull[hollow].mean() > 0.99


def test_three_photos_and_more_see_most_walls_of_its_compartments(scene):
    """Within 80 degrees of their normals, unless something stands between."""
    mesh = as_trimesh(extract_mesh(lambda _, points: cabinet(points), None, resolution=96))
    walls, faces = trimesh.sample.sample_surface(mesh, 2000, seed=0)
    within = inside(walls)
    normals = mesh.face_normals[faces][within]
    start = jnp.asarray(walls[within] + 0.01 * normals, jnp.float32)

    @jax.jit
    def blocked(directions):
        between = {"near": jnp.zeros(len(start)), "far": jnp.full(len(start), 2.0)}
        return trace(lambda _, points: cabinet(points), None, start, directions, **between).hit

    count = np.zeros(len(start), int)
    for pose in scene.scene_from_camera[: int(scene.num_train)]:
        directions = pose[:3, 3] - np.asarray(start)
        directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
        facing = np.sum(directions * normals, axis=-1) > np.cos(np.radians(80))
        count += facing & ~np.asarray(blocked(jnp.asarray(directions, jnp.float32)))
    assert np.mean(count >= 3) > 0.85
