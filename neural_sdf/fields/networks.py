"""The networks that fields are made of: distance and feature of a point, colour of what is seen."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jax.scipy.linalg import solve

from neural_sdf.mistake import Mistake

MOST_OCTAVES = 24  # the last of which is the last bit of a coordinate


class Network(nnx.Module):
    """Geometry and appearance together: the `FieldModule` of every field here."""

    def __init__(self, geometry: Geometry, appearance: Appearance):
        """Puts the two together; `geometry` leads the parameters' tree, `appearance` follows."""
        self.geometry = geometry
        self.appearance = appearance

    def distance(self, points: Array) -> Array:
        """Signed distance, [N]."""
        return self.geometry.distance(self.geometry.hidden(points))

    def distance_and_feature(self, points: Array) -> tuple[Array, Array]:
        """Signed distance [N] and feature [N, F]."""
        hidden = self.geometry.hidden(points)
        return self.geometry.distance(hidden), self.geometry.feature(hidden)

    def radiance(
        self, points: Array, gradients: Array, directions: Array, features: Array
    ) -> Array:
        """Colour in [0, 1], [N, 3]."""
        return self.appearance(points, gradients, directions, features)


class Dense(nnx.Module):
    """x · kernel + bias."""

    def __init__(self, kernel: Array, bias: Array):
        """The layer as it starts."""
        self.kernel = nnx.Param(kernel)
        self.bias = nnx.Param(bias)

    def __call__(self, x: Array) -> Array:
        """[N, K] -> [N, M]."""
        return x @ self.kernel[...] + self.bias[...]


class NormedDense(nnx.Module):
    """The same with a length of its own for each column of the kernel (weight norm).

    It changes what is learned, not the start (Salimans and Kingma 2016).
    """

    def __init__(self, kernel: Array, bias: Array):
        """The layer as it starts."""
        self.kernel = nnx.Param(kernel)
        self.bias = nnx.Param(bias)
        self.length = nnx.Param(jnp.linalg.norm(kernel, axis=0))

    def __call__(self, x: Array) -> Array:
        """[N, K] -> [N, M]."""
        kernel = self.kernel[...]
        kernel = kernel * (self.length[...] / jnp.linalg.norm(kernel, axis=0))
        return x @ kernel + self.bias[...]


Layer = Callable[[Array, Array], Callable[[Array], Array]]
"""Makes a layer of its kernel [K, M] and bias [M]: `Dense` or `NormedDense`."""


def normal_kernels(rngs: nnx.Rngs, sizes: Sequence[tuple[int, int]]) -> list[Array]:
    """Standard normal kernels of the sizes [K, M].

    Cut from one draw: one for each layer takes seconds to compile.
    """
    numbers = jax.random.normal(rngs.params(), (sum(k * m for k, m in sizes),))
    ends = list(itertools.accumulate(k * m for k, m in sizes))
    flat = jnp.split(numbers, ends[:-1])
    return [part.reshape(size) for part, size in zip(flat, sizes, strict=True)]


def check_radius(radius: float) -> None:
    """Refuses a sphere to start from that is none.

    Raises:
        Mistake: a radius that is not positive or not finite.
    """
    if not 0 < radius < math.inf:
        raise Mistake(
            f"field radius is {radius}; expected a positive number, below the 1 of the region of"
            " interest",
            setting="field.radius",
        )


