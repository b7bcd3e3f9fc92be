"""Hits against dense sampling: none is lost, and one that is would be told."""

import jax.numpy as jnp
import numpy as np
import pytest
from hits import dense_hits, differences, hit_differences

from neural_sdf.geometry import Rays

pytestmark = pytest.mark.slow

BESIDE = jnp.linspace(0.0, 0.9, 32)
RAYS = Rays(
    jnp.stack([BESIDE, 0 * BESIDE, 0 * BESIDE - 2], axis=-1),
    jnp.tile(jnp.array([0.0, 0.0, 1.0]), (32, 1)),
)


def ball(radius, points):
    return jnp.linalg.norm(points, axis=-1) - radius


def test_dense_hits_are_those_of_the_ball():
    hit, t, least = dense_hits(ball, jnp.float32(0.61), RAYS)
    beside, radius = np.asarray(BESIDE, np.float64), np.float64(np.float32(0.61))
    np.testing.assert_array_equal(hit, beside < radius)
    depth = 2 - np.sqrt(radius**2 - beside[hit] ** 2)
    np.testing.assert_allclose(t[hit], depth, atol=1e-9)
    np.testing.assert_allclose(least, beside - radius, atol=1e-3)


def test_no_hit_of_a_run_is_another(now):
    rows = {row.key: row.value.median for row in hit_differences(now, 64)}
    kinds = ("differ", "beyond_doubt", "depth_p99")
    assert set(rows) == {f"hits.{name}_{kind}" for name in ("step", "image") for kind in kinds}
    for name in ("step", "image"):
        assert rows[f"hits.{name}_differ"] == rows[f"hits.{name}_beyond_doubt"] == 0
        assert 0 <= rows[f"hits.{name}_depth_p99"] < 1e-5


def test_hits_that_a_coarse_march_steps_over_are_told():
    def sheet(_, points):  # thinner than the least step
        return jnp.abs(points[:, 2] + 0.5) - 7e-3

    march = {"dmin": 0.3, "max_steps": 40}
    rows = {row.key: row.value.median for row in differences("x", sheet, 0.0, RAYS, None, march)}
    assert rows["hits.x_differ"] > 10
    assert rows["hits.x_beyond_doubt"] > 10
