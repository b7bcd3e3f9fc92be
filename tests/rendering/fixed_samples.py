"""A renderer that the package does not have: what any may need, in a few lines."""

import jax
import jax.numpy as jnp

from neural_sdf.fields import Field
from neural_sdf.geometry import clip_to_sphere
from neural_sdf.rendering import Renderer, Rendering


def fixed_samples(field: Field, *, num_samples: int = 8) -> Renderer:
    """Light through a fog that is dense inside, summed over jittered samples of each ray.

    It learns how sharp the fog's border is, draws random numbers, remembers nothing, and knows no
    closest approach.
    """

    def render(params, memory, rays, keys, share):
        near, far, _ = clip_to_sphere(*rays)
        jitter = jax.vmap(lambda key: jax.random.uniform(key, (num_samples,)))(keys)
        spacing = (far - near)[:, None] / num_samples
        t = near[:, None] + spacing * (jnp.arange(num_samples) + jitter)
        directions = jnp.repeat(rays.directions, num_samples, axis=0)
        points = jnp.repeat(rays.origins, num_samples, axis=0) + t.reshape(-1, 1) * directions
        now = field.at(share)
        distance, gradients, features = now.surface(params["field"], points)
        rgb = now.radiance(params["field"], points, gradients, directions, features)
        sharpness = jnp.exp(params["renderer"]["log_s"])
        density = sharpness * jax.nn.sigmoid(-sharpness * distance).reshape(t.shape)
        clear = jnp.exp(-density * spacing)
        reached = jnp.cumprod(clear, axis=-1) / clear
        weights = reached * (1 - clear)
        total = lambda x: jnp.sum(weights[..., None] * x.reshape(*t.shape, -1), axis=1)
        opacity = jnp.sum(weights, axis=-1)
        return Rendering(
            rgb=total(rgb),
            opacity=opacity,
            depth=jnp.sum(weights * t, axis=-1),
            normal=total(gradients),
            mask=opacity > 0.5,
            gradients=gradients,
            distance_min=None,
            watch={"fog": (jnp.sum(opacity), jnp.float32(len(opacity)))},
        )

    return Renderer(
        init=lambda key: {"log_s": jnp.float32(3.0)},
        recall=lambda params, share: None,
        renew=lambda memory, params, share, step: memory,
        render=render,
        gives=frozenset(Rendering._fields) - {"distance_min"},
    )
