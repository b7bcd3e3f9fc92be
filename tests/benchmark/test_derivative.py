"""The derivative of a hit, by the rule and by unrolling."""

import jax.numpy as jnp
import numpy as np
import pytest
from derivative import beam_on_a_sphere, gradient, marching, memory_against_steps, modes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def beam(sphere_field):
    larger = sphere_field._replace(init=lambda key: {"radius": jnp.float32(0.6)})
    return beam_on_a_sphere(larger, num_rays=256)


def medians(rows):
    assert all(np.isfinite(row.value).all() for row in rows)
    return {row.key: row.value.median for row in rows}


def test_unrolling_gives_the_same_gradient_and_keeps_every_step(beam):
    few, many = (medians(gradient(beam, n, suffix="_n")) for n in (16, 32))
    for form in ("unrolled", "unrolled_remat"):
        assert many[f"gradient_difference_n.{form}"] < 1e-2
        assert many[f"gradient_time_n.{form}"] > 0
    assert many["gradient_memory_n.unrolled"] > 1.5 * few["gradient_memory_n.unrolled"]
    assert many["gradient_memory_n.unrolled"] > 2 * many["gradient_memory_n.implicit"]


def test_memory_of_the_rule_does_not_grow_with_steps(beam):
    values = medians(memory_against_steps(beam))
    assert list(values) == [f"memory_against_steps.{n}_steps" for n in (16, 64, 256)]
    assert len(set(values.values())) == 1


def test_march_is_told_together_and_halving(beam):
    assert set(medians(marching(beam))) == {"march_time.together", "march_time.halving"}


def test_modes_are_told_by_task(beam):
    values = medians(modes(beam))
    ways = ("forward", "reverse", "by_hand")
    assert set(values) == {
        *(f"depth_map_{what}.{way}" for what in ("time", "memory") for way in ways),
        *("parameters_time.reverse", "parameters_time.forward_one_tangent", "parameters_count"),
    }
    assert values["depth_map_memory.reverse"] > values["depth_map_memory.forward"]
