"""What every renderer keeps to, whatever it is made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.geometry import Rays
from neural_sdf.rendering import RENDERERS
from tests.rendering.fixed_samples import fixed_samples

# The last is not the package's: what holds for it can be asked of any.
MEMBERS = {**RENDERERS, "fixed_samples": fixed_samples}
COUNT = 64


@pytest.fixture(scope="module", params=MEMBERS)
def seen(request, sphere_field):
    """Renderer, params, memory and rendering of rays at a ball of radius 0.5."""
    renderer = MEMBERS[request.param](sphere_field)
    field_key, key = jax.random.split(jax.random.key(0))
    params = {"field": sphere_field.init(field_key), "renderer": renderer.init(key)}
    share = jnp.float32(0.5)
    memory = renderer.recall(params, share)
    render = jax.jit(renderer.render)
    given = memory, rays(), jax.random.split(jax.random.key(1), COUNT), share
    return renderer, params, given, render(params, *given)


def rays() -> Rays:
    """Parallel, 0 to 0.9 from the middle."""
    aside = np.linspace(0, 0.9, COUNT)
    origins = np.stack([aside, 0 * aside, 0 * aside - 3], axis=-1)
    return Rays(jnp.asarray(origins, jnp.float32), jnp.tile(jnp.float32([0, 0, 1]), (COUNT, 1)))


def test_gives_what_it_says_it_gives(seen):
    renderer, _, _, rendering = seen
    assert renderer.gives == {name for name, x in rendering._asdict().items() if x is not None}


def test_shapes_are_those_of_the_rays(seen):
    rendering = seen[-1]
    assert rendering.rgb.shape == rendering.normal.shape == (COUNT, 3)
    assert rendering.opacity.shape == rendering.depth.shape == rendering.mask.shape == (COUNT,)
    assert rendering.gradients.shape[1:] == (3,)


def test_everything_is_finite_and_colours_lie_between_black_and_white(seen):
    rendering = seen[-1]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(rendering))
    for values in (rendering.rgb, rendering.opacity):
        assert np.min(values) >= -1e-6 and np.max(values) <= 1 + 1e-6


def test_ball_is_seen_where_it_is(seen):
    rendering, aside = seen[-1], np.linspace(0, 0.9, COUNT)
    sure = np.abs(aside - 0.5) > 0.2  # a fog has a soft border
    np.testing.assert_array_equal(rendering.mask[sure], aside[sure] < 0.5)


def test_same_keys_give_the_same_bits(seen):
    renderer, params, given, rendering = seen
    again = jax.jit(renderer.render)(params, *given)
    jax.tree.map(np.testing.assert_array_equal, again, rendering)


def test_watched_figures_are_sums_with_their_counts(seen):
    """Of the whole they are the sums of those of two halves, as several devices have it."""
    renderer, params, (memory, whole, keys, share), rendering = seen
    halves = [jax.tree.map(lambda x, h=h: x[h::2], (whole, keys)) for h in (0, 1)]
    parts = [renderer.render(params, memory, *half, share).watch for half in halves]
    for name, (total, count) in rendering.watch.items():
        assert count > 0
        if name != "evaluations":  # of a batch, which may be filled up
            np.testing.assert_allclose(
                total / count,
                sum(part[name][0] for part in parts) / sum(part[name][1] for part in parts),
                rtol=1e-5,
            )


def test_memory_that_is_renewed_keeps_its_structure(seen):
    renderer, params, (memory, *_, share), _ = seen
    again = renderer.renew(memory, params, share, jnp.int32(3))
    shapes = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype), tree)
    assert shapes(again) == shapes(memory)


def test_gradient_by_all_it_learns_is_finite(seen):
    renderer, params, given, _ = seen

    def brightness(params):
        return jnp.sum(renderer.render(params, *given).rgb ** 2)

    slopes = jax.tree.leaves(jax.jit(jax.grad(brightness))(params))
    assert all(np.isfinite(slope).all() for slope in slopes)
    assert any(np.any(slope != 0) for slope in slopes)
