"""The multi-layer perceptrons of IDR (Yariv et al. 2020, appendix B), of any size."""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array, lax

from neural_sdf.fields.encodings import positional_encoding
from neural_sdf.fields.field import Field, field_from_module


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
        ValueError: sizes that make no network, or an unknown activation.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"field activation {activation!r} is unknown; expected one of {sorted(ACTIVATIONS)}; "
            "set config.field.activation"
        )
    sizes = {
        "width": width,
        "depth": depth,
        "num_features": num_features,
        "radiance_width": radiance_width,
        "radiance_depth": radiance_depth,
    }
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(
                f"field {name} is {size}; expected at least 1; set config.field.{name}"
            )
    num_inputs = 3 * (1 + 2 * num_octaves)
    if skip and not (0 < skip < depth and width > num_inputs):
        raise ValueError(
            f"field skip is {skip} with depth {depth} and width {width}; expected a hidden layer "
            f"in 1..{depth - 1} and a width above the encoded point's {num_inputs} numbers; set "
            "config.field.skip (0 for none)"
        )

    def build(rngs: nnx.Rngs) -> _Network:
        geometry = _Geometry(
            width, depth, skip, num_features, num_octaves, radius, weight_norm, activation, rngs
        )
        appearance = _Appearance(
            num_features,
            radiance_width,
            radiance_depth,
            (point_octaves, direction_octaves),
            weight_norm,
            rngs,
        )
        return _Network(geometry, appearance)

    return field_from_module(build)


class _Network(nnx.Module):
    def __init__(self, geometry: _Geometry, appearance: _Appearance):
        self.geometry = geometry
        self.appearance = appearance

    def distance(self, points: Array) -> Array:
        return self.geometry.distance(self.geometry.hidden(points))

    def distance_and_feature(self, points: Array) -> tuple[Array, Array]:
        hidden = self.geometry.hidden(points)
        return self.geometry.distance(hidden), self.geometry.feature(hidden)

    def radiance(
        self, points: Array, gradients: Array, directions: Array, features: Array
    ) -> Array:
        return self.appearance(points, gradients, directions, features)


class _Dense(nnx.Module):
    """x · kernel + bias; with a length, every column of the kernel is scaled to that length."""

    def __init__(self, kernel: Array, bias: Array, weight_norm: bool):
        self.kernel = nnx.Param(kernel)
        self.bias = nnx.Param(bias)
        self.length = nnx.Param(jnp.linalg.norm(kernel, axis=0)) if weight_norm else None

    def __call__(self, x: Array) -> Array:
        kernel = self.kernel[...]
        if self.length is not None:
            kernel = kernel * (self.length[...] / jnp.linalg.norm(kernel, axis=0))
        return x @ kernel + self.bias[...]


