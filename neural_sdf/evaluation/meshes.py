"""A mesh against a reference surface."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import igl
import numpy as np
import trimesh
from jaxtyping import Float

from neural_sdf.export import Mesh, as_trimesh
from neural_sdf.geometry import coordinates
from neural_sdf.mistake import Doubt, Mistake

# Said beside the figure, since the word has several meanings.
CHAMFER = (
    "chamfer is the mean of the two directed means of the distance from points of one surface to"
    " the other, not squared; tools that add the two say twice as much"
)
FACTOR = 3.1  # between diagonals of bounding boxes: a foot for a metre is more
NEAR = 0.1  # of the larger diagonal, by which bounding boxes are widened to look whether they meet
LEAST_SHARED = 0.25  # of the smaller of these boxes
FSCORE_SHARE = 0.01  # of the reference's bounding-box diagonal: the F-score's distance


class MeshMetrics(NamedTuple):
    """How far two surfaces are apart; lengths in the units of the meshes.

    Attributes:
        chamfer: see `CHAMFER`.
        chamfer_relative: the same over the diagonal of the reference's bounding box.
        fscore: harmonic mean of the shares of either surface within 1 % of that diagonal of the
            other (Knapitsch et al. 2017), in [0, 1].
        normal_consistency: mean of both directions' mean cosine between the normal at a point and
            that of the nearest face, in [−1, 1]; signed, so an inside-out mesh scores −1.
    """

    chamfer: float
    chamfer_relative: float
    fscore: float
    normal_consistency: float


def compare_meshes(
    mesh: Mesh, reference: Mesh, *, num_samples: int = 200_000, seed: int = 0
) -> MeshMetrics:
    """Distances between two surfaces in the same frame.

    Points are drawn uniformly by area on each surface, and their distance to the other is exact
    (point to triangle), so a coarse tessellation is no error.

    Args:
        mesh: the surface to judge.
        reference: the true surface.
        num_samples: points on each.
        seed: of the samples.

    Raises:
        Mistake: if either has no area.
    """
    ours, theirs = _solid(mesh, "the mesh"), _solid(reference, "the reference")
    middle = theirs.bounds.mean(axis=0)
    for solid in (ours, theirs):  # no digit goes to where in the world they are
        solid.apply_translation(-middle)
    accuracy, accuracy_cosine = _distances(ours, theirs, num_samples, seed)
    completeness, completeness_cosine = _distances(theirs, ours, num_samples, seed + 1)
    chamfer = (accuracy.mean() + completeness.mean()) / 2
    diagonal = np.linalg.norm(theirs.extents)
    return MeshMetrics(
        chamfer=float(chamfer),
        chamfer_relative=float(chamfer / diagonal),
        fscore=fscore(accuracy, completeness, float(FSCORE_SHARE * diagonal)),
        normal_consistency=float((accuracy_cosine.mean() + completeness_cosine.mean()) / 2),
    )


def doubt_frame(mesh: Mesh, reference: Mesh) -> None:
    """Warns of a mesh that has not the size or the place of its reference.

    Neither is a failure of training, more likely, but other units, or another world.

    Args:
        mesh: the surface to judge.
        reference: the true surface.
    """
    boxes = np.stack([as_trimesh(surface).bounds for surface in (mesh, reference)])
    size = np.linalg.norm(boxes[:, 1] - boxes[:, 0], axis=-1)
    wide = boxes + NEAR * size.max() * np.array([[-1.0], [1.0]])
    shared = (wide[:, 1].min(axis=0) - wide[:, 0].max(axis=0)).clip(0).prod()
    least = (wide[:, 1] - wide[:, 0]).prod(axis=-1).min()
    if size.max() > FACTOR * size.min() or shared < LEAST_SHARED * least:
        middles = [coordinates(place, size.min()) for place in boxes.mean(axis=1)]
        told = (
            f"the mesh is {size[0]:.4g} from corner to corner of its bounding box, about"
            f" ({middles[0]}), the reference {size[1]:.4g}, about ({middles[1]}); expected one"
            " surface in the same units and frame, those of the photos' cameras"
        )
        warnings.warn(Doubt(told, remedy="see to those of <reference>"), stacklevel=1)


def fscore(
    accuracy: Float[np.ndarray, " N"], completeness: Float[np.ndarray, " M"], threshold: float
) -> float:
    """Harmonic mean of the shares of distances below a threshold, in [0, 1].

    Args:
        accuracy: from the mesh to the reference, [N].
        completeness: from the reference to the mesh, [M].
        threshold: in the units of the distances.
    """
    precision, recall = np.mean(accuracy < threshold), np.mean(completeness < threshold)
    total = precision + recall
    return float(2 * precision * recall / total) if total else 0.0


def _solid(mesh: Mesh, name: str) -> trimesh.Trimesh:
    """The mesh without triangles of no area, which have no normal."""
    solid = as_trimesh(mesh)
    proper = solid.area_faces > 0
    if not proper.any():
        raise Mistake(f"{name} has no area; expected a surface; check its file or the training")
    return as_trimesh(Mesh(mesh.vertices, mesh.faces[proper]))


def _distances(
    source: trimesh.Trimesh, target: trimesh.Trimesh, num_samples: int, seed: int
) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """Distance of random points of the source to the target, and the cosine of their normals."""
    points, faces = trimesh.sample.sample_surface(source, num_samples, seed=seed)[:2]
    squared, nearest, _ = igl.point_mesh_squared_distance(
        np.asarray(points, np.float64, order="C"),
        np.asarray(target.vertices, np.float64, order="C"),
        np.asarray(target.faces, np.int64, order="C"),
    )
    cosine = np.sum(
        _normals(source)[np.asarray(faces)] * _normals(target)[np.asarray(nearest)], axis=-1
    )
    return np.sqrt(squared), cosine


def _normals(mesh: trimesh.Trimesh) -> Float[np.ndarray, "F 3"]:
    """Unit face normals, from the corners: trimesh's own leaves out faces it finds too small."""
    corners = np.asarray(mesh.vertices)[np.asarray(mesh.faces)]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return normals / np.linalg.norm(normals, axis=-1, keepdims=True)
