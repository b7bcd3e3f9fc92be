"""Losses, the training step, checkpoints and the metric log."""

from neural_sdf.training.checkpoints import Checkpoints
from neural_sdf.training.log import MetricLog, Progress
from neural_sdf.training.losses import LOSSES
from neural_sdf.training.memory import compile_within
from neural_sdf.training.step import (
    TrainState,
    adam,
    doubling_sharpness,
    init_state,
    step_keys,
    train_step,
)
from neural_sdf.training.stop import Stop

__all__ = [
    "LOSSES",
    "Checkpoints",
    "MetricLog",
    "Progress",
    "Stop",
    "TrainState",
    "adam",
    "compile_within",
    "doubling_sharpness",
    "init_state",
    "step_keys",
    "train_step",
]
