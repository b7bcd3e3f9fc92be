"""The derivative of a hit: what the implicit function theorem saves over unrolling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.stages import Compiled
from measure import Row, alternating_times, compare, memory, spread

from neural_sdf.fields import Field
from neural_sdf.geometry import rigid_from_twist
from neural_sdf.tracing import MAX_STEPS, trace

NUM_STEPS = 32
STEPS = (8, 16, 32, 64, 128)
DISTANCE = 2.0  # of the rays' origins from the sphere's centre; its radius is 0.6
FAR = 4.0


class Problem(NamedTuple):
    """What is differentiated.

    Attributes:
        sdf: the field.
        params: its parameters.
        origins: of the rays, [N, 3].
        directions: unit length, [N, 3].
        weights: of the rays' depths in the loss, with sum 1, [N].
    """

    sdf: Callable[[Any, Array], Array]
    params: Any
    origins: Array
    directions: Array
    weights: Array


def gradients(problem: Problem) -> list[Row]:
    """The three forms against each other: at `NUM_STEPS` march steps, and how they grow with it."""
    require_full_march(problem)
    rows = gradient(problem, NUM_STEPS)
    for num_steps in STEPS:
        rows += gradient(problem, num_steps, suffix=f"_{num_steps}")
    return rows


def gradient(problem: Problem, num_steps: int, suffix: str = "") -> list[Row]:
    """Time and memory of the three forms of the gradient, and how far they differ."""
    compiled = {
        "implicit": compiled_gradient(implicit_depth(num_steps), problem),
        "unrolled": compiled_gradient(unrolled_depth(num_steps, remat=False), problem),
        "unrolled_remat": compiled_gradient(unrolled_depth(num_steps, remat=True), problem),
    }
    arguments = (problem.params, problem.origins, problem.directions, problem.weights)
    times = alternating_times(compiled, arguments)
    exact = compiled["implicit"](*arguments)
    return [
        *compare(f"gradient_time{suffix}", times, "ms"),
        *compare(
            f"gradient_memory{suffix}", {name: [memory(c)] for name, c in compiled.items()}, "MiB"
        ),
        *(
            Row(
                f"gradient_difference{suffix}.{name}",
                spread([difference(exact, c(*arguments))]),
                "",
            )
            for name, c in list(compiled.items())[1:]
        ),
    ]


def memory_against_steps(problem: Problem) -> list[Row]:
    """Memory of the implicit gradient, which the number of march steps must not change."""
    values = {
        f"{steps}_steps": [memory(compiled_gradient(implicit_depth(steps), problem))]
        for steps in (16, 64, 256)
    }
    return compare("memory_against_steps", values, "MiB")


def marching(problem: Problem) -> list[Row]:
    """What it saves to let unfinished rays go on alone."""
    sdf, params, origins, directions, _ = problem

    def depths(pieces: int) -> Compiled:
        depth = implicit_depth(NUM_STEPS, pieces)
        traced = jax.jit(lambda *arguments: depth(sdf, *arguments))
        return traced.lower(params, origins, directions).compile()

    programs = {"together": depths(1), "halving": depths(16)}
    times = alternating_times(programs, (params, origins, directions))
    return compare("march_time", times, "ms")


def modes(problem: Problem) -> list[Row]:
    """Forward against reverse mode, where outputs are many and where inputs are."""
    sdf, params, origins, directions, _ = problem
    inner = jnp.argsort(jnp.linalg.norm(origins[:, :2], axis=-1))[: len(origins) // 2]
    origins, directions = origins[inner], directions[inner]
    depth = implicit_depth(NUM_STEPS)

    def depth_map(twist: Array, params: Any) -> Array:
        motion = rigid_from_twist(twist)
        moved = origins @ motion[:3, :3].T + motion[:3, 3]
        return depth(sdf, params, moved, directions @ motion[:3, :3].T)

    def by_hand(twist: Array, params: Any) -> Array:
        """The motion of a fixed surface point in the camera's frame, over the slope: no field."""
        t = depth_map(twist, params)
        points = origins + t[:, None] * directions
        _, pullback = jax.vjp(lambda points: sdf(params, points), points)
        (normals,) = pullback(jnp.ones(len(points)))
        slopes = jnp.sum(normals * directions, axis=-1)
        turned = jnp.cross(points, normals)  # n · (ω × x) = ω · (x × n)
        return -jnp.concatenate([turned, normals], axis=-1) / slopes[:, None]

    def loss(params: Any, twist: Array) -> Array:
        return jnp.mean(depth_map(twist, params))

    def one_tangent(params: Any, twist: Array) -> Array:
        return jax.jvp(lambda params: loss(params, twist), (params,), (params,))[1]

    twist = jnp.zeros(6)
    jacobians = {
        name: jax.jit(f).lower(twist, params).compile()
        for name, f in (
            ("forward", jax.jacfwd(depth_map)),
            ("reverse", jax.jacrev(depth_map)),
            ("by_hand", by_hand),
        )
    }
    exact = jacobians["forward"](twist, params)
    for name, jacobian in jacobians.items():
        if not difference(exact, jacobian(twist, params)) < 1e-3:
            raise RuntimeError(f"the {name} Jacobian is another; mend the rule or this script")
    gradients = {
        name: jax.jit(f).lower(params, twist).compile()
        for name, f in (("reverse", jax.grad(loss)), ("forward_one_tangent", one_tangent))
    }
    return [
        *compare("depth_map_time", alternating_times(jacobians, (twist, params)), "ms"),
        *compare("depth_map_memory", {k: [memory(c)] for k, c in jacobians.items()}, "MiB"),
        *compare("parameters_time", alternating_times(gradients, (params, twist)), "ms"),
        Row("parameters_count", spread([float(sum(x.size for x in jax.tree.leaves(params)))]), ""),
    ]