class _Geometry(nnx.Module):
    def __init__(
        self,
        width: int,
        depth: int,
        skip: int,
        num_features: int,
        num_octaves: int,
        radius: float,
        weight_norm: bool,
        activation: str,
        rngs: nnx.Rngs,
    ):
        self.activation = ACTIVATIONS[activation]
        self.skip = skip
        self.num_octaves = num_octaves
        num_inputs = 3 * (1 + 2 * num_octaves)
        layers = []
        for i in range(depth):
            rows = num_inputs if i == 0 else width
            columns = width - num_inputs if i + 1 == skip else width
            kernel = jax.random.normal(rngs.params(), (rows, columns)) * jnp.sqrt(2 / columns)
            if i == 0:
                kernel = kernel.at[3:].set(0.0)
            elif i == skip:
                kernel = kernel.at[3 - num_inputs :].set(0.0)
            layers.append(_Dense(kernel, jnp.zeros(columns), weight_norm))
        self.layers = nnx.List(layers)
        kernel, bias = self._fit_sphere(width, radius, rngs.params())
        self.distance_layer = _Dense(kernel, bias, weight_norm)
        kernel = jax.random.normal(rngs.params(), (width, num_features)) / jnp.sqrt(width)
        self.feature_layer = _Dense(kernel, jnp.zeros(num_features), weight_norm)

    def _fit_sphere(self, width: int, radius: float, key: Array) -> tuple[Array, Array]:
        """Last layer of a field that is |x| − radius, to about 2 %.

        The geometric initialisation (Atzmon and Lipman 2020), kernel sqrt(π/width) and bias
        −radius, is right in the limit of wide layers and 10 to 30 % off for 128; a ridge regression
        moves it to the nearest weights that are right on points of the unit ball.
        """
        points = jax.random.normal(key, (4096, 3))
        radii = jnp.sqrt(jnp.linspace(0.0, 1.0, 4096))
        points = points * (radii / jnp.linalg.norm(points, axis=-1))[:, None]
        inputs = jnp.concatenate([self.hidden(points), jnp.ones((4096, 1))], axis=-1)
        start = jnp.append(jnp.full(width, jnp.sqrt(jnp.pi / width)), -radius)
        error = radii - radius - inputs @ start
        gram = inputs.T @ inputs / 4096 + 1e-4 * jnp.eye(width + 1)
        weights = start + jnp.linalg.solve(gram, inputs.T @ error / 4096)
        return weights[:-1, None], weights[-1:]

    def hidden(self, points: Array) -> Array:
        encoded = positional_encoding(points, self.num_octaves)
        x = encoded
        for i, layer in enumerate(self.layers):
            if i == self.skip and i > 0:
                x = jnp.concatenate([x, encoded], axis=-1) / jnp.sqrt(2)
            x = self.activation(layer(x))
        return x

    def distance(self, hidden: Array) -> Array:
        return self.distance_layer(hidden)[..., 0]

    def feature(self, hidden: Array) -> Array:
        return self.feature_layer(hidden)


class _Appearance(nnx.Module):
    def __init__(
        self,
        num_features: int,
        width: int,
        depth: int,
        octaves: tuple[int, int],
        weight_norm: bool,
        rngs: nnx.Rngs,
    ):
        self.octaves = octaves  # of point and direction
        num_inputs = sum(3 * (1 + 2 * n) for n in octaves) + 3 + num_features
        sizes = [num_inputs, *[width] * depth, 3]
        kernels = [
            jax.random.normal(rngs.params(), (rows, columns)) * jnp.sqrt(2 / rows)
            for rows, columns in itertools.pairwise(sizes)
        ]
        self.layers = nnx.List([_Dense(k, jnp.zeros(k.shape[1]), weight_norm) for k in kernels])

    def __call__(
        self, points: Array, gradients: Array, directions: Array, features: Array
    ) -> Array:
        place = positional_encoding(points, self.octaves[0])
        view = positional_encoding(-directions, self.octaves[1])
        x = jnp.concatenate([place, view, gradients, features], axis=-1)
        for layer in self.layers[:-1]:
            x = jax.nn.relu(layer(x))
        return jax.nn.sigmoid(self.layers[-1](x))


def softplus(x: Array) -> Array:
    """A ReLU rounded over a hundredth: log(1 + exp(100 x)) / 100 (IDR)."""
    return jax.nn.softplus(100.0 * x) / 100.0


_ROUNDING = (2 * math.log(2) / 100) ** 2


@jax.custom_jvp
def squareplus(x: Array) -> Array:
    """A ReLU rounded over a hundredth: (x + sqrt(x² + b)) / 2 (Barron 2021).

    b is such that at 0 it is what `softplus` is. No exponential, no logarithm.
    """
    square = x * x + _ROUNDING
    return 0.5 * x + 0.5 * square * lax.rsqrt(square)


@squareplus.defjvp
def _squareplus_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    # What autodiff has too, but in one form wherever it is met, so that the compiler sees that a
    # normal and the same normal on the way to its own derivative are one.
    (x,), (x_dot,) = primals, tangents
    slope = 0.5 + 0.5 * x * lax.rsqrt(x * x + _ROUNDING)
    return squareplus(x), slope * x_dot


ACTIVATIONS = {"softplus": softplus, "squareplus": squareplus}
