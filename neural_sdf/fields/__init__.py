"""Learned functions of space: encodings and networks; the only home of Flax."""

from neural_sdf.fields.field import Field, field_from_module
from neural_sdf.fields.hash_grid import hash_grid
from neural_sdf.fields.mlp import mlp

FIELDS = {"hash_grid": hash_grid, "mlp": mlp}

__all__ = ["FIELDS", "Field", "field_from_module", "hash_grid", "mlp"]
