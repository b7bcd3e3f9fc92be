"""Measures what the project claims of its own speed and memory, on the machine it runs on.

    python scripts/benchmark.py [--json=benchmark.json]

Everything is measured in one process. What is compared runs alternately, one call of each a round,
and a ratio is taken within a round, so that other work on the machine does not favour one side:
medians over the rounds, with the least and the greatest.

gradient_time, gradient_memory: the gradient of a scalar loss of traced depths with respect to all
parameters, by the implicit function theorem (`tracing.trace`) and by automatic differentiation
through every step of sphere tracing, plain and rematerialised (`jax.checkpoint`). The field is a
fresh MLP of 4 layers of 128, which is a sphere. A beam of 2048 parallel rays covers it and a rim
around it; the loss is the mean depth over the inner rays, which all forms bring to the surface, so
that all compute the same derivative (gradient_difference). Every form evaluates the field 32 times
on all rays while marching: the rays that graze the rim keep the implicit form's loop going to its
limit, which is checked, and the whole batch is kept together (`smallest_batch`), as the others
must. The implicit form then also refines its hits (4 evaluations) and takes normals, which the
others do not.

gradient_time_N, gradient_memory_N: the same for N march steps instead of 32. The implicit form's
loop ends when every ray has ended, so that a greater limit than that costs it nothing.

memory_against_steps: the implicit form's memory for limits of 16, 64 and 256 march steps.

march: tracing the beam with the whole batch kept together, and with unfinished rays going on alone
in ever smaller batches, to the same values.

depth_map: the Jacobian of 1024 depths by the 6 numbers of a camera's motion, in forward mode (6
tangents at once), in reverse mode (1024 cotangents at once), and by the rule written out by hand;
parameters: the gradient of one number by all parameters of the field, in reverse mode, and one
tangent in forward mode, of which it would take as many as there are parameters.

complementarity: 256 problems with 8 unknowns each, with P-matrices, by `implicit.lcp` in one call
(double precision) and by a loop over a plain NumPy Lemke, which must agree; five calls in a row.

Memory is that of temporary buffers in the compiled program's own analysis: exact, without spread.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from absl import flags

from neural_sdf import launch

if TYPE_CHECKING:
    import numpy as np
    from jax import Array
    from jax.stages import Compiled

JSON = flags.DEFINE_string("json", "", "file to write the table to, as JSON")

NUM_RAYS = 2048
NUM_STEPS = 32
STEPS = (8, 16, 32, 64, 128)
NUM_ROUNDS = 7
DISTANCE = 2.0  # of the rays' origins from the sphere's centre; its radius is 0.6
FAR = 4.0


class Spread(NamedTuple):
    """Median of the rounds, with the least and the greatest."""

    median: float
    least: float
    greatest: float


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        key: its name in the table and in the JSON file: figure, then what was measured.
        value: in `unit`.
        unit: of the value; empty for a plain number.
        ratio: to the figure's first row, if that says something.
    """

    key: str
    value: Spread
    unit: str
    ratio: Spread | None = None


