import numpy as np
from scipy.spatial.transform import Rotation

from neural_sdf.geometry import Similarity, inverse, transform_points


def random_similarity(seed):
    rng = np.random.default_rng(seed)
    rotation = Rotation.random(rng=rng).as_matrix()
    return Similarity(np.array(rng.uniform(0.1, 10)), rotation, rng.normal(size=3))


def test_inverse_undoes_a_transform():
    points = np.random.default_rng(0).normal(size=(10, 3))
    there = random_similarity(1)
    np.testing.assert_allclose(
        transform_points(inverse(there), transform_points(there, points)), points
    )


def test_lengths_grow_by_the_scale():
    transform = random_similarity(3)
    a, b = np.random.default_rng(0).normal(size=(2, 3))
    moved = transform_points(transform, a) - transform_points(transform, b)
    np.testing.assert_allclose(np.linalg.norm(moved), transform.scale * np.linalg.norm(a - b))
