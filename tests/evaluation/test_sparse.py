"""How far a surface lies from sparse points, and which of them are the object's."""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.evaluation import compare_points
from neural_sdf.geometry import Similarity, SparsePoints, transform_points
from neural_sdf.scenes import Scene, object_points
from neural_sdf.scenes.paint import smooth
from neural_sdf.scenes.synthetic import Shoot, synthetic_scene

RADIUS = 0.5


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    """On the ball, in the scene frame."""
    x = np.random.default_rng(0).standard_normal((500, 3))
    return RADIUS * x / np.linalg.norm(x, axis=-1, keepdims=True)


def with_points(points: np.ndarray | None) -> Scene:
    """A ball in a world of its own units, with points of the scene frame given in them."""
    ball = lambda points: jnp.linalg.norm(points, axis=-1) - RADIUS
    scene = synthetic_scene(Shoot(12, 2, (64, 64), smooth, ball))
    world = Similarity(np.array(7.0), np.diag([1.0, -1.0, -1.0]), np.array([3.0, 4.0, 500.0]))
    known = None
    if points is not None:
        places = np.asarray(transform_points(world, points))
        known = SparsePoints(places, np.full(len(places), np.nan))
    source = dataclasses.replace(scene.source, points=known)
    return scene._replace(world_from_scene=world, source=source)


def test_points_that_are_not_the_objects_are_left_out(points):
    # Before and behind the ball, at its side, and beyond the region of interest.
    others = np.concatenate([1.5 * points[:200], np.array([[0, 0, 5.0], [3.0, 0, 0]])])
    inside = 0.9 * points  # by more than a pixel
    kept, widths, weights = object_points(with_points(np.concatenate([others, inside])))
    np.testing.assert_allclose(kept, inside, atol=1e-6)
    assert (weights == 1).all()
    # A pixel of a photo 64 wide, whose focal length is 1.6 times that, at the camera's distance.
    scene = with_points(None)
    distance = np.linalg.norm(scene.scene_from_camera[0, :3, 3])
    np.testing.assert_allclose(np.median(widths), distance / (1.6 * 64), rtol=0.05)


def test_distance_is_a_share_of_the_region_and_of_a_pixel(points):
    """Of a field that is twice the distance."""

    def surface(radius, points):
        length = jnp.linalg.norm(points, axis=-1)
        return 2 * (length - radius), 2 * points / length[:, None], jnp.zeros((len(points), 1))

    scene = with_points(0.98 * points)
    found = compare_points(functools.partial(surface, RADIUS), scene)
    assert found is not None and found.num_points > 0.8 * len(points)
    assert found.points_median == pytest.approx(0.01, rel=1e-3)
    width = np.median(object_points(scene)[1])
    assert found.points_median_pixels == pytest.approx(0.01 / width, rel=0.05)
    exact = compare_points(functools.partial(surface, 0.98 * RADIUS), scene)
    assert exact is not None and exact.points_median < 1e-6


@pytest.mark.parametrize("points", [None, np.zeros((0, 3)), np.array([[0, 0, 9.0]])])
def test_sets_without_points_of_the_object_have_no_such_figure(points):
    assert compare_points(lambda points: (points[:, 0], points), with_points(points)) is None


def test_points_weigh_by_the_error_that_they_are_known_by(points):
    scene = with_points(0.9 * points)
    assert scene.source.points is not None
    errors = np.where(np.arange(500) % 2, 0.0, np.sqrt(3) / 4)
    errors[:100] = np.nan
    known = scene.source.points._replace(errors=errors)
    source = dataclasses.replace(scene.source, points=known)
    kept, _, weights = object_points(scene._replace(source=source))
    assert len(kept) == 500 and (weights[:100] == 1).all()
    np.testing.assert_allclose(weights[101::2], 4 * weights[100::2])  # of 1/4 and of 1/2 pixel
    np.testing.assert_allclose(weights.mean(), 1)
