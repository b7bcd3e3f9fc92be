"""Equations whose solutions are differentiated by the implicit function theorem; pure JAX."""

from neural_sdf.implicit.root import dense, diagonal, root

__all__ = ["dense", "diagonal", "root"]
