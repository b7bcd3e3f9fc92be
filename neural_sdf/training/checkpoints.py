"""Checkpoints of a run: the two latest and the best, written whole or not at all.

Everything that knows Orbax is here; its v1 interface is still allowed to change.
"""

from __future__ import annotations

import functools
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from neural_sdf.geometry import Similarity
from neural_sdf.mistake import Mistake, RunEnded
from neural_sdf.training.step import TrainState


class Checkpoints:
    """The folder `checkpoints/` of a workdir.

    Kept are the two latest steps and the one with the least running training loss, of those whose
    surface is not lost; held-out views have no say in it.
    """

    def __init__(self, folder: Path):
        """Opens the folder; it is made at the first save."""
        self._folder = folder.resolve()

    @functools.cached_property
    def _orbax(self) -> ocp.training.Checkpointer:
        policies: Any = ocp.training.preservation_policies
        return ocp.training.Checkpointer(
            str(self._folder),  # which Orbax makes at once
            preservation_policy=policies.AnyPreservationPolicy(
                [
                    policies.LatestN(2),
                    policies.BestN(get_metric_fn=_loss, reverse=True, n=1),
                ]
            ),
        )

    def remove_unfinished(self) -> None:
        """Removes what a killed run left of a save; only for the run that owns the folder."""
        for partial in self._folder.glob("*.orbax-checkpoint-tmp*"):
            shutil.rmtree(partial)

    def steps(self) -> list[int]:
        """Steps that can be loaded, in order; empty and foreign folders are passed over."""
        if not self._folder.is_dir():
            return []
        found = (checkpoint.step for checkpoint in self._orbax.checkpoints)
        return sorted(step for step in found if (self._folder / str(step) / "state").is_dir())

    def save(
        self, state: TrainState, world_from_scene: Similarity, num_views: int, *, lost: bool = False
    ) -> None:
        """Writes a state and waits until it is on disk.

        Args:
            state: of the run.
            world_from_scene: frame of the photos it was trained on.
            num_views: how many of them are for training.
            lost: whether its surface is (`collapse`), so that it must not count as the best.

        Raises:
            RunEnded: a parameter is not finite; nothing is written.
        """
        for path, leaf in jax.tree_util.tree_leaves_with_path(state.params):
            if not np.isfinite(leaf).all():
                name = jax.tree_util.keystr(path, simple=True, separator=".")
                raise RunEnded(f"parameter {name} is not finite at step {state.step}")
        frame = {name: np.asarray(x).tolist() for name, x in world_from_scene._asdict().items()}
        self._orbax.save(
            int(state.step),
            state,
            metrics={"loss": math.inf if lost else float(state.loss)},
            custom_metadata={"world_from_scene": frame, "num_views": num_views},
            # Else an empty folder of a later step makes Orbax pass over this one without a word.
            force=True,
            overwrite=True,
        )

    def load(
        self, like: Callable[[int], TrainState], step: int | None = None
    ) -> tuple[TrainState, Similarity]:
        """A state and the world frame that belongs to it.

        Args:
            like: number of training views -> state (or its shapes) of the same structure.
            step: which; the latest if None.

        Raises:
            Mistake: there is no such step, or the checkpoint is of another field or damaged.
        """
        steps = self.steps()
        if not steps:
            raise Mistake(
                f"no checkpoint in {self._folder}; expected the workdir of a training",
                remedy="train first",
            )
        step = steps[-1] if step is None else step
        if step not in steps:
            raise Mistake(
                f"no checkpoint of step {step} in {self._folder}; it has {steps}", setting="step"
            )
        try:
            metadata: Any = self._orbax.metadata(step).custom_metadata
            shapes = jax.tree.map(_shape, like(metadata["num_views"]))
            state = self._orbax.load(step, shapes)
        except Exception as error:  # Orbax raises many kinds, the reason last in the chain
            raise Mistake(
                f"checkpoint {self._folder / str(step)} cannot be read ({_reason(error)}); "
                "expected one of this field",
                remedy="delete that folder to go back to an earlier step",
            ) from error
        frame = metadata["world_from_scene"]
        return state, Similarity(**{name: np.asarray(x) for name, x in frame.items()})

    def close(self) -> None:
        """Ends Orbax's background threads."""
        if "_orbax" in self.__dict__:
            self._orbax.close()


def _loss(metrics: Any) -> float:
    return metrics["loss"]


def _shape(leaf: Any) -> jax.ShapeDtypeStruct:
    # Without a sharding Orbax asks for the devices that the checkpoint was written on.
    here = leaf.sharding or jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here)


def _reason(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:300]
