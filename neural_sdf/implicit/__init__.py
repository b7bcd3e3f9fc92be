"""Equations whose solutions are differentiated by the implicit function theorem; pure JAX."""

from neural_sdf.implicit.lcp import LCP, LIMIT, NOT_FINITE, RAY, SOLVED, lcp
from neural_sdf.implicit.root import dense, diagonal, root

__all__ = [
    "LCP",
    "LIMIT",
    "NOT_FINITE",
    "RAY",
    "SOLVED",
    "dense",
    "diagonal",
    "lcp",
    "root",
]
