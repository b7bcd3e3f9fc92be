import jax
import jax.numpy as jnp
import numpy as np

from neural_sdf.geometry import clip_to_sphere, pixel_rays, shapes
from neural_sdf.rendering import coverage
from neural_sdf.tracing import closest_approach, trace

SIZE, FOCAL, DISTANCE, RADIUS, WIDTH = 128, 1.4 * 128, 2.5, 0.5, 1e-2


def ball(radius, points):
    return shapes.sphere(points, radius)


def camera_rays():
    K = jnp.array([[FOCAL, 0, SIZE / 2], [0, FOCAL, SIZE / 2], [0, 0, 1]])
    pose = jnp.eye(4).at[2, 3].set(-DISTANCE)
    rows, columns = np.divmod(np.arange(SIZE**2), SIZE)
    return pixel_rays(K, pose, np.stack([columns, rows], axis=-1) + 0.5)


def covered(radius, *, of_hits=1.0):
    """Covered pixels of the image of a ball; `of_hits`: how much the rays that hit count."""
    rays = camera_rays()
    near, far, _ = clip_to_sphere(*rays)
    hits = trace(ball, radius, *rays, near=near, far=far, dmin=1e-2)
    distance = closest_approach(ball, radius, *rays, near=near, far=far).distance
    held = jax.lax.stop_gradient(distance)
    distance = held + jnp.where(hits.hit, of_hits, 1.0) * (distance - held)
    return jnp.sum(coverage(hits.hit, distance, width=WIDTH))


def true_area(radius):
    """The cone about a ball of radius r at distance d meets the image plane in a disc."""
    return np.pi * FOCAL**2 * radius**2 / (DISTANCE**2 - radius**2)


def true_derivative(radius):
    return 2 * np.pi * FOCAL**2 * radius * DISTANCE**2 / (DISTANCE**2 - radius**2) ** 2


def test_coverage_is_the_area_and_its_derivative_that_of_the_silhouette():
    both = jax.jit(
        lambda radius: (jax.value_and_grad(covered)(radius), jax.jacfwd(covered)(radius))
    )
    (area, derivative), forward = both(jnp.float32(RADIUS))
    assert area == jnp.round(area)  # hard hits
    np.testing.assert_allclose(area, true_area(RADIUS), rtol=2e-3)
    np.testing.assert_allclose(derivative, true_derivative(RADIUS), rtol=2e-2)
    np.testing.assert_allclose(forward, derivative, rtol=1e-4)


def test_missing_rays_alone_lose_half_of_the_derivative():
    mutant = jax.jit(jax.grad(lambda radius: covered(radius, of_hits=0.0)))
    np.testing.assert_allclose(mutant(jnp.float32(RADIUS)), true_derivative(RADIUS) / 2, rtol=0.1)
