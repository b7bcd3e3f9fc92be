import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.geometry import Rays
from neural_sdf.rendering import Rendering
from neural_sdf.scenes import Batch
from neural_sdf.tracing import Hits
from neural_sdf.training import LOSSES
from neural_sdf.training.losses import Evidence

SHARPNESS = 50.0


def evidence_of(*, rendered, photo, hit, on_object, distance_min, gradients) -> Evidence:
    n = len(hit)
    zero, whole = jnp.zeros(n), jnp.zeros(n, jnp.int32)
    hit = jnp.asarray(hit)
    hits = Hits(zero, hit, zero, zero, zero, zero, whole, jnp.int32(0), whole)
    rendering = Rendering(
        rgb=jnp.asarray(rendered, jnp.float32),
        depth=zero,
        normal=jnp.zeros((n, 3)),
        mask=hit,
        distance_min=jnp.asarray(distance_min, jnp.float32),
        gradient=jnp.zeros((n, 3)),
        hits=hits,
    )
    rays = Rays(jnp.zeros((n, 3)), jnp.zeros((n, 3)))
    batch = Batch(rays, jnp.asarray(photo, jnp.float32), jnp.asarray(on_object))
    gradients = jnp.asarray(gradients, jnp.float32)
    return Evidence(rendering, batch, gradients, jnp.float32(SHARPNESS))


@pytest.fixture
def mixed() -> Evidence:
    """Four rays: right hit, wrong hit, wrong miss, right miss; two points for the eikonal term."""
    return evidence_of(
        rendered=[[0.5, 0.25, 1.0], [0.9, 0.9, 0.9], [1, 1, 1], [1, 1, 1]],
        photo=[[0.25, 0.5, 0.5], [0, 0, 0], [0.5, 0.5, 0.5], [0, 0, 0]],
        hit=[True, True, False, False],
        on_object=[True, False, True, False],
        distance_min=[0.0, -0.01, 0.02, 0.04],
        gradients=[[3.0, 0.0, 4.0], [0.0, 0.5, 0.0]],
    )


def cross_entropy(distance: float, inside: bool) -> float:
    """−log of the probability of the right answer, by its definition."""
    probability = 1 / (1 + np.exp(SHARPNESS * distance))
    return -np.log(probability if inside else 1 - probability)


BY_HAND = {
    "colour": (0.25 + 0.25 + 0.5) / 4,
    "eikonal": ((5 - 1) ** 2 + (0.5 - 1) ** 2) / 2,
    "mask": sum(
        [cross_entropy(-0.01, False), cross_entropy(0.02, True), cross_entropy(0.04, False)]
    )
    / (4 * SHARPNESS),
}


def test_every_loss_has_a_value_by_hand():
    assert set(BY_HAND) == set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
def test_loss_is_its_value_by_hand(mixed, name):
    np.testing.assert_allclose(LOSSES[name](mixed), BY_HAND[name], rtol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_loss_vanishes_at_the_perfect_answer(name):
    photo = [[0.2, 0.4, 0.6], [0.1, 0.1, 0.1], [1, 1, 1]]
    perfect = evidence_of(
        rendered=photo,
        photo=photo,
        hit=[True, True, False],
        on_object=[True, True, False],
        distance_min=[0.0, 0.0, 1.0],  # 50 times the width of the sigmoid away
        gradients=[[0.6, 0.8, 0.0], [0.0, 0.0, -1.0]],
    )
    np.testing.assert_allclose(LOSSES[name](perfect), 0.0, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("on_object", [True, False])
@pytest.mark.parametrize("hit", [True, False])
def test_gradient_is_finite_when_all_rays_hit_or_none(name, hit, on_object):
    def loss(inputs):
        rgb, distance_min, gradients = inputs
        evidence = evidence_of(
            rendered=rgb,
            photo=jnp.full((3, 3), 0.5),
            hit=[hit] * 3,
            on_object=[on_object] * 3,
            distance_min=distance_min,
            gradients=gradients,
        )
        return LOSSES[name](evidence)

    # Equal colours, a field value far beyond exp's range and a vanishing gradient are the corners.
    inputs = (jnp.full((3, 3), 0.5), jnp.array([0.0, 100.0, -100.0]), jnp.zeros((2, 3)))
    value, gradient = jax.value_and_grad(loss)(inputs)
    assert np.isfinite(value)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize(("ray", "sign"), [(1, -1), (2, 1), (3, -1)])
def test_mask_loss_pulls_missing_object_rays_in_and_pushes_background_rays_out(mixed, ray, sign):
    def loss(distance_min):
        rendering = mixed.rendering._replace(distance_min=distance_min)
        return LOSSES["mask"](mixed._replace(rendering=rendering))

    slope = jax.grad(loss)(mixed.rendering.distance_min)
    assert slope[0] == 0
    assert np.sign(slope[ray]) == sign
