"""Equations whose solutions are differentiated by the implicit function theorem; pure JAX."""

from neural_sdf.implicit.lcp import LCP, lcp
from neural_sdf.implicit.root import dense, diagonal, root

__all__ = ["LCP", "dense", "diagonal", "lcp", "root"]
