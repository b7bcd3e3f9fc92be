"""What compared photos say, as points to ask the field at, and what becomes of it in a loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.geometry import clip_to_sphere
from neural_sdf.rendering import surface
from neural_sdf.scenes import CAMERAS, Batch, Depths, DeviceFeed
from neural_sdf.training.losses import LOSSES, Evidence
from neural_sdf.training.probes import known_along, probes
from tests.training.photo import photographed_ball


def batch_of_ball(depth: float, clear: float) -> Batch:
    """Of the ball's photo, whose every pixel on the ball is told one depth along the axis."""
    scene = photographed_ball()
    on_ball = scene.mask.reshape(1, 16, 16)
    maps = (np.where(on_ball, np.float32(x), np.float32(0)) for x in (depth, clear))
    known = Depths(*maps, np.array([0.01], np.float32), np.array(1, np.int32))
    return DeviceFeed(scene, 256, 0, known)(0)


def rays_of(batch: Batch):
    return CAMERAS["given"]().rays({}, batch)


def test_depths_along_the_axis_become_distances_along_the_rays():
    batch = batch_of_ball(2.5, 2.4)
    origins, directions = rays = rays_of(batch)
    known = known_along(batch, rays)
    on_ball = np.asarray(batch.mask)
    for distance, depth in ((known.surface, 2.5), (known.clear, 2.4)):
        ends = np.asarray(origins + distance[:, None] * directions)[on_ball]
        np.testing.assert_allclose(ends[:, 2], depth - 3, rtol=1e-5)
    assert not known.surface[~on_ball].any() and not known.clear[~on_ball].any()
    np.testing.assert_allclose(batch.tolerance[on_ball], 0.01 * 2.5**2, rtol=1e-5)


def test_probes_lie_on_rays_that_know_and_elsewhere_stay_where_they_are():
    batch = batch_of_ball(2.5, 2.4)
    rays = rays_of(batch)
    known = known_along(batch, rays)
    points, _, on_surface, in_clear, off_object, _ = probes(batch, rays, known, passing=True)
    count = len(batch.points)
    knows = np.asarray(batch.mask)[:count]
    even = np.arange(count) % 2 == 0
    np.testing.assert_array_equal(on_surface, knows & even)
    np.testing.assert_array_equal(in_clear, knows & ~even)
    _, _, meets = clip_to_sphere(*(x[:count] for x in rays))
    np.testing.assert_array_equal(off_object, ~knows & ~even & meets)
    stay = ~np.asarray(on_surface | in_clear | off_object)
    np.testing.assert_array_equal(points[stay], batch.points[stay])
    depths = np.asarray(points)[:, 2] + 3
    np.testing.assert_allclose(depths[np.asarray(on_surface)], 2.5, rtol=1e-5)
    clear = depths[np.asarray(in_clear)]
    assert clear.min() > 1.9 and clear.max() < 2.4 + 1e-5
    # Density as t itself: the median is at the root of a half of the way.
    assert 2.1 < np.median(clear) < 2.4


def test_rays_off_the_object_keep_to_themselves_where_no_loss_asks():
    batch = batch_of_ball(2.5, 2.4)
    known = known_along(batch, rays_of(batch))
    points, *_, off_object, _ = probes(batch, rays_of(batch), known, passing=False)
    knows = np.asarray(batch.mask)[: len(batch.points)]
    assert not off_object.any()
    np.testing.assert_array_equal(points[~knows], batch.points[~knows])


def test_probes_off_the_object_lie_all_along_their_rays_within_the_sphere():
    batch = batch_of_ball(2.5, 2.4)
    rays = rays_of(batch)
    points, *_, off_object, _ = probes(batch, rays, known_along(batch, rays), passing=True)
    off = np.flatnonzero(off_object)
    ahead = np.asarray(points)[off] - np.asarray(rays.origins)[off]
    along = np.sum(ahead * np.asarray(rays.directions)[off], axis=-1)
    np.testing.assert_allclose(ahead, along[:, None] * rays.directions[off], atol=1e-5)
    near, far, _ = clip_to_sphere(rays.origins[off], rays.directions[off])
    shares = (along - np.asarray(near)) / np.asarray(far - near)
    assert shares.min() > -1e-4 and shares.max() < 1 + 1e-4
    assert abs(np.mean(shares) - 0.5) < 0.15


