"""The surface of a checkpoint as a mesh file."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from neural_sdf.experiment.workdir import load_trained
from neural_sdf.export import (
    COARSE,
    MeshSummary,
    colour_vertices,
    describe,
    extract_mesh,
    fill_cavities,
    mesh_memory,
    read_mesh,
    require_memory,
    require_writer,
    share_on_sphere,
    to_world,
    write_mesh,
)
from neural_sdf.geometry import coordinates
from neural_sdf.launch import check_backend
from neural_sdf.machine.memory import gib, host_memory


def export_mesh(
    workdir: str | Path, output: str | Path, *, resolution: int = 256, step: int | None = None
) -> MeshSummary:
    """Writes the trained surface, coloured, in the photos' world frame, and prints what it is like.

    The colour of a vertex is the radiance along its normal. What is printed and given is said of
    the file, read back.

    Args:
        workdir: of `train`.
        output: mesh file; its suffix chooses the format.
        resolution: cells across the unit sphere.
        step: of the checkpoint; the latest if None.

    Raises:
        Mistake: an unknown suffix, or one that cannot hold the world's coordinates; no such workdir
            or checkpoint, or a field without a surface; or more memory needed than is free.
    """
    check_backend()
    output = Path(output)
    require_writer(output)
    trained = load_trained(workdir, step)
    field, params = trained.field, trained.params["field"]

    @jax.jit
    def shade(params: Any, points: Array) -> Array:
        _, gradients, features = field.surface(params, points)
        lengths = jnp.maximum(jnp.linalg.norm(gradients, axis=-1, keepdims=True), 1e-6)
        return field.radiance(params, points, gradients, -gradients / lengths, features)

    foretell_memory(field.sdf, params, resolution)
    mesh, num_cavities = fill_cavities(extract_mesh(field.sdf, params, resolution=resolution))
    if num_cavities:
        print(f"cavities closed on all sides, which no photo shows, are filled: {num_cavities}")
    mesh = colour_vertices(mesh, functools.partial(shade, params))
    on_sphere = share_on_sphere(mesh)
    mesh = to_world(mesh, trained.world_from_scene)
    write_mesh(output, mesh)
    summary = describe(read_mesh(output))
    print(f"{output}: {_mesh_sentence(summary, on_sphere)}")
    return summary


def foretell_memory(sdf: Callable[[Any, Array], Array], params: Any, resolution: int) -> None:
    """Prints what a field's mesh takes, where that may be much; nothing where no memory is known.

    Raises:
        Mistake: it takes more than is free; names the largest resolution that does not.
    """
    available = host_memory()
    if resolution <= COARSE or available is None:
        return
    needed = mesh_memory(sdf, params)
    require_memory(needed, resolution, available)
    taken = f"{gib(needed(resolution))} of {gib(available)}"
    print(f"a mesh of resolution {resolution} takes about {taken}", flush=True)


def _mesh_sentence(summary: MeshSummary, on_sphere: float) -> str:
    size = max(np.subtract(summary.upper, summary.lower))
    corners = " to ".join(f"({coordinates(corner, size)})" for corner in summary[-2:])
    cut = f"; {on_sphere:.1%} of it lies on the bounding sphere" if on_sphere else ""
    return (
        f"{summary.num_vertices} vertices, {summary.num_faces} faces, "
        f"{summary.num_components} components, "
        f"{'watertight' if summary.watertight else 'not watertight'}, world extent {corners}{cut}"
    )
