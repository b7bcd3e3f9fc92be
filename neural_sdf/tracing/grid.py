"""What is already known of a field: coarse samples that let rays start near the surface.

Between samples the field is interpolated. With h the spacing, a field whose slope is at most L lies
no further below than the margin

    m = L h/2 + δ,

δ being how far it was seen to have moved since it was sampled: wherever the interpolated value
exceeds m there is no surface, and a ray walks on by the difference without asking the field.

L h/2 is what a trained network was seen to keep to, not a bound, which would be √3/2 L h: a plate
thinner than h/2 may hide between samples. A change of sign is still needed for a hit, so that a
wrong grid can hide a surface but never invent one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Int

from neural_sdf.tracing.march import PRECISION


class DistanceGrid(NamedTuple):
    """A field at the corners of cells that fill the cube [−1, 1]³.

    Only what touches the unit ball is kept up to date and used.

    Attributes:
        values: n samples along each axis, scene units, [n, n, n].
        drift: δ, the greatest change met by the last `refresh`, scene units, [].
    """

    values: Float[Array, "n n n"]
    drift: Float[Array, ""]


def sample_grid(
    sdf: Callable[[Any, Array], Array], params: Any, *, num_cells: int = 24
) -> DistanceGrid:
    """The grid of a field as it is: (num_cells + 1)³ evaluations.

    Args:
        sdf: distances [N] of points [N, 3].
        params: its parameters.
        num_cells: along each axis.
    """
    with jax.default_matmul_precision(PRECISION):
        values = sdf(params, jnp.asarray(_corners(num_cells)))
    return DistanceGrid(values.reshape((num_cells + 1,) * 3), jnp.zeros_like(values, shape=()))


def refresh(
    grid: DistanceGrid,
    sdf: Callable[[Any, Array], Array],
    params: Any,
    turn: Int[Array, ""],
    *,
    num_turns: int = 16,
) -> DistanceGrid:
    """The grid with every `num_turns`-th sample taken anew, and how far those had moved.

    They are spread evenly, so that a grid of another shape, or of the same shape long ago, is
    recognised by any turn: δ becomes large and `walk` keeps away from the grid as far.

    Args:
        grid: of an earlier state of the field.
        sdf: the field.
        params: its parameters now.
        turn: which samples, any number of at least 0: the step of a training.
        num_turns: turns after which each sample was taken anew, and no more often.
    """
    shape = grid.values.shape
    spread = jnp.asarray(_turns(shape[0] - 1, num_turns))[turn % num_turns]
    points = jnp.asarray(_corners(shape[0] - 1))[spread]
    with jax.default_matmul_precision(PRECISION):
        new = sdf(params, points)
    values = grid.values.reshape(-1)
    drift = jnp.max(jnp.abs(new - values[spread]))
    # Not max alone, which on some CPUs drops NaN.
    drift = jnp.where(jnp.isfinite(new).all(), drift, jnp.inf)
    return DistanceGrid(values.at[spread].set(new).reshape(shape), drift)


def walk(
    grid: DistanceGrid,
    origins: Float[Array, "N 3"],
    directions: Float[Array, "N 3"],
    near: Float[Array, " N"],
    far: Float[Array, " N"],
    *,
    lipschitz: float,
    num_steps: int = 16,
) -> tuple[Float[Array, " N"], Float[Array, " N"], Float[Array, " N"]]:
    """How far rays may go before the field must be asked.

    Args:
        grid: of the field.
        origins: scene units, [N, 3].
        directions: unit length, [N, 3].
        near: where rays begin, [N].
        far: where they end, [N].
        lipschitz: L.
        num_steps: walking ends after so many; where it ends does not matter to what is found.

    Returns:
        Where to start, `far` if there is no surface before it; where the least interpolated value
        was met; and that value: [N] each.
    """
    margin = lipschitz / (grid.values.shape[0] - 1) + grid.drift

    def step(_: ArrayLike, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        t, t_min, least = carry
        points = origins + t[:, None] * directions
        value = _interpolated(grid.values, points)
        # Samples further out are not kept up to date; rounding must not stop a ray at its near end.
        known = jnp.sum(points * points, axis=-1) < 1.001
        free = jnp.where(known, value - margin, 0.0) / lipschitz
        t_min = jnp.where(known & (value < least), t, t_min)
        least = jnp.where(known & (value < least), value, least)
        return jnp.where(free > 0, jnp.minimum(t + free, far), t), t_min, least

    nothing = jnp.full_like(near, jnp.inf)
    return lax.fori_loop(0, num_steps, step, (near, near, nothing))


def _interpolated(values: Float[Array, "n n n"], points: Float[Array, "N 3"]) -> Float[Array, " N"]:
    """Trilinear."""
    n = values.shape[0] - 1
    place = (points + 1) * (n / 2)
    cell = jnp.clip(jnp.floor(place).astype(jnp.int32), 0, n - 1)
    x, y, z = jnp.moveaxis(place - cell, -1, 0)
    i, j, k = jnp.moveaxis(cell, -1, 0)
    a = [[[values[i + p, j + q, k + r] for r in (0, 1)] for q in (0, 1)] for p in (0, 1)]
    b = [[low + z * (high - low) for low, high in row] for row in a]
    c = [low + y * (high - low) for low, high in b]
    return c[0] + x * (c[1] - c[0])


def _corners(n: int) -> Float[np.ndarray, "C 3"]:
    """All samples, in the order of the flattened values, float32."""
    indices = np.indices((n + 1,) * 3).reshape(3, -1).T
    return (indices * (2 / n) - 1).astype(np.float32)


def _turns(n: int, num_turns: int) -> Int[np.ndarray, "T m"]:
    """Which samples are taken at which turn: of those that touch the unit ball, each once."""
    reach = 1 + np.sqrt(3) * 2 / n
    touching = np.flatnonzero(np.linalg.norm(_corners(n), axis=-1) <= reach)
    mixed = np.random.default_rng(0).permutation(touching)
    return np.resize(mixed, (num_turns, -(-len(mixed) // num_turns))).astype(np.int32)