class Problem(NamedTuple):
    """What is differentiated; see this file's docstring.

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


def main() -> None:
    """Measures all figures, prints the table and writes the JSON file if one is asked for."""
    launch.check_backend()
    print("  ".join(f"{name} {value}" for name, value in machine().items()), flush=True)
    problem = sphere_problem()
    require_full_march(problem)
    rows = gradient(problem, NUM_STEPS)
    for num_steps in STEPS:
        rows += gradient(problem, num_steps, suffix=f"_{num_steps}")
    rows += memory_against_steps(problem) + marching(problem) + modes(problem) + complementarity()
    print(table(rows))
    if JSON.value:
        from neural_sdf.export import replace_file

        record = {"machine": machine()} | {row.key: as_record(row) for row in rows}
        replace_file(Path(JSON.value), (json.dumps(record, indent=2) + "\n").encode())


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
    import jax

    sdf, params, origins, directions, _ = problem

    def depths(smallest_batch: int) -> Compiled:
        depth = implicit_depth(NUM_STEPS, smallest_batch)
        traced = jax.jit(lambda *arguments: depth(sdf, *arguments))
        return traced.lower(params, origins, directions).compile()

    programs = {"together": depths(NUM_RAYS), "halving": depths(128)}
    times = alternating_times(programs, (params, origins, directions))
    return compare("march_time", times, "ms")


def modes(problem: Problem) -> list[Row]:
    """Forward against reverse mode, where outputs are many and where inputs are."""
    import jax
    import jax.numpy as jnp

    from neural_sdf.geometry import rigid_from_twist

    sdf, params, origins, directions, _ = problem
    inner = jnp.argsort(jnp.linalg.norm(origins[:, :2], axis=-1))[:1024]
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


def complementarity() -> list[Row]:
    """One call for a batch of complementarity problems, against a loop over them."""
    import jax
    import numpy as np

    from neural_sdf.implicit import lcp

    random = np.random.default_rng(0)
    A = random.normal(size=(256, 8, 8))
    M = A @ A.transpose(0, 2, 1) / 8 + 0.1 * np.eye(8) + (A - A.transpose(0, 2, 1)) / 2
    q = random.normal(size=(256, 8))

    def loop(M: Array, q: Array) -> np.ndarray:
        problems = zip(np.asarray(M), np.asarray(q), strict=True)
        return np.array([numpy_lemke(*problem) for problem in problems])

    with jax.enable_x64(True):
        problems = jax.device_put((M, q))
        batch = jax.jit(lambda M, q: lcp(M, q).z)
        if not np.abs(np.asarray(batch(*problems)) - loop(*problems)).max() < 1e-8:
            raise RuntimeError("implicit.lcp and the NumPy Lemke disagree; mend one of them")
        programs = {"batch": batch, "numpy_loop": loop}
        times = alternating_times(programs, problems, num_calls=5)
        return compare("complementarity", times, "ms")


def numpy_lemke(M: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The solution z of one solvable problem without ties, by Lemke's method in plain NumPy."""
    import numpy as np

    n = len(q)
    if q.min() >= 0:
        return np.zeros(n)
    tableau = np.hstack([np.eye(n), -M, -np.ones((n, 1)), q[:, None]])
    basis = np.arange(n)
    row, entering = int(np.argmin(q)), 2 * n
    while True:
        tableau[row] /= tableau[row, entering]
        others = np.arange(n) != row
        tableau[others] -= np.outer(tableau[others, entering], tableau[row])
        leaving, basis[row] = basis[row], entering
        if leaving == 2 * n:
            break
        entering = leaving + n if leaving < n else leaving - n
        column = tableau[:, entering]
        positive = column > 1e-12
        ratios = np.where(positive, tableau[:, -1] / np.where(positive, column, 1), np.inf)
        row = int(np.argmin(ratios))
    z = np.zeros(2 * n + 1)
    z[basis] = tableau[:, -1]
    return z[n : 2 * n]


def sphere_problem() -> Problem:
    """A fresh field, and a beam of parallel rays a little wider than its sphere."""
    import jax
    import jax.numpy as jnp

    from neural_sdf.fields import mlp

    field = mlp(width=128, depth=4)
    index = jnp.arange(NUM_RAYS) + 0.5
    radius = 0.66 * jnp.sqrt(index / NUM_RAYS)
    angle = jnp.pi * (1 + 5**0.5) * index  # a sunflower: evenly spread over the disc
    x, y = radius * jnp.cos(angle), radius * jnp.sin(angle)
    inner = (radius < 0.5).astype(jnp.float32)
    return Problem(
        sdf=field.sdf,
        params=field.init(jax.random.key(0)),
        origins=jnp.stack([x, y, jnp.full(NUM_RAYS, -DISTANCE)], axis=-1),
        directions=jnp.tile(jnp.array([0.0, 0.0, 1.0]), (NUM_RAYS, 1)),
        weights=inner / jnp.sum(inner),
    )


def require_full_march(problem: Problem) -> None:
    """Refuses a comparison in which the implicit form stops marching early or misses."""
    from neural_sdf.tracing import MAX_STEPS, trace

    sdf, params, origins, directions, weights = problem
    hits = trace(sdf, params, origins, directions, near=0.0, far=FAR, max_steps=NUM_STEPS)
    if not (hits.status == MAX_STEPS).any() or not hits.hit[weights > 0].all():
        raise RuntimeError(
            f"the rays do not use all of {NUM_STEPS} march steps, or inner ones miss; expected a "
            "fresh field that is a sphere of radius 0.6; mend sphere_problem"
        )


def implicit_depth(max_steps: int, smallest_batch: int = NUM_RAYS) -> Callable[..., Array]:
    """The package's own tracer, limited to `max_steps` march steps."""
    from neural_sdf.tracing import trace

    limits = {"near": 0.0, "far": FAR, "max_steps": max_steps, "smallest_batch": smallest_batch}

    def depth(sdf: Callable, params: Any, origins: Array, directions: Array) -> Array:
        return trace(sdf, params, origins, directions, **limits).t

    return depth


