"""Against closed forms; what is random has a fixed seed and its standard error beside it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.geometry import Rays
from neural_sdf.light import Material, path_trace, pathtrace
from neural_sdf.light.pathtrace import DIFFUSE, GLOSSY, MIRROR
from tests.cases import cases
from tests.light.scenes import (
    ball,
    directions_all_round,
    floor,
    lamp,
    paint,
    plates,
    rays_at,
    room,
    traced,
)


def test_convex_diffuse_body_in_a_constant_environment_shows_its_albedo():
    origins = 3 * directions_all_round(0, 512)
    targets = 0.7 * directions_all_round(1, 512)
    rays = Rays(origins, targets - origins)
    rays = rays._replace(
        directions=rays.directions / jnp.linalg.norm(rays.directions, axis=-1, keepdims=True)
    )
    seen = traced(ball, paint(0.3), 0.5, rays, environment=0.8, num_bounces=5)[:, 0]
    hit = np.isclose(seen, 0.3 * 0.8)
    assert 100 < hit.sum() < 412
    np.testing.assert_allclose(seen[~hit], 0.8)


@pytest.mark.parametrize("num_bounces", cases([2], [0, 1, 5]))
@pytest.mark.parametrize("kind", [DIFFUSE, MIRROR])
def test_furnace_gives_the_geometric_series(num_bounces, kind):
    rays = Rays(jnp.zeros((256, 3)), directions_all_round(2, 256))
    seen = traced(room, paint(0.6, 0.7, kind), 1.0, rays, num_bounces=num_bounces)
    expected = 0.7 * (1 - 0.6 ** (num_bounces + 1)) / (1 - 0.6)
    np.testing.assert_allclose(seen, expected, rtol=1e-5)


def between_plates(num_bounces):
    """Lower plate: albedo 1/2, black. Upper plate: albedo 1/2, shining 1. Seen from above."""

    def material(params, points, normals, directions):
        upper = points[:, 1:2] > 0.5
        return paint(0.5)(params, points, normals, directions)._replace(
            emission=jnp.where(upper, jnp.ones_like(points), 0.0)
        )

    rays = rays_at([0.0, 0.0, 0.0], [0.0, 0.5, 0.0], 2**12)
    seen = traced(
        plates, material, None, rays, num_bounces=num_bounces, radius=1e3, max_steps=1000
    )  # fmt: skip
    return np.asarray(seen)[:, 0]


@pytest.mark.parametrize(
    ("num_bounces", "expected"), cases([(3, 0.625)], [(0, 0.0), (1, 0.5), (2, 0.5)])
)
def test_two_parallel_plates_light_each_other(num_bounces, expected):
    """Each path gives the same; a few that leave at a small angle are lost (under 0.1 %)."""
    seen = between_plates(num_bounces)
    assert np.mean(np.isclose(seen, expected)) > 0.999
    np.testing.assert_allclose(seen.mean(), expected, rtol=1e-3)


@pytest.mark.slow
def test_ray_that_never_advances_fails_the_plates_but_not_the_furnace(monkeypatch):
    def stuck(key, rays, starts, normals, what, goes_on):
        return rays, jnp.ones_like(goes_on)

    monkeypatch.setattr(pathtrace, "_next_rays", stuck)
    test_furnace_gives_the_geometric_series(2, DIFFUSE)
    for num_bounces, expected in [(1, 0.5), (3, 0.625)]:
        with pytest.raises(AssertionError):
            test_two_parallel_plates_light_each_other(num_bounces, expected)


# ---- materials


def test_flat_mirror_shows_the_light_where_its_image_is():
    x, z = (
        axis.ravel()
        for axis in np.meshgrid(np.linspace(-0.4, 0.8, 31), np.linspace(-2.2, -1.2, 31))
    )
    origin, target = np.array([0.1, 1.2, -3.1]), np.stack([x, 0 * x, z], axis=-1)
    ways = target - origin
    directions = ways / np.linalg.norm(ways, axis=-1, keepdims=True)
    rays = Rays(jnp.tile(jnp.asarray(origin), (len(x), 1)), jnp.asarray(directions))
    seen = traced(floor, paint(0.9, kind=MIRROR), 0.0, rays, light=lamp(1.5, x=0.3, radiance=2.0))
    # The image of the light lies at height −1.5; a straight ray goes there.
    image = origin + ways * (1.2 + 1.5) / 1.2
    inset = 0.5 - np.maximum(np.abs(image[:, 0] - 0.3), np.abs(image[:, 2]))
    clear = np.abs(inset) > 0.01  # the offset from the surface moves the edge
    assert (inset > 0).sum() > 20
    np.testing.assert_allclose(seen[clear, 0], np.where(inset > 0, 1.8, 0.0)[clear], atol=1e-6)


@pytest.mark.slow
def test_glossy_surface_tends_to_a_mirror():
    rays = Rays(*(jnp.tile(x, (64, 1)) for x in rays_at([0.2, 0.0, 0.0], [1.0, 1.0, 0.5], 64)))
    sky = lambda directions: jnp.sin(3 * directions) + 1
    shown = lambda kind, roughness: traced(
        floor, paint(0.8, 0.0, kind, roughness), 0.0, rays, environment=sky
    )
    mirror = shown(MIRROR, 1.0)
    errors = [jnp.abs(shown(GLOSSY, a) - mirror).mean() for a in (0.3, 0.03, 0.003)]
    assert errors[0] > 5 * errors[1] > 25 * errors[2]
    assert errors[2] < 0.01


@pytest.mark.parametrize("exponent", [0.0, 1.0, 10.0, 1e4])
def test_lobe_is_a_power_of_the_cosine_about_its_axis(exponent):
    """E (ω·a)^m = (e + 1)/(e + m + 1), and no side is preferred."""
    key, count = jax.random.key(3), 2**16
    axis = jnp.tile(directions_all_round(4, 1), (count, 1))
    even = pathtrace._on_sphere(key, axis)
    lobe = np.asarray(pathtrace._lobe(even, axis, jnp.full(count, exponent)), np.float64)
    np.testing.assert_allclose(np.linalg.norm(lobe, axis=-1), 1, atol=1e-5)
    cosine = lobe @ np.asarray(axis[0], np.float64)
    for power in (1, 2, 4):
        expected = (exponent + 1) / (exponent + power + 1)
        error = (cosine**power).std() / 2**8
        assert abs(np.mean(cosine**power) - expected) < 4 * error + 1e-6
    side = lobe - cosine[:, None] * np.asarray(axis[0])
    assert np.all(np.abs(side.mean(axis=0)) < 4 * side.std(axis=0) / 2**8)
    covariance = side.T @ side / count
    sideways = np.eye(3) - np.outer(axis[0], axis[0])
    np.testing.assert_allclose(covariance, sideways * np.trace(covariance) / 2, atol=0.01)


def test_lobe_below_the_surface_is_absorbed():
    rays = rays_at([0.0, 0.0, 0.0], [1.0, 0.05, 0.0], 2**12)  # nearly along the floor
    seen = traced(floor, paint(1.0, 0.0, GLOSSY, 0.6), 0.0, rays, environment=1.0)[:, 0]
    assert set(np.unique(seen)) == {0.0, 1.0}
    assert 0.4 < seen.mean() < 0.9


# ---- the loop against a recursion of its own


@pytest.mark.usefixtures("x64")
def test_scan_is_the_recursion_with_closed_form_hits():
    """A round room with a mirror for a ceiling and a light, by NumPy; the random numbers shared."""
    key, count, depth = jax.random.key(5), 64, 4
    light = lamp(0.4, radiance=2.0)

    def material(params, points, normals, directions):
        kind = jnp.where(points[:, 1] > 0.6, MIRROR, DIFFUSE)
        albedo = 0.5 + 0.3 * jnp.sin(3 * points)
        return Material(albedo, 0.2 * points**2, kind, jnp.ones_like(points[:, 0]))

    def recursion(origins, directions, bounce, specular):
        light_key, lobe_key = jax.random.split(jax.random.fold_in(key, bounce))
        middle = -np.sum(origins * directions, axis=-1)
        t = middle + np.sqrt(middle**2 - np.sum(origins**2, axis=-1) + 1)
        to_plane = (0.4 - origins[:, 1]) / directions[:, 1]
        place = origins + to_plane[:, None] * directions
        lamp_first = (directions[:, 1] > 0) & (to_plane > 0) & (to_plane < t)
        lamp_first &= np.all(np.abs(place[:, ::2]) <= 0.5, axis=-1)
        points = origins + t[:, None] * directions
        normals = -points
        what = material(None, jnp.asarray(points), None, None)
        own = np.asarray(what.emission)
        if bounce < depth:
            diffuse = np.asarray(what.kind == DIFFUSE)
            u, v = np.asarray(jax.random.uniform(light_key, (2, count), minval=-1, maxval=1))
            ways = np.stack([0.5 * u, 0.4 + 0 * u, 0.5 * v], axis=-1) - points
            distance = np.linalg.norm(ways, axis=-1)
            cosine = np.maximum(np.sum(normals * ways, axis=-1), 0) / distance
            cosine_light = np.maximum(ways[:, 1], 0) / distance
            direct = np.where(diffuse, cosine * cosine_light / (np.pi * distance**2), 0)
            own = own + np.asarray(what.albedo) * 2 * direct[:, None]
            height, turn = np.asarray(jax.random.uniform(lobe_key, (2, count)))
            height, turn = 2 * height - 1, 2 * np.pi * turn
            ring = np.sqrt(1 - height**2)
            even = np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=-1)
            scattered = normals + even
            scattered /= np.linalg.norm(scattered, axis=-1, keepdims=True)
            mirrored = directions - 2 * np.sum(directions * normals, axis=-1)[:, None] * normals
            onward = np.where(diffuse[:, None], scattered, mirrored)
            starts = points + 1e-3 * normals
            own = own + np.asarray(what.albedo) * recursion(starts, onward, bounce + 1, ~diffuse)
        at_lamp = np.where(specular, 2.0, 0.0)[:, None]
        return np.where(lamp_first[:, None], at_lamp, own)

    rays = Rays(jnp.full((count, 3), 0.1), directions_all_round(6, count))
    settings = {"light": light, "environment": 0.0, "radius": 2.0, "num_bounces": depth}
    ours = jax.jit(lambda rays: path_trace(key, room, material, 1.0, rays, **settings))(rays)
    theirs = recursion(*map(np.asarray, rays), 0, np.ones(count, bool))
    np.testing.assert_allclose(ours, theirs, atol=1e-9)
