"""Light that bounces: a small path tracer on the tracer of the project, differentiable throughout.

The radiance along a ray is that of the rendering equation (Kajiya 1986), one random path a ray:

    L(x, ω) = E(x) + ∫ f(ω, ω') L(x', ω') cos θ' dω'.

A path is a chain of hits, and `tracing.trace` differentiates each of them with respect to params,
origin and direction, so that the chain rule runs through every bounce. Directions are functions of
fixed random numbers and of the normal (reparametrisation); with the lobe itself as the density the
weight of a bounce is the albedo alone.

What is left out of every derivative: visibility. Where the edge of a shadow, of the light or of a
silhouette moves, a point changes from lit to dark at once, and the derivative of an image has a
boundary term for that (Li et al. 2018). It is not in here: the derivative is that of
the picture with all edges held fast.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Int

from neural_sdf.geometry import Rays, clip_to_sphere
from neural_sdf.geometry.shapes import safe_norm
from neural_sdf.tracing import MISS, Hits, trace, value_and_normal

DIFFUSE = 0
"""Lambertian: the same radiance in all directions."""
MIRROR = 1
"""Perfect reflection."""
GLOSSY = 2
"""A lobe about the mirror direction, as wide as the roughness says."""

Environment = Float[ArrayLike, "..."] | Callable[[Array], Array]
# Least roughness: beyond an exponent of 2e6 single precision cannot tell a lobe from a mirror.
_LEAST_ROUGHNESS = 1e-3


class Material(NamedTuple):
    """What a surface does with light, at N points.

    Attributes:
        albedo: share of the light that is scattered, in [0, 1], [N, 3].
        emission: radiance it sends out by itself in every direction, [N, 3].
        kind: DIFFUSE, MIRROR or GLOSSY, [N].
        roughness: width of the lobe of what is GLOSSY, in (0, 1]; else unread, [N].
    """

    albedo: Float[Array, "N 3"]
    emission: Float[Array, "N 3"]
    kind: Int[Array, " N"]
    roughness: Float[Array, " N"]


class AreaLight(NamedTuple):
    """A parallelogram that shines from the side to which half_u × half_v points.

    It is no part of the signed distance. What meets its front ends there; from behind it is not
    there, and it casts no shadow.

    Attributes:
        centre: scene units, [3].
        half_u: from the centre to the middle of a side, [3].
        half_v: to the middle of a neighbouring side, [3].
        radiance: equal over the face and in all directions, [3].
    """

    centre: Float[Array, "3"]
    half_u: Float[Array, "3"]
    half_v: Float[Array, "3"]
    radiance: Float[Array, "3"]


class _Paths(NamedTuple):
    """The ends of all paths so far; what the loop carries."""

    rays: Rays
    throughput: Float[Array, "N 3"]  # product of the albedos
    radiance: Float[Array, "N 3"]  # collected
    alive: Bool[Array, " N"]
    specular: Bool[Array, " N"]  # whether the last bounce left the light to the next segment


def path_trace(
    key: Array,
    sdf: Callable[[Any, Array], Array],
    material: Callable[[Any, Array, Array, Array], Material],
    params: Any,
    rays: Rays,
    *,
    light: AreaLight | None,
    environment: Environment,
    radius: float,
    num_bounces: int,
    offset: float = 1e-3,
    dmin: float = 2e-3,
    max_steps: int = 256,
) -> Float[Array, "N 3"]:
    """Radiance along rays, linear, by one random path each with up to `num_bounces` reflections.

    Emission of surfaces and of the environment is collected wherever a path meets it. The area
    light is collected in one of two ways, never both: a diffuse point samples it (next-event
    estimation, with a shadow ray); a segment from the camera, a mirror or a glossy surface sees it.
    Paths are not ended at random: what more bounces would add is missing.

    Differentiable, in forward and reverse mode, with respect to params, rays, light and what
    `environment` depends on, without the boundary terms (see the module). Higher orders with JAX
    0.10: all but the outermost derivative in forward mode (`jax.grad` of a `jax.jvp`). Paths that
    get lost (too many steps, or a start within the surface) are absorbed; lost or not, values and
    gradients are finite.

    Args:
        key: one for all rays; the same key gives the same paths.
        sdf: distances [N] of points [N, 3], negative inside.
        material: (params, points [N, 3], unit normals [N, 3], directions [N, 3] towards the
            surface) -> Material.
        params: what both depend on.
        rays: from the camera, [N].
        light: in scene units, or None.
        environment: radiance of what meets nothing: a number, [3], or a function of directions
            [N, 3].
        radius: of a sphere about the origin that holds all surfaces; cameras and light may be
            outside of it.
        num_bounces: 0 shows only what shines by itself.
        offset: how far above a surface the next segment starts, along the normal, in scene units;
            above the error of a hit, below the smallest detail.
        dmin: least march step, see `tracing.trace`.
        max_steps: march steps before a path is lost. Rays that leave a plane at a small angle need
            most: with 256 steps 3 of 10 000 are lost over a length of 4.
    """
    march = functools.partial(trace, sdf, dmin=dmin, max_steps=max_steps)

    def segment(paths: _Paths, index: Array) -> tuple[_Paths, None]:
        light_key, lobe_key = jax.random.split(jax.random.fold_in(key, index))
        near, far, _ = clip_to_sphere(*paths.rays, radius)
        far = jnp.where(paths.alive, far, near)  # an empty stretch costs no steps
        hits = march(params, *paths.rays, near=near, far=far)
        at_light = _meets(light, paths.rays, hits) & paths.alive
        on_surface = hits.hit & paths.alive & ~at_light
        points, normals = _surface(sdf, params, paths.rays, hits)
        what = material(params, points, normals, paths.rays.directions)

        escaped = (hits.status == MISS) & paths.alive & ~at_light
        shining = jnp.where(on_surface[:, None], what.emission, 0.0)
        shining += jnp.where(escaped[:, None], _radiance_of(environment, paths.rays), 0.0)
        starts = points + offset * normals
        goes_on = on_surface & (index < num_bounces)
        if light is not None:
            shining += jnp.where((at_light & paths.specular)[:, None], light.radiance, 0.0)
            diffuse = goes_on & (what.kind == DIFFUSE)
            targets, share = _light_sample(light_key, light, points, normals)
            visible = _visible(march, params, starts, targets, diffuse & (share > 0), radius)
            received = jnp.where(diffuse & visible, share, 0.0)[:, None] * light.radiance
            shining += _lambertian(what.albedo) * received

        rays, above = _next_rays(lobe_key, paths.rays, starts, normals, what, goes_on)
        collected = paths.radiance + paths.throughput * shining
        throughput = jnp.where(goes_on[:, None], paths.throughput * what.albedo, 0.0)
        return _Paths(rays, throughput, collected, goes_on & above, what.kind != DIFFUSE), None

    # Reverse mode through a scan hoists what does not change from its loop and inlines custom_jvp
    # functions on the way (`_scan_known_hoisting`, jax 0.10.2; not 0.12.0): the rule of the hits is
    # gone when that derivative is differentiated again, and `implicit.root` refuses. An unrolled
    # loop would keep it, but its gradient took 120 s to compile for 7 segments, the scan's 7 s.
    paths, _ = lax.scan(segment, _first(rays), jnp.arange(num_bounces + 1))
    return paths.radiance


def _first(rays: Rays) -> _Paths:
    ones = jnp.ones_like(rays.origins)
    every = jnp.ones(len(ones), bool)
    return _Paths(Rays(*rays), ones, jnp.zeros_like(ones), every, every)


def _surface(
    sdf: Callable[[Any, Array], Array], params: Any, rays: Rays, hits: Hits
) -> tuple[Float[Array, "N 3"], Float[Array, "N 3"]]:
    """Points of the hits and their unit normals; where nothing is hit, any, without derivative."""
    points = rays.origins + hits.t[:, None] * rays.directions
    points = jnp.where(hits.hit[:, None], points, lax.stop_gradient(points))
    _, gradients = value_and_normal(functools.partial(sdf, params), points)
    return points, _unit(gradients)


def _meets(light: AreaLight | None, rays: Rays, hits: Hits) -> Bool[Array, " N"]:
    """Whether a ray meets the front of the light before any surface.

    With n = u × v the point of the plane at distance t is centre + a u + b v, where
    a = (x − centre) × v · n / |n|² and b = u × (x − centre) · n / |n|².
    """
    if light is None:
        return jnp.zeros_like(hits.hit)
    n = jnp.cross(light.half_u, light.half_v)
    slope = _dot(rays.directions, n)
    facing = slope < 0
    t = _dot(light.centre - rays.origins, n) / jnp.where(facing, slope, -1.0)
    x = rays.origins + t[:, None] * rays.directions - light.centre
    a = _dot(jnp.cross(x, light.half_v), n)
    b = _dot(jnp.cross(light.half_u, x), n)
    within = jnp.maximum(jnp.abs(a), jnp.abs(b)) <= _dot(n, n)
    # A ray that got lost shows nothing, neither the light.
    clear = jnp.where(hits.hit, t < hits.t, hits.status == MISS)
    return facing & (t > 0) & within & clear


def _radiance_of(environment: Environment, rays: Rays) -> Float[Array, "N 3"]:
    radiance = environment(rays.directions) if callable(environment) else environment
    return jnp.broadcast_to(jnp.asarray(radiance, rays.origins.dtype), rays.origins.shape)


def _lambertian(albedo: Float[Array, "N 3"]) -> Float[Array, "N 3"]:
    """Radiance per irradiance: what scatters `albedo` of the light evenly into cos θ dω."""
    return albedo / jnp.pi


def _light_sample(
    key: Array, light: AreaLight, points: Float[Array, "N 3"], normals: Float[Array, "N 3"]
) -> tuple[Float[Array, "N 3"], Float[Array, " N"]]:
    """A uniform point of the light for each surface point, and the irradiance by its radiance.

    That is cos θ cos θ_light / (distance² density), the density of points being 1 / area.
    """
    u, v = jax.random.uniform(key, (2, len(points), 1), points.dtype, -1.0, 1.0)
    targets = light.centre + u * light.half_u + v * light.half_v
    face = jnp.cross(light.half_u, light.half_v)
    ways = targets - points
    distance = safe_norm(ways)
    apart = distance > 0
    across = jnp.maximum(_dot(normals, ways), 0.0)  # distance · cos θ
    # The light's area is 4 |u × v|: times its cosine and the distance, 4 times this.
    faced = jnp.maximum(-_dot(ways, face), 0.0)
    return targets, jnp.where(apart, 4 * across * faced / jnp.where(apart, distance, 1.0) ** 4, 0.0)


def _visible(
    march: Callable[..., Hits],
    params: Any,
    starts: Float[Array, "N 3"],
    targets: Float[Array, "N 3"],
    wanted: Bool[Array, " N"],
    radius: float,
) -> Bool[Array, " N"]:
    """Whether the way is free, by a shadow ray where it is wanted; a ray that got lost is not."""
    params, starts, targets = lax.stop_gradient((params, starts, targets))
    directions = _unit(targets - starts)
    near, far, _ = clip_to_sphere(starts, directions, radius)
    far = jnp.minimum(far, safe_norm(targets - starts))
    hits = march(params, starts, directions, near=near, far=jnp.where(wanted, far, near))
    return hits.status == MISS


def _next_rays(
    key: Array,
    rays: Rays,
    starts: Float[Array, "N 3"],
    normals: Float[Array, "N 3"],
    what: Material,
    goes_on: Bool[Array, " N"],
) -> tuple[Rays, Bool[Array, " N"]]:
    """The rays after a bounce, and whether they leave the surface (a lobe may reach below it).

    The exponent that goes with a roughness α is 2/α² − 2 (Walter et al. 2007, section 5.2).
    """
    slope = _dot(rays.directions, normals)
    mirrored = rays.directions - 2 * slope[:, None] * normals
    diffuse, mirror = what.kind == DIFFUSE, what.kind == MIRROR
    roughness = jnp.where(what.kind == GLOSSY, what.roughness, 1.0)
    exponent = 2 / jnp.clip(roughness, _LEAST_ROUGHNESS, 1.0) ** 2 - 2
    axis = jnp.where(diffuse[:, None], normals, mirrored)
    scattered = _lobe(_on_sphere(key, starts), axis, jnp.where(diffuse, 1.0, exponent))
    directions = jnp.where(mirror[:, None], mirrored, scattered)
    above = _dot(directions, normals) > 0
    chosen = Rays(starts, directions)
    kept = (jnp.where(goes_on[:, None], *pair) for pair in zip(chosen, rays, strict=True))
    return Rays(*kept), above


def _on_sphere(key: Array, like: Float[Array, "N 3"]) -> Float[Array, "N 3"]:
    """Points spread evenly on the unit sphere."""
    height, turn = jax.random.uniform(key, (2, len(like)), like.dtype)
    height, turn = 2 * height - 1, 2 * jnp.pi * turn
    ring = jnp.sqrt(1 - height**2)
    return jnp.stack([ring * jnp.cos(turn), ring * jnp.sin(turn), height], axis=-1)


def _lobe(
    even: Float[Array, "N 3"], axis: Float[Array, "N 3"], exponent: Float[Array, " N"]
) -> Float[Array, "N 3"]:
    """Directions ω with density (e + 1)/(2π) (ω·axis)ᵉ, from even ones.

    For s even on the sphere (1 + s·axis)/2 is uniform in [0, 1] and independent of the turn of s
    about the axis. The first gives ω·axis by the inverse of its distribution, u^(1/(e + 1)), the
    second is kept. For e = 1 that is the direction of s + axis. No frame is needed, hence none that
    flips where a normal passes some fixed plane: ω is smooth in the axis but for s = −axis.
    """
    along = _dot(even, axis)
    # Not below the rounding of s·axis: the logarithm and its derivative stay finite.
    log_u = jnp.log(jnp.maximum((1 + along) / 2, jnp.finfo(even.dtype).eps)) / (exponent + 1)
    cosine = jnp.exp(log_u)
    sine_squared = -jnp.expm1(2 * log_u)
    turned = sine_squared > 0
    sine = jnp.where(turned, jnp.sqrt(jnp.where(turned, sine_squared, 1.0)), 0.0)
    side = _unit(even - along[:, None] * axis)
    return cosine[:, None] * axis + sine[:, None] * side


def _dot(first: Float[Array, "... 3"], second: Float[Array, "... 3"]) -> Float[Array, "..."]:
    """Inner products, as sums: a matrix product would be rounded to TF32 on some accelerators."""
    return jnp.sum(first * second, axis=-1)


def _unit(vectors: Float[Array, "N 3"]) -> Float[Array, "N 3"]:
    """Vectors of length 1; zero stays zero, with derivative zero."""
    length = safe_norm(vectors)[:, None]
    return vectors / jnp.where(length > 0, length, 1.0)
