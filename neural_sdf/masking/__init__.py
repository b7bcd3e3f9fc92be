"""Masks made from a scene's own photos."""

from neural_sdf.masking.scenes import MASKING
from neural_sdf.masking.sheet import mask_sheet

__all__ = ["MASKING", "mask_sheet"]
