"""Photos compared with each other: where surfaces are, before and while a field is trained."""

from neural_sdf.stereo.agreement import agreed_depths
from neural_sdf.stereo.pyramid import photo_pyramid, pyramid_shapes

__all__ = ["agreed_depths", "photo_pyramid", "pyramid_shapes"]