def beam_on_a_sphere(field: Field, num_rays: int = 2048) -> Problem:
    """A fresh field, and a beam of parallel rays a little wider than the sphere that it is."""
    index = jnp.arange(num_rays) + 0.5
    radius = 0.66 * jnp.sqrt(index / num_rays)
    angle = jnp.pi * (1 + 5**0.5) * index  # a sunflower: evenly spread over the disc
    x, y = radius * jnp.cos(angle), radius * jnp.sin(angle)
    inner = (radius < 0.5).astype(jnp.float32)
    return Problem(
        sdf=field.sdf,
        params=field.init(jax.random.key(0)),
        origins=jnp.stack([x, y, jnp.full(num_rays, -DISTANCE)], axis=-1),
        directions=jnp.tile(jnp.array([0.0, 0.0, 1.0]), (num_rays, 1)),
        weights=inner / jnp.sum(inner),
    )


def require_full_march(problem: Problem) -> None:
    """Refuses a comparison in which the implicit form stops marching early or misses."""
    sdf, params, origins, directions, weights = problem
    hits = trace(sdf, params, origins, directions, near=0.0, far=FAR, max_steps=NUM_STEPS)
    if not (hits.status == MAX_STEPS).any() or not hits.hit[weights > 0].all():
        raise RuntimeError(
            f"the rays do not use all of {NUM_STEPS} march steps, or inner ones miss; expected a "
            "fresh field that is a sphere of radius 0.6; mend beam_on_a_sphere"
        )


def implicit_depth(max_steps: int, pieces: int = 1) -> Callable[..., Array]:
    """The package's own tracer; the last rays go on in batches of the whole over `pieces`."""

    def depth(sdf: Callable, params: Any, origins: Array, directions: Array) -> Array:
        limits = {"near": 0.0, "far": FAR, "smallest_batch": len(origins) // pieces}
        return trace(sdf, params, origins, directions, max_steps=max_steps, **limits).t

    return depth


def unrolled_depth(num_steps: int, *, remat: bool) -> Callable[..., Array]:
    """Sphere tracing that is differentiated through each of its steps: what not to do."""

    def depth(sdf: Callable, params: Any, origins: Array, directions: Array) -> Array:
        def step(t: Array, _: None) -> tuple[Array, None]:
            return jnp.minimum(t + sdf(params, origins + t[:, None] * directions), FAR), None

        body = jax.checkpoint(step) if remat else step
        with jax.default_matmul_precision("highest"):  # as the tracer
            return jax.lax.scan(body, jnp.zeros(len(origins)), length=num_steps)[0]

    return depth


def compiled_gradient(depth: Callable[..., Array], problem: Problem) -> Compiled:
    """The compiled gradient of the weighted mean depth with respect to all parameters."""

    def loss(params: Any, origins: Array, directions: Array, weights: Array) -> Array:
        return jnp.sum(weights * depth(problem.sdf, params, origins, directions))

    return jax.jit(jax.grad(loss)).lower(*problem[1:]).compile()


def difference(exact: Any, other: Any) -> float:
    """Norm of the difference of two trees of arrays over the norm of the first."""

    def norm(tree: Any) -> float:
        return float(jnp.sqrt(sum(jnp.sum(jnp.square(x)) for x in jax.tree.leaves(tree))))

    return norm(jax.tree.map(jnp.subtract, exact, other)) / norm(exact)
