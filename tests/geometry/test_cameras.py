import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest

from neural_sdf.geometry import pixel_rays, project

pytestmark = pytest.mark.usefixtures("x64")


def random_camera(seed):
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    pose = np.eye(4)
    pose[:3, :3] = rotation * np.linalg.det(rotation)
    pose[:3, 3] = rng.normal(size=3)
    fx, fy, skew = rng.uniform(200, 900), rng.uniform(200, 900), rng.uniform(-30, 30)
    K = np.array([[fx, skew, rng.uniform(0, 640)], [0, fy, rng.uniform(0, 480)], [0, 0, 1]])
    return K, pose


@pytest.mark.parametrize("seed", range(5))
def test_projecting_a_point_of_a_pixels_ray_returns_the_pixel(seed):
    K, pose = random_camera(seed)
    pixels = np.random.default_rng(seed).uniform(0, 640, (50, 2))
    rays = pixel_rays(K, pose, pixels)
    np.testing.assert_allclose(jnp.linalg.norm(rays.directions, axis=-1), 1.0, rtol=1e-14)
    for t in (0.1, 3.0):
        image, depth = project(K, pose, rays.origins + t * rays.directions)
        np.testing.assert_allclose(image, pixels, atol=1e-9)
        assert (depth > 0).all()


def test_projection_is_that_of_the_projection_matrix():
    K, pose = random_camera(7)
    points = pose[:3, 3] + np.random.default_rng(0).normal(size=(20, 3))
    P = K @ np.linalg.inv(pose)[:3]
    homogeneous = np.concatenate([points, np.ones((20, 1))], axis=1) @ P.T
    image, depth = project(K, pose, points)
    np.testing.assert_allclose(image, homogeneous[:, :2] / homogeneous[:, 2:], rtol=1e-9)
    np.testing.assert_allclose(depth, homogeneous[:, 2], rtol=1e-9)


def test_optical_axis_leaves_through_the_principal_point_along_z():
    K = np.array([[500.0, 20.0, 310.0], [0.0, 450.0, 222.0], [0.0, 0.0, 1.0]])
    rays = pixel_rays(K, np.eye(4), np.array([310.0, 222.0]))
    np.testing.assert_allclose(rays.directions, [0, 0, 1], atol=1e-15)


def test_one_camera_serves_many_pixels_and_many_cameras_one_each():
    cameras = [random_camera(seed) for seed in range(4)]
    K, poses = (np.stack(part) for part in zip(*cameras, strict=True))
    pixels = np.random.default_rng(1).uniform(0, 600, (4, 2))
    together = pixel_rays(K, poses, pixels)
    for i in range(4):
        alone = pixel_rays(K[i], poses[i], pixels[i])
        np.testing.assert_allclose(together.directions[i], alone.directions, rtol=1e-14)
        np.testing.assert_array_equal(together.origins[i], alone.origins)


def test_rays_are_differentiable_in_pose_intrinsics_and_pixel():
    K, pose = random_camera(3)
    jax.test_util.check_grads(
        jax.jit(lambda K, pose, pixel: pixel_rays(K, pose, pixel).directions),
        (K, pose, np.array([100.0, 200.0])),
        order=2,
        modes=["fwd", "rev"],
        rtol=1e-6,
        atol=1e-6,
    )
