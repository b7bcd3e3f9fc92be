import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.geometry import Rays
from neural_sdf.rendering import Rendering, surface
from neural_sdf.scenes import Batch
from neural_sdf.training.losses import LOSSES, Evidence, check_losses, sharpness
from neural_sdf.training.patches import Compared
from neural_sdf.training.probes import Known, Probes

SHARPNESS = 50.0  # before the first eighth of a run


def evidence_of(
    *,
    rendered,
    photo,
    hit,
    on_object,
    distance_min,
    gradients,
    distances=(0.0, 0.0),
    clear=0.0,
    weights=(0.0, 0.0),
    correlation=(1.0,) * 5,
) -> Evidence:
    """Of rays along z from the origin, which hit at depth 1 what faces them.

    The first probe is where a surface should be, to 0.1, the second where nothing should. Photos
    are compared at the first two rays, whose last neighbour does not count.
    """
    n = len(hit)
    hit = jnp.asarray(hit)
    rendering = Rendering(
        rgb=jnp.asarray(rendered, jnp.float32),
        opacity=hit.astype(jnp.float32),
        depth=jnp.ones(n),
        normal=jnp.tile(jnp.array([0.0, 0.0, -1.0]), (n, 1)),
        mask=hit,
        distance_min=jnp.asarray(distance_min, jnp.float32),
        gradients=jnp.zeros((n, 3)),
        watch={},
    )
    batch = Batch(
        view=jnp.zeros(n, jnp.int32),
        pixels=jnp.zeros((n, 2)),
        intrinsics=jnp.zeros((n, 3, 3)),
        scene_from_camera=jnp.zeros((n, 4, 4)),
        rgb=jnp.asarray(photo, jnp.float32),
        mask=jnp.asarray(on_object),
        surface=jnp.zeros(n),
        tolerance=jnp.zeros(n),
        clear=jnp.zeros(n),
        points=jnp.zeros((n // 2, 3)),
        point_weights=jnp.zeros(n // 2),
        keys=jax.random.split(jax.random.key(0), n),
    )
    along = jnp.tile(jnp.array([0.0, 0.0, 1.0]), (n, 1))
    return Evidence(
        rays=Rays(jnp.zeros((n, 3)), along),
        rendering=rendering,
        batch=batch,
        gradients=jnp.asarray(gradients, jnp.float32),
        share=jnp.float32(0),
        known=Known(jnp.zeros(n), jnp.full(n, 0.1), jnp.full(n, clear)),
        probes=Probes(
            points=jnp.zeros((2, 3)),
            tolerance=jnp.full(2, 0.1),
            on_surface=jnp.array([True, False]),
            in_clear=jnp.array([False, True]),
            off_object=jnp.array([False, True]),
            weights=jnp.asarray(weights, jnp.float32),
        ),
        distances=jnp.asarray(distances, jnp.float32),
        compared=Compared(
            jnp.tile(jnp.asarray(correlation, jnp.float32), (2, 1)),
            jnp.tile(jnp.array([True] * 4 + [False]), (2, 1)),
        ),
    )


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
        distances=[-0.3, -0.5],
        weights=[1.0, 3.0],
        clear=1.75,
        correlation=[-0.5, 0.75, 0.25, 0.5, 1.0],
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
    "agreed": (0.3 - 0.1 + 0.5) / 2,
    "off_object": 0.5 / 2,
    "sparse_points": (0.3 + 3 * 0.5) / (1 + 3),
    "in_front": (1.75 - 1 - 0.1) / 4,  # of the one ray that hits and should
    "alike": (0.25 + 0.5 + 0.75) / 3 / 2,  # of that ray's three most alike; two are compared
}


def test_every_loss_has_a_value_by_hand():
    assert set(BY_HAND) == set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
def test_loss_is_its_value_by_hand(mixed, name):
    np.testing.assert_allclose(LOSSES[name].value(mixed), BY_HAND[name], rtol=1e-5)


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
    np.testing.assert_allclose(LOSSES[name].value(perfect), 0.0, atol=1e-12)


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
        return LOSSES[name].value(evidence)

    # Equal colours, a field value far beyond exp's range and a vanishing gradient are the corners.
    inputs = (jnp.full((3, 3), 0.5), jnp.array([0.0, 100.0, -100.0]), jnp.zeros((2, 3)))
    value, gradient = jax.value_and_grad(loss)(inputs)
    assert np.isfinite(value)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize(("ray", "sign"), [(1, -1), (2, 1), (3, -1)])
def test_mask_loss_pulls_missing_object_rays_in_and_pushes_background_rays_out(mixed, ray, sign):
    def loss(distance_min):
        rendering = mixed.rendering._replace(distance_min=distance_min)
        return LOSSES["mask"].value(mixed._replace(rendering=rendering))

    slope = jax.grad(loss)(mixed.rendering.distance_min)
    assert slope[0] == 0
    assert np.sign(slope[ray]) == sign


@pytest.mark.parametrize("steps", [8, 800, 5000])
def test_sharpness_doubles_after_each_eighth_from_50_to_1600(steps):
    eighths = jnp.arange(8) * (steps // 8)
    values = jax.vmap(lambda step: sharpness(step / steps))(eighths)
    assert values.tolist() == [50, 100, 200, 400, 800, 1600, 1600, 1600]


def test_unknown_loss_is_answered_with_those_that_exist(sphere_field):
    with pytest.raises(
        ValueError, match=r"loss name 'depth' is unknown; expected some of \['agreed', 'ali"
    ):
        check_losses(["colour", "depth"], surface(sphere_field))


def test_renderer_that_lacks_what_a_loss_needs_is_refused_by_name(sphere_field):
    blind = surface(sphere_field)._replace(gives=frozenset({"rgb", "mask"}))
    check_losses(["colour", "eikonal"], blind)
    with pytest.raises(ValueError, match=r"loss 'mask' needs distance_min, which this renderer"):
        check_losses(["colour", "mask"], blind)
