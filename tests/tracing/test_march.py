"""Rays in ever smaller batches: what it saves, and that it changes nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.fields import mlp
from neural_sdf.tracing import HIT, MAX_STEPS, MISS
from tests.cases import cases
from tests.tracing.scenes import LUMPY, in_sphere, looking_at, lumpy


def test_rays_do_not_depend_on_their_neighbours():
    origins, directions = looking_at(jax.random.key(6), 128)
    traced = jax.jit(lambda o, d: in_sphere(lumpy, LUMPY, o, d))
    hits, order = traced(origins, directions), jax.random.permutation(jax.random.key(7), 128)
    shuffled = traced(origins[order], directions[order])
    np.testing.assert_array_equal(hits.hit[order], shuffled.hit)
    np.testing.assert_allclose(hits.t[order], shuffled.t, atol=1e-6)
    alone = jax.jit(jax.vmap(lambda o, d: in_sphere(lumpy, LUMPY, o[None], d[None]).t[0]))
    np.testing.assert_allclose(alone(origins, directions), hits.t, atol=1e-6)


def on_a_network(origins, directions, **settings):
    field = mlp(width=64, depth=2, skip=0, num_octaves=4, num_features=4, radiance_width=4)
    params = jax.tree.map(lambda x: x + 0.01 * jnp.sin(100 * x), field.init(jax.random.key(0)))
    traced = jax.jit(lambda o, d: in_sphere(field.sdf, params, o, d, **settings))
    return traced(origins, directions)


@pytest.mark.parametrize(
    ("smallest", "settings"),
    cases([(32, {"max_steps": 9})], [(512, {"max_steps": 9}), (32, {}), (512, {})]),
    ids=str,
)
def test_smaller_batches_change_no_bit_at_powers_of_two(smallest, settings):
    origins, directions = looking_at(jax.random.key(9), 1024, spread=1.0)
    whole = on_a_network(origins, directions, smallest_batch=1024, **settings)
    assert set(np.unique(whole.status)) >= {HIT, MISS}
    assert settings != {"max_steps": 9} or (whole.status == MAX_STEPS).sum() > 10
    halved = on_a_network(origins, directions, smallest_batch=smallest, **settings)
    assert halved.num_paid < whole.num_paid
    for ours, theirs in zip(halved._replace(num_paid=whole.num_paid), whole, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("count", cases([300], [3, 1000]))
def test_smaller_batches_lose_no_ray_at_any_size(count):
    origins, directions = looking_at(jax.random.key(10), count, spread=1.0)
    whole = on_a_network(origins, directions, smallest_batch=count)
    halved = on_a_network(origins, directions, smallest_batch=2)
    np.testing.assert_array_equal(halved.status, whole.status)
    # Rounding of the field moves a hit by its share of 1 / |cosine|.
    slant = np.where(whole.hit, np.abs(whole.cosine), 1.0)
    assert (np.abs(halved.t - whole.t) * slant).max() < 1e-6


def test_evaluations_that_the_certificate_tells_are_those_that_happen():
    """Rays that the field is evaluated for, counted as the program runs."""
    origins, directions = looking_at(jax.random.key(9), 1024, spread=1.0)
    sizes = []

    def counted(params, points):
        jax.debug.callback(lambda: sizes.append(len(points)))
        return lumpy(params, points)

    paid = {}
    for smallest in (1024, 32):
        sizes.clear()
        hits = in_sphere(counted, LUMPY, origins, directions, smallest_batch=smallest)
        jax.effects_barrier()
        paid[smallest] = int(hits.num_paid)
        # Once more where each ray ended, with the normal there.
        assert sum(sizes) == paid[smallest] + 1024
    assert hits.num_evaluations.sum() < paid[32] < 0.5 * paid[1024]


def test_a_ray_costs_few_evaluations():
    """By the certificate, not by a clock."""
    origins, directions = looking_at(jax.random.key(0), 2048)
    hits = jax.jit(lambda o, d: in_sphere(lumpy, LUMPY, o, d))(origins, directions)
    assert hits.num_evaluations.mean() < 12
    assert hits.num_paid < 15 * 2048


def test_eager_and_jitted_traces_agree():
    origins, directions = looking_at(jax.random.key(8), 128)
    eager = in_sphere(lumpy, LUMPY, origins, directions)
    jitted = jax.jit(lambda o, d: in_sphere(lumpy, LUMPY, o, d))(origins, directions)
    np.testing.assert_array_equal(eager.hit, jitted.hit)
    np.testing.assert_allclose(eager.t, jitted.t, atol=1e-6)
