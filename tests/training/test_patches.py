"""Photos compared where rays hit: alike on the true surface, with the derivative that says so."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.fields import Field
from neural_sdf.geometry import rigid_from_twist
from neural_sdf.rendering import surface
from neural_sdf.scenes import CAMERAS, Batch, DeviceFeed, Pyramid, Scene
from neural_sdf.scenes.synthetic import COARSELY_SPECKLED, Shoot, synthetic_scene
from neural_sdf.stereo import photo_pyramid, pyramid_shapes
from neural_sdf.training.losses import LOSSES, Evidence
from neural_sdf.training.patches import SHARE, Compared, compare
from neural_sdf.training.probes import known_along, probes

RADIUS = 0.5


@pytest.fixture(scope="module")
def scene() -> Scene:
    """A speckled ball."""
    ball = lambda points: jnp.linalg.norm(points, axis=-1) - RADIUS
    return synthetic_scene(Shoot(24, 0, (96, 96), COARSELY_SPECKLED, ball))


@pytest.fixture(scope="module")
def pyramid(scene) -> Pyramid:
    return photo_pyramid(scene, pyramid_shapes(len(scene.rgb), 24, 1e9))


@pytest.fixture(scope="module")
def batch(scene) -> Batch:
    return DeviceFeed(scene, 2048, 0)(0)


def evidence_at(
    field: Field, pyramid: Pyramid, batch: Batch, radius: float, share: float = 1.0
) -> Evidence:
    """Of the sphere of a radius."""
    rays_of = lambda batch: CAMERAS["given"]().rays({}, batch)
    rays, params = rays_of(batch), {"field": {"radius": radius, "red": 0.2}}
    seen = surface(field).render(params, None, rays, batch.keys, jnp.zeros(()))
    known = known_along(batch, rays)
    asked = probes(batch, rays, known, passing=False)
    distances, gradients, _ = field.surface(params["field"], asked.points)
    share = jnp.asarray(share)
    compared = compare(pyramid, rays_of, batch, rays, seen, share)
    return Evidence(rays, seen, batch, gradients, share, known, asked, distances, compared)


@functools.partial(jax.jit, static_argnums=0)
def compared_at(field, pyramid, batch, radius, share) -> Compared:
    return evidence_at(field, pyramid, batch, radius, share).compared


@functools.partial(jax.jit, static_argnums=0)
def loss_and_slope(field, pyramid, batch, radius):
    """At the end of a run, by the sphere's radius."""
    return jax.value_and_grad(
        lambda radius: LOSSES["alike"].value(evidence_at(field, pyramid, batch, radius))
    )(radius)


def test_photos_are_alike_on_the_true_surface_alone(sphere_field, pyramid, batch):
    at = {}
    for radius in (0.46, 0.5, 0.54):
        compared = compared_at(sphere_field, pyramid, batch, radius, 1.0).seen.any(axis=-1).mean()
        at[radius] = loss_and_slope(sphere_field, pyramid, batch, radius)[0] / compared
    assert at[0.5] < 0.65 * min(at[0.46], at[0.54])
    true = compared_at(sphere_field, pyramid, batch, RADIUS, 1.0)
    assert true.seen.mean() > 0.05
    assert np.median(true.correlation[true.seen]) > 0.4


def test_gradient_leads_to_the_true_surface(sphere_field, pyramid, batch):
    for radius, sign in ((0.47, -1), (0.49, -1), (0.51, 1), (0.53, 1)):
        assert sign * loss_and_slope(sphere_field, pyramid, batch, radius)[1] > 0.3


@pytest.mark.parametrize(("share", "level"), [(0.0, 2), (0.2, 1), (0.4, 0), (1.0, 0)])
def test_photos_are_compared_at_ever_larger_sizes(sphere_field, pyramid, batch, share, level):
    only = pyramid._replace(
        **{name: getattr(pyramid, name)[level:][:1] for name in ("offsets", "sizes", "blocks")}
    )
    found = compared_at(sphere_field, pyramid, batch, 0.52, share)
    expected = compared_at(sphere_field, only, batch, 0.52, 1.0)
    np.testing.assert_array_equal(found.seen, expected.seen)
    np.testing.assert_allclose(found.correlation, expected.correlation, atol=1e-5)