class Geometry(nnx.Module):
    """Smooth layers on the encoded point, then a linear layer each for distance and feature."""

    def __init__(
        self,
        encoding: Callable[[Array], Array],
        kernels: Sequence[Array],
        *,
        skip: int,
        feature_kernel: Array,
        radius: float,
        activation: Callable[[Array], Array],
        layer: Layer = Dense,
    ):
        """A field that is |x| − radius, to about 2 %.

        Args:
            encoding: points [N, 3] -> [N, K].
            kernels: of the hidden layers at the start; the fit below wants an encoding that does
                not yet act, be it by its own zeros or by theirs.
            skip: the encoded point is given again before this hidden layer; 0 for never.
            feature_kernel: of the last layer, which gives the feature, [width, F].
            radius: of the sphere, scene units.
            activation: of the hidden layers.
            layer: what all layers are made by.
        """
        self.activation = activation
        self.encoding = encoding
        self.skip = skip
        self.layers = nnx.List([layer(k, jnp.zeros(k.shape[1])) for k in kernels])
        self.distance_layer = layer(*self._fit_sphere(len(feature_kernel), radius))
        self.feature_layer = layer(feature_kernel, jnp.zeros(feature_kernel.shape[1]))

    def _fit_sphere(self, width: int, radius: float) -> tuple[Array, Array]:
        """Last layer that makes the distance |x| − radius.

        The geometric initialisation (Atzmon and Lipman 2020), kernel sqrt(π/width) and bias
        −radius, is right in the limit of wide layers and 10 to 30 % off for 128; a ridge regression
        moves it to the nearest weights that are right on points of the unit ball.
        """
        radii = np.sqrt(np.linspace(0.0, 1.0, 4096, dtype=np.float32))
        points = np.random.default_rng(0).standard_normal((4096, 3), np.float32)
        points = jnp.asarray(points * (radii / np.linalg.norm(points, axis=-1))[:, None])
        inputs = jnp.concatenate([self.hidden(points), jnp.ones((4096, 1))], axis=-1)
        start = jnp.append(jnp.full(width, jnp.sqrt(jnp.pi / width)), -radius)
        error = radii - radius - inputs @ start
        gram = inputs.T @ inputs / 4096 + 1e-4 * jnp.eye(width + 1)
        weights = start + solve(gram, inputs.T @ error / 4096, assume_a="pos")
        return weights[:-1, None], weights[-1:]

    def hidden(self, points: Array) -> Array:
        """What distance and feature are read from, [N, width]."""
        encoded = self.encoding(points)
        x = encoded
        for i, layer in enumerate(self.layers):
            if i == self.skip and i > 0:
                x = jnp.concatenate([x, encoded], axis=-1) / jnp.sqrt(2)
            x = self.activation(layer(x))
        return x

    def distance(self, hidden: Array) -> Array:
        """Signed distance, [N]."""
        return self.distance_layer(hidden)[..., 0]

    def feature(self, hidden: Array) -> Array:
        """What else the colour may depend on, [N, F]."""
        return self.feature_layer(hidden)


class Appearance(nnx.Module):
    """A ReLU network from place, view, gradient and feature to colour."""

    def __init__(
        self,
        place: Callable[[Array], Array],
        view: Callable[[Array], Array],
        *,
        num_features: int,
        width: int,
        depth: int,
        rngs: nnx.Rngs,
        layer: Layer = Dense,
    ):
        """A fresh network (He et al. 2015).

        Args:
            place: encoding of points, [N, 3] -> [N, K].
            view: of directions from the surface, likewise.
            num_features: F, of the geometry.
            width: of the hidden layers.
            depth: how many of them.
            rngs: source of the kernels.
            layer: what all layers are made by.
        """
        self.place = place
        self.view = view
        num_encoded = sum(encoding(jnp.zeros((1, 3))).shape[-1] for encoding in (place, view))
        num_inputs = num_encoded + 3 + num_features
        sizes = list(itertools.pairwise([num_inputs, *[width] * depth, 3]))
        kernels = [k * jnp.sqrt(2 / len(k)) for k in normal_kernels(rngs, sizes)]
        self.layers = nnx.List([layer(k, jnp.zeros(k.shape[1])) for k in kernels])

    def __call__(
        self, points: Array, gradients: Array, directions: Array, features: Array
    ) -> Array:
        """Colour in [0, 1], [N, 3]; directions are those of the rays, towards the surface."""
        encoded = self.place(points), self.view(-directions)
        x = jnp.concatenate([*encoded, gradients, features], axis=-1)
        for layer in self.layers[:-1]:
            x = jax.nn.relu(layer(x))
        return jax.nn.sigmoid(self.layers[-1](x))


def check_sizes(sizes: Mapping[str, int]) -> None:
    """Refuses a field whose setting of that name is below 1.

    Raises:
        Mistake: names it.
    """
    for name, size in sizes.items():
        if size < 1:
            raise Mistake(f"field {name} is {size}; expected at least 1", setting=name)


def check_octaves(octaves: Mapping[str, int]) -> None:
    """Refuses positional encodings, by the names of their settings, that float32 cannot hold.

    Raises:
        Mistake: names it.
    """
    for name, number in octaves.items():
        if not 0 <= number <= MOST_OCTAVES:
            told = f"field {name} is {number}; expected 0 to {MOST_OCTAVES}, the bits of a number"
            raise Mistake(told, setting=name)
