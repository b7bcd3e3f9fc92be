"""Models of lenses: where the ideal image point (x, y) = (X/Z, Y/Z) was photographed.

Each is a record of its coefficients, in COLMAP's order, with `distort`, which takes and gives
coordinates on the plane Z = 1. r is √(x² + y²), θ = atan r the angle to the optical axis.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Array = Float[np.ndarray, "*batch"] | np.float64  # of one point, too
NEAR = 1e-8  # of the axis, where r / r is taken for 1


class OpenCV(NamedTuple):
    """OpenCV's rational model; all zero is a pinhole.

    x' = x f + 2 p1 x y + p2 (r² + 2 x²),   y' = y f + p1 (r² + 2 y²) + 2 p2 x y,
    f = (1 + k1 r² + k2 r⁴ + k3 r⁶) / (1 + k4 r² + k5 r⁴ + k6 r⁶)
    """

    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0
    k4: float = 0.0
    k5: float = 0.0
    k6: float = 0.0

    def distort(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Photographed points of ideal ones."""
        r2 = x * x + y * y
        radial = _series(r2, self.k1, self.k2, self.k3) / _series(r2, self.k4, self.k5, self.k6)
        return _tangential(x, y, radial, self.p1, self.p2)


class Polynomial(NamedTuple):
    """nerfstudio's perspective lens, whose k4 multiplies r⁸: f = 1 + k1 r² + ... + k4 r⁸."""

    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0
    k4: float = 0.0

    def distort(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Photographed points of ideal ones."""
        radial = _series(x * x + y * y, self.k1, self.k2, self.k3, self.k4)
        return _tangential(x, y, radial, self.p1, self.p2)


class Fisheye(NamedTuple):
    """OpenCV's fisheye (Kannala and Brandt 2006): r' = θ (1 + k1 θ² + ... + k4 θ⁸)."""

    k1: float = 0.0
    k2: float = 0.0
    k3: float = 0.0
    k4: float = 0.0

    def distort(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Photographed points of ideal ones."""
        x, y = _equidistant(x, y)
        radial = _series(x * x + y * y, *self)
        return x * radial, y * radial


class ThinPrismFisheye(NamedTuple):
    """A fisheye with tangential and thin prism distortion, which stand for tilted lenses."""

    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0
    k4: float = 0.0
    sx1: float = 0.0
    sy1: float = 0.0

    def distort(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Photographed points of ideal ones."""
        x, y = _equidistant(x, y)
        r2 = x * x + y * y
        radial = _series(r2, self.k1, self.k2, self.k3, self.k4)
        bent_x, bent_y = _tangential(x, y, radial, self.p1, self.p2)
        return bent_x + self.sx1 * r2, bent_y + self.sy1 * r2


class FieldOfView(NamedTuple):
    """The FOV model (Devernay and Faugeras 2001): r' = atan(2 r tan(ω / 2)) / ω."""

    omega: float

    def distort(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Photographed points of ideal ones."""
        r = np.hypot(x, y)
        bent = np.arctan(2 * r * np.tan(self.omega / 2)) / self.omega
        limit = 2 * np.tan(self.omega / 2) / self.omega  # of r' / r on the axis
        ratio = np.where(r > NEAR, bent / np.maximum(r, NEAR), limit)
        return x * ratio, y * ratio


class Division(NamedTuple):
    """The division model (Fitzgibbon 2001): r = r' / (1 + k r'²), solved for r'."""

    k: float

    def distort(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Photographed points of ideal ones; NaN where there is none."""
        root = np.sqrt(np.where((inner := 1 - 4 * self.k * (x * x + y * y)) >= 0, inner, np.nan))
        ratio = 2 / (1 + root)
        return x * ratio, y * ratio


class EnhancedUnified(NamedTuple):
    """EUCM (Khomutenko et al. 2016): (x', y') = (x, y) / (α √(β r² + 1) + 1 − α)."""

    alpha: float
    beta: float

    def distort(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Photographed points of ideal ones; NaN where there is none."""
        inner = self.beta * (x * x + y * y) + 1
        ratio = 1 / (self.alpha * np.sqrt(np.where(inner >= 0, inner, np.nan)) + 1 - self.alpha)
        return x * ratio, y * ratio


Curved = Fisheye | ThinPrismFisheye  # even where all coefficients are zero
Lens = OpenCV | Polynomial | Curved | FieldOfView | Division | EnhancedUnified
LENSES: dict[str, type[Lens]] = {lens.__name__: lens for lens in Lens.__args__}


def _series(r2: Array, *coefficients: float) -> Array:
    """1 + k1 r² + k2 r⁴ + ..."""
    total = np.zeros_like(r2)
    for coefficient in reversed(coefficients):
        total = r2 * (coefficient + total)
    return 1 + total


def _tangential(x: Array, y: Array, radial: Array, p1: float, p2: float) -> tuple[Array, Array]:
    r2 = x * x + y * y
    return (
        x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
        y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
    )


def _equidistant(x: Array, y: Array) -> tuple[Array, Array]:
    """(x, y) θ / r."""
    r = np.hypot(x, y)
    ratio = np.where(r > NEAR, np.arctan(r) / np.maximum(r, NEAR), 1.0)
    return x * ratio, y * ratio
