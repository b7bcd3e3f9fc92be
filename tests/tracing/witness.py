"""Other derivations of a traced hit, to compare with and, where wrong, to be told apart."""

import jax
import jax.numpy as jnp
from jax import lax

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
