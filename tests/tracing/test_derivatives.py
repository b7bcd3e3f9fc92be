"""A hundred random fields, each with its own rays: every derivative against finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.geometry import clip_to_sphere, pixel_rays, rigid_from_twist, shapes
from neural_sdf.tracing import trace

pytestmark = pytest.mark.usefixtures("x64")

NUM_FIELDS, NUM_RAYS = 100, 6
LEAST_COSINE = 0.05


def bumpy_ball(params, points):
    """A ball with smooth random bumps of a small network; slope 0.5 to 2."""
    bumps = jnp.tanh(2 * points @ params["first"] + params["bias"]) @ params["last"]
    return shapes.sphere(points, params["radius"]) + bumps


def random_params(key):
    keys = jax.random.split(key, 3)
    return {
        "first": jax.random.normal(keys[0], (3, 16)),
        "bias": jax.random.normal(keys[1], (16,)),
        "last": 0.03 * jax.random.normal(keys[2], (16,)),
        "radius": jnp.float64(0.5),
    }


def camera_ray(camera, pixel):
    """A ray of a camera given by 6 numbers of its pose and 5 of its intrinsics."""
    fx, fy, skew, cx, cy = camera[6:] + jnp.array([60.0, 62.0, 0.5, 31.0, 23.0])
    zero, one = jnp.zeros(()), jnp.ones(())
    K = jnp.stack([fx, skew, cx, zero, fy, cy, zero, zero, one]).reshape(3, 3)
    start = jnp.eye(4).at[2, 3].set(-2.2)
    return pixel_rays(K, start @ rigid_from_twist(camera[:6]), pixel)


def depth(inputs, pixel):
    """Depth of a ray as a function of all that it depends on: a scalar."""
    origin, direction = camera_ray(inputs["camera"], pixel)
    origin, direction = origin + inputs["origin"], direction + inputs["direction"]
    near, far, _ = jax.lax.stop_gradient(clip_to_sphere(origin, direction))
    hits = trace(
        bumpy_ball,
        inputs["params"],
        origin[None],
        direction[None],
        near=near - 0.1,
        far=far + 0.1,
        grazing=0.0,
        num_refine=12,
        max_steps=256,
    )
    return hits.t[0], (hits.hit[0], hits.cosine[0])


def cases():
    """Inputs and pixels of all fields, [F R, ...], as far as their rays hit and do not graze."""
    keys = jax.random.split(jax.random.key(0), NUM_FIELDS)
    params = jax.vmap(random_params)(keys)
    params = jax.tree.map(lambda x: jnp.repeat(x, NUM_RAYS, axis=0), params)
    count = NUM_FIELDS * NUM_RAYS
    inputs = {
        "params": params,
        "camera": 0.05 * jax.random.normal(jax.random.key(1), (count, 11)),
        "origin": jnp.zeros((count, 3)),
        "direction": jnp.zeros((count, 3)),
    }
    angle, radius = jax.random.uniform(jax.random.key(2), (2, count))
    offset = (
        15.5
        * jnp.sqrt(radius)[:, None]
        * jnp.stack([jnp.cos(2 * jnp.pi * angle), jnp.sin(2 * jnp.pi * angle)], axis=-1)
    )
    pixels = jnp.array([31.0, 23.0]) + offset
    _, (hit, cosine) = DEPTH(inputs, pixels)
    kept = np.flatnonzero(hit & (jnp.abs(cosine) > LEAST_COSINE))
    return jax.tree.map(lambda x: x[kept], (inputs, pixels, cosine))


def moved(inputs, tangent, step):
    return jax.tree.map(lambda x, v: x + step * v, inputs, tangent)


def dot(a, b):
    return sum(jax.tree.leaves(jax.tree.map(jnp.vdot, a, b)))


def value(inputs, pixel):
    return depth(inputs, pixel)[0]


def forward(inputs, tangent, pixel):
    return jax.jvp(lambda x: value(x, pixel), (inputs,), (tangent,))[1]


def reverse(inputs, tangent, pixel):
    return dot(jax.grad(value)(inputs, pixel), tangent)


MODES = {"forward": forward, "reverse": reverse}


def second(outer, inner):
    """vᵀ H v, by one mode over another."""

    def product(inputs, tangent, pixel):
        first = lambda x: MODES[inner](x, tangent, pixel)
        if outer == "forward":
            return jax.jvp(first, (inputs,), (tangent,))[1]
        return dot(jax.grad(first)(inputs), tangent)

    return product


def differences(function, inputs, tangent, step):
    """Central differences of fourth order along a tangent."""
    at = lambda k: function(moved(inputs, tangent, k * step))
    return (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)


def random_tangent(inputs, group, key):
    """A random change of one group of inputs, or of all; [F R, ...]."""
    leaves, tree = jax.tree_util.tree_flatten_with_path(inputs)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(
        tree,
        [
            jax.random.normal(k, x.shape) * (group in ("all", path[0].key))
            for k, (path, x) in zip(keys, leaves, strict=True)
        ],
    )


def batched(function):
    return jax.jit(jax.vmap(function))


# Compiled once for all groups of inputs.
DEPTH = batched(depth)
FIRST = {name: batched(function) for name, function in MODES.items()}
SECOND = {
    f"{outer} over {inner}": batched(second(outer, inner)) for outer in MODES for inner in MODES
}
FIRST_DIFFERENCES = batched(
    lambda x, v, pixel, step: differences(lambda x: value(x, pixel), x, v, step)
)
SECOND_DIFFERENCES = batched(
    lambda x, v, pixel, step: differences(lambda x: forward(x, v, pixel), x, v, step)
)


@pytest.mark.slow
@pytest.mark.parametrize("group", ["params", "camera", "origin", "direction", "all"])
def test_derivatives_of_a_hundred_fields_are_those_of_finite_differences(group):
    inputs, pixels, cosine = cases()
    assert len(pixels) > 4 * NUM_FIELDS
    assert (jnp.abs(cosine) < 0.3).sum() > 10  # grazing ones too
    tangent = random_tangent(inputs, group, jax.random.key(3))
    # What a ray sees bends the faster the more it grazes: t″ grows as 1/cos³.
    steps = 1e-4 * cosine**2
    same = np.ones(len(pixels), bool)
    start, _ = DEPTH(inputs, pixels)
    for k in (-2, -1, 1, 2):
        t, (hit, _) = DEPTH(jax.vmap(moved)(inputs, tangent, k * steps), pixels)
        same &= np.asarray(hit & (jnp.abs(t - start) < 0.05))
    assert same.mean() > 0.99  # the rest: another surface came in view

    def num_failures(ours, expected, tolerance):
        scale = np.maximum(np.abs(expected), 1e-2)
        return np.sum(same & ~(np.abs(ours - expected) <= tolerance * scale))

    expected = FIRST_DIFFERENCES(inputs, tangent, pixels, steps)
    for name, product in FIRST.items():
        assert num_failures(product(inputs, tangent, pixels), expected, 1e-6) == 0, name
    expected = SECOND_DIFFERENCES(inputs, tangent, pixels, steps)
    for name, product in SECOND.items():
        assert num_failures(product(inputs, tangent, pixels), expected, 1e-5) == 0, name
