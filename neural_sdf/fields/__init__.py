"""Learned functions of space: encodings and networks; the only home of Flax."""

from neural_sdf.fields.field import Field, field_from_module
from neural_sdf.fields.mlp import mlp

FIELDS = {"mlp": mlp}

__all__ = ["FIELDS", "Field", "field_from_module", "mlp"]
