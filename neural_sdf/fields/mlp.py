"""The multi-layer perceptrons of IDR (Yariv et al. 2020, appendix B), of any size."""

from __future__ import annotations

import functools

import jax.numpy as jnp
from flax import nnx
from jax import Array

from neural_sdf.fields.activations import ACTIVATIONS
from neural_sdf.fields.encodings import positional_encoding
from neural_sdf.fields.field import Field, field_from_module
from neural_sdf.fields.networks import (
    Appearance,
    Dense,
    Geometry,
    Network,
    NormedDense,
    check_octaves,
    check_radius,
    check_sizes,
    normal_kernels,
)
from neural_sdf.mistake import Mistake


def mlp(
    *,
    width: int = 128,
    depth: int = 4,
    skip: int = 2,
    num_features: int = 64,
    num_octaves: int = 6,
    radius: float = 0.6,
    radiance_width: int = 128,
    radiance_depth: int = 2,
    point_octaves: int = 0,
    direction_octaves: int = 4,
    weight_norm: bool = False,
    activation: str = "squareplus",
) -> Field:
    """A smooth network for distance and feature, and a ReLU network for colour.

    Args:
        width: of the hidden layers.
        depth: how many of them.
        skip: the encoded point is given again before this hidden layer; 0 for never.
        num_features: F.
        num_octaves: of the encoding of the point.
        radius: of the sphere that a fresh field is, scene units.
        radiance_width: of the colour network's hidden layers.
        radiance_depth: how many of them.
        point_octaves: of the encoding of the point for the colour network; IDR gives it raw.
        direction_octaves: of the encoding of the direction.
        weight_norm: whether each neuron's weights are a length times a direction (Salimans and
            Kingma 2016).
        activation: of the distance network: "softplus" as in IDR, or "squareplus", which costs
            hardly more than a ReLU.

    Raises:
        Mistake: sizes that make no network, no sphere to start from, or an unknown activation.
    """
    if activation not in ACTIVATIONS:
        raise Mistake(
            f"field activation {activation!r} is unknown; expected one of {sorted(ACTIVATIONS)}",
            setting="activation",
        )
    sizes = {
        "width": width,
        "depth": depth,
        "num_features": num_features,
        "radiance_width": radiance_width,
        "radiance_depth": radiance_depth,
    }
    check_sizes(sizes)
    check_octaves(
        {
            "num_octaves": num_octaves,
            "point_octaves": point_octaves,
            "direction_octaves": direction_octaves,
        }
    )
    check_radius(radius)
    num_inputs = 3 * (1 + 2 * num_octaves)
    if skip and not (0 < skip < depth and width > num_inputs):
        raise Mistake(
            f"field skip is {skip} with depth {depth} and width {width}; expected a hidden layer "
            f"in 1..{depth - 1} and a width above the encoded point's {num_inputs} numbers, "
            "or 0 for none",
            setting="skip",
        )

    def build(rngs: nnx.Rngs) -> Network:
        sizes = _sizes(width, depth, skip, num_inputs, num_features)
        *hidden, feature = normal_kernels(rngs, sizes)
        geometry = Geometry(
            functools.partial(positional_encoding, num_octaves=num_octaves),
            _quiet(hidden, skip, num_inputs),
            skip=skip,
            feature_kernel=feature / jnp.sqrt(width),
            radius=radius,
            activation=ACTIVATIONS[activation],
            layer=NormedDense if weight_norm else Dense,
        )
        appearance = Appearance(
            functools.partial(positional_encoding, num_octaves=point_octaves),
            functools.partial(positional_encoding, num_octaves=direction_octaves),
            num_features=num_features,
            width=radiance_width,
            depth=radiance_depth,
            rngs=rngs,
            layer=NormedDense if weight_norm else Dense,
        )
        return Network(geometry, appearance)

    return field_from_module(build)


def _sizes(
    width: int, depth: int, skip: int, num_inputs: int, num_features: int
) -> list[tuple[int, int]]:
    """Of the kernels of hidden layers and feature; `skip` leaves room for the encoded point."""
    rows = [num_inputs, *[width] * depth]
    columns = [width - num_inputs if i + 1 == skip else width for i in range(depth)]
    return list(zip(rows, [*columns, num_features], strict=True))


def _quiet(kernels: list[Array], skip: int, num_inputs: int) -> list[Array]:
    """Scaled as for the geometric start; zero where sines and cosines come in."""
    kernels = [kernel * jnp.sqrt(2 / kernel.shape[1]) for kernel in kernels]
    kernels[0] = kernels[0].at[3:].set(0.0)
    if skip:
        kernels[skip] = kernels[skip].at[3 - num_inputs :].set(0.0)
    return kernels