def unrolled_depth(num_steps: int, *, remat: bool) -> Callable[..., Array]:
    """Sphere tracing that is differentiated through each of its steps: what not to do."""
    import jax
    import jax.numpy as jnp

    def depth(sdf: Callable, params: Any, origins: Array, directions: Array) -> Array:
        def step(t: Array, _: None) -> tuple[Array, None]:
            return jnp.minimum(t + sdf(params, origins + t[:, None] * directions), FAR), None

        body = jax.checkpoint(step) if remat else step
        with jax.default_matmul_precision("highest"):  # as the tracer
            return jax.lax.scan(body, jnp.zeros(len(origins)), length=num_steps)[0]

    return depth


def compiled_gradient(depth: Callable[..., Array], problem: Problem) -> Compiled:
    """The compiled gradient of the weighted mean depth with respect to all parameters."""
    import jax
    import jax.numpy as jnp

    def loss(params: Any, origins: Array, directions: Array, weights: Array) -> Array:
        return jnp.sum(weights * depth(problem.sdf, params, origins, directions))

    return jax.jit(jax.grad(loss)).lower(*problem[1:]).compile()


def memory(compiled: Compiled) -> float:
    """Temporary memory of a compiled program, MiB."""
    analysis = compiled.memory_analysis()
    if analysis is None:
        raise RuntimeError("this backend tells no memory of a program; run with JAX_PLATFORMS=cpu")
    return analysis.temp_size_in_bytes / 2**20


def alternating_times(
    programs: Mapping[str, Callable[..., Any]], arguments: tuple[Any, ...], num_calls: int = 1
) -> dict[str, list[float]]:
    """Milliseconds a call of each program in every round, after one round that is not counted."""
    import jax

    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(1 + NUM_ROUNDS):
        for name, program in programs.items():
            start = time.perf_counter()
            for _ in range(num_calls):
                jax.block_until_ready(program(*arguments))
            times[name].append(1e3 * (time.perf_counter() - start) / num_calls)
    return {name: values[1:] for name, values in times.items()}


def difference(exact: Any, other: Any) -> float:
    """Norm of the difference of two trees of arrays over the norm of the first."""
    import jax
    import jax.numpy as jnp

    def norm(tree: Any) -> float:
        return float(jnp.sqrt(sum(jnp.sum(jnp.square(x)) for x in jax.tree.leaves(tree))))

    return norm(jax.tree.map(jnp.subtract, exact, other)) / norm(exact)


def compare(figure: str, values: dict[str, list[float]], unit: str) -> list[Row]:
    """Rows of values a round, each with its ratio to the first within the round."""
    first = next(iter(values.values()))
    return [
        Row(
            f"{figure}.{name}",
            spread(own),
            unit,
            spread([x / reference for x, reference in zip(own, first, strict=True)]),
        )
        for name, own in values.items()
    ]


def spread(values: list[float]) -> Spread:
    """Median, least and greatest."""
    import numpy as np

    return Spread(float(np.median(values)), min(values), max(values))


def table(rows: list[Row]) -> str:
    """All rows as text."""
    lines = [f"{'figure':<34}{'median':>10} {'unit':<5}{'(least to greatest)':>21}   ratio"]
    for row in rows:
        ratio = (
            "" if row.ratio is None else f"{row.ratio.median:6.2f}x  {_extent(row.ratio, '.2f')}"
        )
        value = f"{row.value.median:>10.4g} {row.unit:<5}{_extent(row.value, '.4g'):>21}"
        lines.append(f"{row.key:<34}{value}  {ratio}".rstrip())
    return "\n".join(lines)


def as_record(row: Row) -> dict[str, Any]:
    """A row for the JSON file."""
    ratio = None if row.ratio is None else row.ratio._asdict()
    return row.value._asdict() | {"unit": row.unit, "ratio": ratio}


def machine() -> dict[str, Any]:
    """What the figures depend on besides the code."""
    import jax

    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "backend": jax.default_backend(),
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
        "python": platform.python_version(),
    }


def _extent(value: Spread, form: str) -> str:
    """The spread, if there is one."""
    _, least, greatest = value
    return "" if least == greatest else f"({least:{form}} to {greatest:{form}})"


if __name__ == "__main__":
    launch.run(main)
