import jax
import jax.numpy as jnp
import numpy as np

from neural_sdf.geometry import clip_to_sphere


def test_ray_enters_and_leaves_on_the_sphere():
    rng = np.random.default_rng(0)
    origins = rng.normal(size=(200, 3)) * 2
    directions = rng.normal(size=(200, 3))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    origins, directions = (jnp.asarray(x, jnp.float32) for x in (origins, directions))
    near, far, meets = clip_to_sphere(origins, directions, 1.5)
    at = lambda t: np.linalg.norm(origins + t[:, None] * directions, axis=-1)
    np.testing.assert_allclose(at(far)[meets], 1.5, atol=1e-5)
    started_outside = np.asarray(meets & (near > 0))
    np.testing.assert_allclose(at(near)[started_outside], 1.5, atol=1e-5)
    samples = np.linspace(0, 10, 2001)
    inside = (
        np.linalg.norm(origins[:, None] + samples[:, None] * directions[:, None], axis=-1) < 1.5
    )
    np.testing.assert_array_equal(
        inside.any(axis=1) | (far - near < 0.01), meets | (far - near < 0.01)
    )


def test_ray_from_inside_starts_at_once():
    near, far, meets = clip_to_sphere(jnp.zeros((1, 3)), jnp.array([[0.0, 0.0, 1.0]]), 2.0)
    assert near[0] == 0 and far[0] == 2 and meets[0]


def test_ray_that_misses_has_a_finite_empty_stretch_and_finite_gradient():
    def lengths(origins):
        near, far, _ = clip_to_sphere(origins, jnp.array([[1.0, 0.0, 0.0]] * 3), 1.0)
        return jnp.sum(near + far), (near, far)

    origins = jnp.array([[-3.0, 2.0, 0.0], [-3.0, 1.0, 0.0], [3.0, 0.0, 0.0]])
    gradient, (near, far) = jax.grad(lengths, has_aux=True)(origins)
    np.testing.assert_array_equal(near, far)
    assert np.isfinite(gradient).all() and np.isfinite(near).all()
