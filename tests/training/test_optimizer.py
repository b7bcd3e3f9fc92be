import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from neural_sdf.training import adam_by_part, schedule


def learning_rates(count: int, **settings) -> np.ndarray:
    """What Adam moves by at each step under a constant gradient, which is the learning rate."""
    optimizer = adam_by_part({"field": schedule(**settings)})
    params = {"field": jnp.float32(0)}
    _, updates = jax.lax.scan(
        lambda state, _: optimizer.update({"field": jnp.float32(-1)}, state, params)[::-1],
        optimizer.init(params),
        length=count,
    )
    return np.asarray(updates["field"])


def test_learning_rate_warms_up_and_falls_as_a_cosine():
    rates = learning_rates(201, learning_rate=2e-3, steps=200, warmup=20, decay="cosine")
    k = np.arange(201)
    cosine = 0.05 + 0.95 * (1 + np.cos(np.pi * (k - 20) / 180)) / 2
    np.testing.assert_allclose(rates, 2e-3 * np.where(k < 20, k / 20, cosine), rtol=1e-3)


def test_learning_rate_halves_at_half_and_three_quarters_of_the_run():
    rates = learning_rates(100, learning_rate=1e-3, steps=100, warmup=10, decay="halving")
    np.testing.assert_allclose(rates[10:50], 1e-3, rtol=1e-3)
    np.testing.assert_allclose(rates[51:75], 5e-4, rtol=1e-3)
    np.testing.assert_allclose(rates[76:], 2.5e-4, rtol=1e-3)


def test_learning_rate_without_warm_up_starts_at_its_highest():
    rates = learning_rates(1, learning_rate=1e-3, steps=10, warmup=0)
    np.testing.assert_allclose(rates, 1e-3, rtol=1e-3)


def test_unknown_decay_is_answered_with_those_that_exist():
    with pytest.raises(
        ValueError,
        match=r"decay 'linear' is unknown; expected one of \['cosine', 'halving'\]; set decay",
    ):
        schedule(learning_rate=1e-3, steps=10, warmup=1, decay="linear")


def test_parts_learn_each_at_its_own_rate_as_if_they_were_alone():
    rates = {"field": lambda step: 0.1, "cameras": lambda step: 0.01 * (step + 1)}
    params = {"field": {"a": jnp.ones(3)}, "cameras": jnp.full(2, 5.0)}
    slopes = {"field": {"a": jnp.array([1.0, -2.0, 3.0])}, "cameras": jnp.array([-1.0, 4.0])}
    together = adam_by_part(rates)
    state = together.init(params)
    alone = {part: optax.adam(rate) for part, rate in rates.items()}
    states = {part: alone[part].init(params[part]) for part in rates}
    for _ in range(3):
        updates, state = together.update(slopes, state, params)
        for part in rates:
            expected, states[part] = alone[part].update(slopes[part], states[part])
            jax.tree.map(np.testing.assert_array_equal, updates[part], expected)


def test_part_that_learns_nothing_costs_nothing():
    state = adam_by_part({"field": lambda step: 0.1, "renderer": lambda step: 0.1}).init(
        {"field": jnp.ones(3), "renderer": {}}
    )
    assert sum(x.size for x in jax.tree.leaves(state) if x.ndim) == 6  # two moments of the field


def test_weight_decay_acts_on_what_is_painted_alone():
    params = {"field": {"shape": jnp.ones(2), "paint": jnp.ones(3)}, "cameras": jnp.ones(1)}
    painted = lambda field: {"shape": False, "paint": True}
    rates = {"field": lambda step: 0.1, "cameras": lambda step: 0.1}
    optimizer = adam_by_part(rates, painted, weight_decay=0.5)
    still = jax.tree.map(jnp.zeros_like, params)
    updates, _ = optimizer.update(still, optimizer.init(params), params)
    np.testing.assert_allclose(updates["field"]["paint"], -0.05, rtol=1e-6)
    assert not updates["field"]["shape"].any() and not updates["cameras"].any()
    assert len(optimizer.init(params)) > len(adam_by_part(rates, painted).init(params))
