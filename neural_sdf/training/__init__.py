"""Losses, the training step, checkpoints and the metric log."""

from neural_sdf.training.checkpoints import Checkpoints
from neural_sdf.training.collapse import CollapseWatch, collapse
from neural_sdf.training.log import MetricLog, Progress
from neural_sdf.training.losses import COMPARING, GUIDES, LOSSES, SPARSE
from neural_sdf.training.memory import compile_within
from neural_sdf.training.optimizer import adam_by_part, schedule
from neural_sdf.training.step import Fault, Model, TrainState, fault_terms, init_state, train_step
from neural_sdf.training.stop import Stop

__all__ = [
    "COMPARING",
    "GUIDES",
    "LOSSES",
    "SPARSE",
    "Checkpoints",
    "CollapseWatch",
    "Fault",
    "MetricLog",
    "Model",
    "Progress",
    "Stop",
    "TrainState",
    "adam_by_part",
    "collapse",
    "compile_within",
    "fault_terms",
    "init_state",
    "schedule",
    "train_step",
]
