"""Other derivations of a traced hit, to compare with and, where wrong, to be told apart."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from neural_sdf.geometry import clip_to_sphere
from neural_sdf.tracing import trace


def detached_rule(sdf, params, origins, directions, **settings):
    """A mutant of `trace`: its rule calls the bare solver, so the second derivative is wrong."""

    @jax.custom_jvp
    def depth(theta):
        return trace(sdf, *lax.stop_gradient(theta), **settings).t

    @depth.defjvp
    def rule(primals, tangents):
        (theta,), (theta_dot,) = primals, tangents
        t = lax.stop_gradient(depth(theta))  # the recursive rule would say depth(theta)

        def along(theta, t):
            params, origins, directions = theta
            return sdf(params, origins + t[:, None] * directions)

        _, change = jax.jvp(lambda theta: along(theta, t), (theta,), (theta_dot,))
        _, slope = jax.jvp(lambda t: along(theta, t), (t,), (jnp.ones_like(t),))
        return t, -change / slope

    return depth((params, origins, directions))


def newton_reattached(sdf, params, origins, directions, num_steps, **settings):
    """Hits re-attached by differentiable Newton steps: orders 1, 3, 7, … are right."""
    t = lax.stop_gradient(trace(sdf, params, origins, directions, **settings).t)
    for _ in range(num_steps):
        along = lambda t: sdf(params, origins + t[:, None] * directions)
        value, slope = jax.jvp(along, (t,), (jnp.ones_like(t),))
        t = t - value / slope
    return t


def unrolled(sdf, params, origins, directions, *, near, num_steps, remat=False):
    """Plain sphere tracing for a fixed number of steps, differentiated through every one."""

    def step(t, _):
        return t + sdf(params, origins + t[:, None] * directions), None

    t, _ = lax.scan(jax.checkpoint(step) if remat else step, near, length=num_steps)
    return t


def dense_reference(sdf, params, origins, directions, num_samples=4000, num_halvings=50):
    """First sign change among dense samples of the chord, then bisection; in double precision.

    Returns:
        hit [N], t [N] and the slope of the field along the ray there [N], as NumPy arrays.
    """
    shares = jnp.linspace(0.0, 1.0, num_samples)

    def one(params, origin, direction, near, far):
        value = lambda t: sdf(params, origin + t[..., None] * direction)
        t = near + (far - near) * shares
        negative = value(t) < 0
        first = jnp.argmax(negative)

        def halve(_, bracket):
            low, high = bracket
            middle = (low + high) / 2
            inside = value(middle[None])[0] < 0
            return jnp.where(inside, low, middle), jnp.where(inside, middle, high)

        _, high = lax.fori_loop(0, num_halvings, halve, (t[first - 1], t[first]))
        slope = jax.jvp(value, (high[None],), (jnp.ones(1),))[1][0]
        return negative.any() & (first > 0), high, slope

    @jax.jit
    def all_rays(params, origins, directions):
        near, far, _ = clip_to_sphere(origins, directions, 1.0)
        rays = (origins, directions, near, far)
        return lax.map(lambda ray: one(params, *ray), rays, batch_size=32)

    with jax.enable_x64(True):
        double = jax.tree.map(
            lambda x: jnp.asarray(np.asarray(x), jnp.float64), (params, origins, directions)
        )
        return [np.asarray(x) for x in all_rays(*double)]


def shares_of_errors(hits, truth):
    """Shares of false hits, wrong surfaces, lost hits; depth errors of rays that do not graze."""
    hit, t, slope = truth
    ours, error = np.asarray(hits.hit), np.abs(np.asarray(hits.t) - t)
    right = error < 1e-2
    steep = hit & ours & right & (np.abs(slope) > 0.1)
    return np.mean(ours & ~hit), np.mean(ours & hit & ~right), np.mean(hit & ~ours), error[steep]