def evidence_at(field, radius, shift, batch: Batch) -> Evidence:
    """Of the sphere of a radius, seen by the camera moved sideways."""
    pose = batch.scene_from_camera.at[:, 0, 3].add(shift)
    batch = batch._replace(scene_from_camera=pose)
    rays = rays_of(batch)
    params = {"field": {"radius": radius, "red": 0.2}}
    known = known_along(batch, rays)
    asked = probes(batch, rays, known, passing=True)
    distances, gradients, _ = field.surface(params["field"], asked.points)
    seen = surface(field).render(params, None, rays, batch.keys, jnp.zeros(()))
    return Evidence(rays, seen, batch, gradients, jnp.zeros(()), known, asked, distances)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ["agreed", "in_front", "sparse_points", "off_object"])
def test_gradient_by_shape_and_camera_is_that_of_finite_differences(sphere_field, name):
    """Of pixels well inside, so that no ray comes to hit or to miss within a difference."""
    batch = batch_of_ball(2.6, 2.9)
    middle = np.linalg.norm(np.asarray(batch.pixels) - 8, axis=-1) < 1
    at = np.resize(np.flatnonzero(middle), 64)
    double = lambda x: x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x
    batch = batch._replace(points=batch.rgb, point_weights=batch.surface)  # all of one length
    batch = jax.tree.map(double, jax.tree.map(lambda x: x[at], batch))
    batch = batch._replace(points=batch.points[:32], point_weights=jnp.arange(32) % 2.0)
    if name == "off_object":
        along = jnp.tile(jnp.linspace(-0.9, 0.9, 32)[:, None], 3)
        off = {"mask": jnp.zeros(64, bool), "points": along, "point_weights": jnp.zeros(32)}
        batch = batch._replace(**off)

    def value(radius, shift):
        evidence = evidence_at(sphere_field, radius, shift, batch)
        if name == "in_front":  # how a hit counts for its incidence is no part of the derivative
            fixed = evidence_at(sphere_field, 0.5, 0.01, batch).rendering.normal
            evidence = evidence._replace(rendering=evidence.rendering._replace(normal=fixed))
        return LOSSES[name].value(evidence)

    start = jnp.array([0.5, 0.01])
    slopes = jax.grad(lambda x: value(*x))(start)
    tangents = jax.jacfwd(lambda x: value(*x))(start)
    for i, unit in enumerate(1e-5 * jnp.eye(2)):
        expected = (value(*(start + unit)) - value(*(start - unit))) / 2e-5
        # No camera sees sparse points.
        assert abs(expected) > 1e-3 or (name == "sparse_points" and i == 1)
        np.testing.assert_allclose([slopes[i], tangents[i]], expected, rtol=2e-6)


def test_hits_in_the_clear_move_the_surface_alike_at_every_incidence(sphere_field):
    batch = batch_of_ball(3.5, 3.4)
    slope = jax.grad(
        lambda radius: LOSSES["in_front"].value(evidence_at(sphere_field, radius, 0.0, batch))
    )(0.58)
    evidence = evidence_at(sphere_field, 0.58, 0.0, batch)
    cosine = -jnp.sum(evidence.rendering.normal * evidence.rays.directions, axis=-1)
    before = (evidence.known.clear - evidence.rendering.depth) * cosine
    counts = evidence.rendering.mask & (before > evidence.known.tolerance) & batch.mask
    counts &= jnp.abs(cosine) > 0.06  # beyond, the derivative of a hit is held
    assert counts.sum() > 50
    np.testing.assert_allclose(slope, counts.mean(), rtol=2e-2)


def test_what_lies_within_the_tolerance_or_behind_is_left_alone(sphere_field):
    evidence = evidence_at(sphere_field, 0.5, 0.0, batch_of_ball(2.5, 2.3))
    assert LOSSES["in_front"].value(evidence) == 0
    near = evidence._replace(distances=jnp.where(evidence.probes.in_clear, 0.01, 0.05))
    assert LOSSES["agreed"].value(near) == 0
    assert LOSSES["agreed"].value(near._replace(distances=-2 * near.distances)) > 0


def test_guidance_ends_at_half_of_the_run(sphere_field):
    evidence = evidence_at(sphere_field, 0.58, 0.0, batch_of_ball(3.5, 3.4))
    for name in ("agreed", "in_front"):
        assert LOSSES[name].value(evidence._replace(share=jnp.float32(0.49))) > 0
        assert LOSSES[name].value(evidence._replace(share=jnp.float32(0.5))) == 0