def test_only_the_first_rays_are_compared(sphere_field, pyramid, batch):
    found = compared_at(sphere_field, pyramid, batch, RADIUS, 1.0)
    assert len(found.seen) == len(batch.view) // SHARE
    assert not found.seen[~np.asarray(batch.mask)[: len(found.seen)]].any()


def test_what_no_photo_shows_counts_for_nothing(sphere_field, pyramid, batch):
    """Photos without an object, and hits on so small a ball that no patch keeps to it."""
    hidden = pyramid._replace(rgba=pyramid.rgba.at[:, 3].set(0))
    for photos, radius in ((hidden, RADIUS), (pyramid, 1e-3)):
        value, slope = loss_and_slope(sphere_field, photos, batch, radius)
        assert value == 0 and slope == 0


def test_the_three_most_alike_count(sphere_field, pyramid, batch):
    evidence = jax.jit(evidence_at, static_argnums=0)(sphere_field, pyramid, batch, RADIUS)
    count, neighbours = evidence.compared.seen.shape
    row = jnp.array([0.9, -1.0, 0.2, 0.8, 0.5, 1.0, 0.0, 0.7])
    seen = jnp.broadcast_to(jnp.arange(neighbours) != 5, (count, neighbours))
    compared = Compared(jnp.broadcast_to(row, (count, neighbours)), seen)
    hits = (evidence.rendering.mask & batch.mask)[:count].mean()
    value = LOSSES["alike"].value(evidence._replace(compared=compared))
    np.testing.assert_allclose(value, hits * (0.1 + 0.2 + 0.3) / 3, rtol=1e-5)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("share", [0.2, 1.0])
def test_gradients_by_shape_pose_and_intrinsics_are_those_of_finite_differences(
    sphere_field, pyramid, batch, share
):
    """Orders 1 and 2, forward and reverse, in double precision.

    Colours between pixels are smooth within a pixel alone: of many rays those are kept whose values
    the longest difference leaves on one smooth piece, as its two halves tell.
    """
    double = lambda x: x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x
    batch, pyramid = jax.tree.map(double, (batch, pyramid))

    batch = jax.tree.map(lambda x: x[:512], batch._replace(points=batch.rgb))
    batch = batch._replace(points=batch.points[:256], point_weights=batch.point_weights[:256])

    def costs(x):
        """1 − correlation with the first two neighbours, by radius, pose (6), focal and centre."""
        focal = jnp.array([1 + x[7], 1 + x[8], 1.0])[:, None]
        centre = jnp.zeros((3, 3)).at[:2, 2].set(x[9:11])
        moved = batch._replace(
            intrinsics=batch.intrinsics * focal + centre,
            scene_from_camera=batch.scene_from_camera @ rigid_from_twist(x[1:7]),
        )
        found = evidence_at(sphere_field, pyramid, moved, RADIUS + 0.01 + x[0], share).compared
        return 1 - found.correlation[:, :2], found.seen[:, :2]

    @jax.jit
    def look(h, direction):
        return costs(h * direction)

    def total(h, direction, weights):
        return jnp.sum(weights * costs(h * direction)[0])

    reverse = jax.jit(jax.grad(total))
    others = jax.jit(
        lambda *at: (
            jax.jacfwd(total)(*at),
            jax.jacfwd(jax.grad(total))(*at),
            jax.hessian(total)(*at),
        )
    )
    h, random = 1e-5, np.random.default_rng(1)
    for direction in [*np.eye(11)[[0, 1, 4, 7, 9]], random.normal(size=11) / 4]:
        at = {k: look(k * h, direction)[0] for k in (-2, -1, 0, 1, 2)}
        bends = [(at[k] - 2 * at[0] + at[-k]) / (k * h) ** 2 for k in (1, 2)]
        smooth = look(0.0, direction)[1] & (abs(bends[0] - bends[1]) < 1e-3 * (1 + abs(bends[0])))
        assert smooth.sum() > 8
        weights = smooth / smooth.sum()
        sums = {k: jnp.sum(weights * value) for k, value in at.items()}
        first = (8 * (sums[1] - sums[-1]) - (sums[2] - sums[-2])) / (12 * h)
        slope = reverse(0.0, direction, weights)
        forward, *second = others(0.0, direction, weights)
        np.testing.assert_allclose([slope, forward], first, rtol=1e-6)
        bend = (reverse(h, direction, weights) - reverse(-h, direction, weights)) / (2 * h)
        np.testing.assert_allclose(second, bend, rtol=1e-5)
