import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.export import as_trimesh, extract_mesh
from neural_sdf.photos import load_scene
from neural_sdf.scenes import Scene
from neural_sdf.scenes.cup import cup
from neural_sdf.scenes.paint import smooth, speckled
from neural_sdf.scenes.synthetic import Shoot, synthetic_scene
from tests.cases import cases
from tests.scenes.pixels import rays_at


@pytest.fixture(scope="module")
def scene() -> Scene:
    return synthetic_scene(Shoot(6, 2, (24, 24), smooth))


@pytest.fixture(scope="module")
def mesh():
    return as_trimesh(extract_mesh(lambda _, points: cup(points), None, resolution=96))


def test_reference_is_negative_inside_and_positive_outside(scene):
    inside = jnp.array([[0.0, 0.0, -0.38], [0.0, 0.0, -0.2], [0.75, 0.0, 0.08]])
    outside = jnp.array([[0.0, 0.0, 0.2], [0.53, 0.0, 0.08], [0.0, 0.0, 0.9], [0.9, 0.0, 0.0]])
    assert scene.source.reference is not None
    assert (scene.source.reference(inside) < 0).all()
    assert (scene.source.reference(outside) > 0).all()


def test_everything_lies_inside_the_unit_sphere(mesh):
    assert np.linalg.norm(mesh.vertices, axis=-1).max() < 0.95


def test_shape_is_one_closed_piece_with_one_hole(mesh):
    assert mesh.is_watertight
    assert mesh.body_count == 1
    assert mesh.euler_number == 0  # 2 − 2 · genus; 2 for a sphere


def test_masks_are_where_rays_meet_the_shape(scene):
    origins, directions = rays_at(scene, np.arange(len(scene.mask)))
    depths = jnp.linspace(2.0, 4.0, 801)  # the thinnest part is 0.07
    along = lambda t: cup(origins + t * directions)
    least = jax.lax.map(along, depths, batch_size=100).min(axis=0)
    sure = np.abs(np.asarray(least)) > 2e-3
    assert sure.mean() > 0.95
    np.testing.assert_array_equal(np.asarray(scene.mask)[sure], np.asarray(least)[sure] < 0)


def test_photos_are_white_outside_the_mask_and_coloured_inside(scene):
    rgb, mask = np.asarray(scene.rgb), np.asarray(scene.mask)
    assert (rgb[~mask] == 255).all()
    assert rgb[mask].std(axis=0).min() > 10


def test_views_are_counted_named_and_split(scene):
    assert int(scene.num_train) == 6
    assert len(scene.sizes) == len(set(scene.source.names)) == 8
    assert len(np.unique(scene.scene_from_camera[:, :3, 3].round(6), axis=0)) == 8


def test_poses_are_rigid(scene):
    rotation = scene.scene_from_camera[:, :3, :3]
    np.testing.assert_allclose(
        rotation @ rotation.transpose(0, 2, 1), np.tile(np.eye(3), (8, 1, 1)), atol=1e-6
    )
    np.testing.assert_allclose(np.linalg.det(rotation), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "size"), cases([("synthetic", (8, 8))], [("synthetic_textured", (30, 40))])
)
def test_downscale_divides_the_size(name, size):
    scene = load_scene("", format=name, downscale=16)
    assert (scene.sizes == size).all()
    middle = scene.intrinsics[:, :2, 2]
    assert (middle == [size[1] / 2, size[0] / 2]).all()


def test_specks_are_of_all_sizes_and_have_no_jump():
    line = jnp.stack([jnp.linspace(-0.5, 0.5, 4001), jnp.full(4001, 0.11), jnp.full(4001, -0.2)], 1)
    normals = jnp.tile(jnp.array([0.0, 0.0, 1.0]), (4001, 1))
    specks = np.asarray(speckled(line, normals) / smooth(line, normals))[:, 0]
    assert 0.3 <= specks.min() < 0.45 and 0.8 < specks.max() <= 0.95
    assert np.abs(np.diff(specks)).max() < 0.05  # a step of 0.00025, a fiftieth of a speck
    changes = np.sum(np.diff(np.sign(np.diff(specks))) != 0)
    assert changes > 40  # of the 80 cells of the finest specks about two in three are turns


def test_views_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"0 \+ 1 views of 24x24 pixels; expected"):
        synthetic_scene(Shoot(0, 1, (24, 24), smooth))
