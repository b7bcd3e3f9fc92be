"""What training makes small. Every loss is a pure function of one step's evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from neural_sdf.geometry import Rays
from neural_sdf.geometry.shapes import safe_norm
from neural_sdf.mistake import Mistake
from neural_sdf.rendering import Renderer, Rendering
from neural_sdf.scenes import Batch
from neural_sdf.training.patches import Compared
from neural_sdf.training.probes import Known, Probes

MOST_ALIKE = 3  # neighbours of a photo that count
GUIDED = 0.5  # share of the run in which compared photos say where the surface is


class Evidence(NamedTuple):
    """What one training step knows.

    Attributes:
        rays: of the batch, [N].
        rendering: of them, [N].
        batch: the photos' pixels, [N].
        gradients: of the field at points where the eikonal equation should hold, [M, 3].
        share: of the run that is done, in [0, 1], [].
        known: what other photos say of the rays, [N].
        probes: points in space, [P].
        distances: the field there, [P].
        compared: photos with each other at the first hits; None if no loss asks for it.
    """

    rays: Rays
    rendering: Rendering
    batch: Batch
    gradients: Float[Array, "M 3"]
    share: Float[Array, ""]
    known: Known
    probes: Probes
    distances: Float[Array, " P"]
    compared: Compared | None = None


class Loss(NamedTuple):
    """One term of what is made small.

    Attributes:
        value: evidence -> mean over the rays, or over what else it is about, [].
        needs: fields of `Rendering` that not every renderer gives.
    """

    value: Callable[[Evidence], Float[Array, ""]]
    needs: frozenset[str] = frozenset()


def colour(evidence: Evidence) -> Float[Array, ""]:
    """L1 distance of colours where a ray both hits and should (IDR, Yariv et al. 2020, eq. 6).

    Summed over channels and divided by the number of all rays, in units of [0, 1] colour.
    """
    rendering, batch = evidence.rendering, evidence.batch
    both = rendering.mask & batch.mask
    error = jnp.sum(jnp.abs(rendering.rgb - batch.rgb), axis=-1)
    return jnp.mean(jnp.where(both, error, 0.0))


def eikonal(evidence: Evidence) -> Float[Array, ""]:
    """Mean of (|∇f| − 1)², which makes f a distance (Gropp et al. 2020, eq. 2)."""
    return jnp.mean((safe_norm(evidence.gradients) - 1) ** 2)


def mask(evidence: Evidence) -> Float[Array, ""]:
    """Cross-entropy of the silhouette, 1/α · BCE(sigmoid(−α f_min), mask) (IDR, eq. 7).

    Over the rays that are not both hit and on the object, divided by the number of all rays; f_min
    is the least value met along the ray, in scene units. It pulls the surface towards object rays
    that miss it and pushes it off background rays that hit it.
    """
    rendering, batch = evidence.rendering, evidence.batch
    assert rendering.distance_min is not None
    alpha = sharpness(evidence.share)
    logit = -alpha * rendering.distance_min
    cross_entropy = jax.nn.softplus(jnp.where(batch.mask, -logit, logit))
    counts = ~(rendering.mask & batch.mask)
    return jnp.mean(jnp.where(counts, cross_entropy, 0.0)) / alpha


def agreed(evidence: Evidence) -> Float[Array, ""]:
    """Mean of |f| where photos agree on a surface, and of max(−f, 0) where they agree on nothing.

    Over all probes; zero of those of which nothing is known. An L1 norm, since some agree wrongly.
    """
    probes, distances = evidence.probes, evidence.distances
    wrong = jnp.where(probes.in_clear, jax.nn.relu(-distances), 0.0)
    wrong = jnp.where(probes.on_surface, jax.nn.relu(jnp.abs(distances) - probes.tolerance), wrong)
    return _guiding(evidence) * jnp.mean(wrong)


def off_object(evidence: Evidence) -> Float[Array, ""]:
    """Mean of max(−f, 0) along rays that masks say pass the object, over all probes.

    Off the visual hull nothing is kept, however small: the mask loss knows only what a ray hits.
    """
    wrong = jnp.where(evidence.probes.off_object, jax.nn.relu(-evidence.distances), 0.0)
    return jnp.mean(wrong)


def sparse_points(evidence: Evidence) -> Float[Array, ""]:
    """Mean of |f| at the object's sparse points, by their weights, as in Geo-NeuS (Fu et al. 2022).

    An L1 norm, which their median error fits and few that are far off cannot bend.
    """
    weights = evidence.probes.weights
    wrong = jnp.sum(weights * jnp.abs(evidence.distances))
    return _guiding(evidence) * wrong / jnp.maximum(jnp.sum(weights), 1e-6)


def in_front(evidence: Evidence) -> Float[Array, ""]:
    """How far hits lie before the end of what is clear, scene units, divided by all rays.

    It moves a surface back to where photos can agree, however far: colour at a hit knows no way
    from the hull of the outlines into a hollow.
    """
    rendering, known = evidence.rendering, evidence.known
    counts = rendering.mask & evidence.batch.mask
    cosine = jnp.abs(jnp.sum(rendering.normal * evidence.rays.directions, axis=-1))
    before = (known.clear - rendering.depth) * jax.lax.stop_gradient(cosine)
    return _guiding(evidence) * jnp.mean(
        jnp.where(counts, jax.nn.relu(before - known.tolerance), 0.0)
    )


def alike(evidence: Evidence) -> Float[Array, ""]:
    """1 − the correlation of photos at a hit, mean over the rays that were compared.

    Of a hit the three photos most like its own count, since an occluded one is like none; Geo-NeuS
    (Fu et al. 2022) takes the best four.
    """
    assert evidence.compared is not None
    correlation, seen = evidence.compared
    count = len(correlation)
    hits = (evidence.rendering.mask & evidence.batch.mask)[:count]
    costs = jnp.sort(jnp.where(seen, 1 - correlation, jnp.inf), axis=-1)[:, :MOST_ALIKE]
    counts = hits[:, None] & jnp.isfinite(costs)
    return jnp.sum(jnp.where(counts, costs, 0.0)) / (MOST_ALIKE * count)


def _guiding(evidence: Evidence) -> Float[Array, ""]:
    """Whether compared photos still say where the surface is, 0 or 1; later colour is finer."""
    return jnp.where(evidence.share < GUIDED, 1.0, 0.0)


def sharpness(share: Float[Array, ""]) -> Float[Array, ""]:
    """α of the mask loss, 1 / scene units: 50, doubled after each eighth of the run, as in IDR."""
    return 50.0 * 2.0 ** jnp.minimum(jnp.floor(8 * share), 5)


LOSSES = {
    "colour": Loss(colour),
    "eikonal": Loss(eikonal),
    "mask": Loss(mask, needs=frozenset({"distance_min"})),
    "agreed": Loss(agreed),
    "in_front": Loss(in_front),
    "alike": Loss(alike),
    "off_object": Loss(off_object),
    "sparse_points": Loss(sparse_points),
}
GUIDES = frozenset({"agreed", "in_front"})
"""Losses that compared photos give what they know (`neural_sdf.stereo`)."""
OFF_OBJECT = frozenset({"off_object"})
"""Losses about rays that pass the object, along which points are asked for their distance."""
SPARSE = frozenset({"sparse_points"})
"""Losses for which a batch holds sparse points of the object."""
COMPARING = frozenset({"alike"})
"""Losses for which a step compares photos itself, of a `Pyramid`."""


def check_losses(names: Iterable[str], renderer: Renderer) -> None:
    """Refuses losses that do not exist, or that need what a renderer does not give.

    Raises:
        Mistake: names the loss.
    """
    for name in names:
        if name not in LOSSES:
            raise Mistake(
                f"loss name {name!r} is unknown; expected some of {sorted(LOSSES)}",
                setting="weights",
            )
        absent = sorted(LOSSES[name].needs - renderer.gives)
        if absent:
            raise Mistake(
                f"loss {name!r} needs {', '.join(absent)}, which this renderer does not give; "
                "expected one that does",
                setting=(f"weights.{name}", "render.name"),
            )
