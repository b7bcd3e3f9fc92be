"""Where surfaces are, found by comparing photos with each other, before anything is trained."""

from neural_sdf.stereo.agreement import agreed_depths

__all__ = ["agreed_depths"]
