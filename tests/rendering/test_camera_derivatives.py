"""The colour of a rendered pixel as a function of its camera, against finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.fields import mlp
from neural_sdf.geometry import clip_to_sphere, pixel_rays, rigid_from_twist
from neural_sdf.tracing import trace
from tests.rendering.seen import surface_seen

pytestmark = pytest.mark.usefixtures("x64")

FIELD = mlp(width=32, depth=3, skip=0, num_octaves=2, num_features=8, radiance_width=32)
PIXELS = np.array([[30.5, 22.5], [20.5, 22.5], [33.5, 15.5], [26.5, 20.5]])
INTRINSICS = np.array([60.0, 62.0, 0.5, 31.0, 23.0])  # fx, fy, skew, cx, cy


def bumpy_params():
    """A sphere with random bumps, in double precision, whose colour varies."""
    params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), FIELD.init(jax.random.key(0)))
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    noisy = [
        x + 0.004 * jax.random.normal(k, x.shape, x.dtype)
        for x, k in zip(leaves, keys, strict=True)
    ]
    return jax.tree.unflatten(tree, noisy)


def camera_rays(camera):
    """Rays of the pixels for a camera of 6 + 5 numbers: a change of pose, and K."""
    fx, fy, skew, cx, cy = INTRINSICS + 10 * camera[6:]
    K = jnp.stack([fx, skew, cx, jnp.zeros(()), fy, cy, jnp.zeros(()), jnp.zeros(()), jnp.ones(())])
    start = jnp.eye(4).at[2, 3].set(-2.2)
    return pixel_rays(K.reshape(3, 3), start @ rigid_from_twist(camera[:6]), PIXELS)


def colours(params, camera):
    return surface_seen(FIELD, params, camera_rays(camera), dmin=1e-2).rgb.ravel()


def test_pixel_colour_has_the_derivatives_of_finite_differences_by_pose_and_intrinsics():
    params, camera = bumpy_params(), jnp.zeros(11)
    rays = camera_rays(camera)
    near, far, _ = clip_to_sphere(*rays)
    hits = trace(FIELD.sdf, params, *rays, near=near, far=far)
    assert hits.hit.all() and (hits.cosine < -0.3).all()  # the clamp of grazing rays has no part
    weights = jnp.sin(jnp.arange(12.0) + 1)
    value = jax.jit(lambda camera: weights @ colours(params, camera))
    gradient = jax.jit(jax.grad(value))

    def differences(function, direction, step=1e-4):
        """Central differences of fourth order."""
        at = lambda k: function(camera + k * step * direction)
        return (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)

    first = gradient(camera)
    forward = jax.jit(jax.jacfwd(value))(camera)
    np.testing.assert_allclose(forward, first, rtol=1e-9, atol=1e-12)
    for i in range(11):
        direction = jnp.eye(11)[i]
        expected = differences(value, direction)
        assert abs(expected) > 1e-4, "a camera number that the pixels do not depend on"
        np.testing.assert_allclose(first[i], expected, rtol=1e-6, atol=1e-9)

    @jax.jit
    def products(c, v):
        return {
            "forward over reverse": jax.jvp(gradient, (c,), (v,))[1],
            "reverse over reverse": jax.grad(lambda c: gradient(c) @ v)(c),
            "reverse over forward": jax.grad(lambda c: jax.jvp(value, (c,), (v,))[1])(c),
        }

    for seed in range(3):
        v = jax.random.normal(jax.random.key(seed), (11,))
        expected = differences(gradient, v)
        for name, product in products(camera, v).items():
            error = jnp.linalg.norm(product - expected) / jnp.linalg.norm(expected)
            assert error < 1e-5, f"{name}: {error}"


@pytest.mark.slow
def test_jvp_and_vjp_of_an_image_are_transposes():
    params, camera = bumpy_params(), jnp.zeros(11)
    image = jax.jit(lambda camera: colours(params, camera))
    v, u = jnp.cos(jnp.arange(11.0)), jnp.sin(jnp.arange(12.0))
    forward = jax.jvp(image, (camera,), (v,))[1]
    (backward,) = jax.vjp(image, camera)[1](u)
    np.testing.assert_allclose(u @ forward, v @ backward, rtol=1e-10)
