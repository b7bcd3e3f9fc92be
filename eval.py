"""Measures a trained field on the photos it has not seen, and on a reference mesh if there is one.

    python eval.py --workdir=runs/quickstart

Writes eval/metrics.json and side-by-side images into the workdir.
"""

from absl import flags

from neural_sdf import launch

WORKDIR = flags.DEFINE_string("workdir", "", "the folder of the trained run")
STEP = flags.DEFINE_integer("step", None, "the checkpoint's step; the latest if absent")
REFERENCE = flags.DEFINE_string(
    "reference", None, "a mesh file of the true surface, in the world frame of the photos"
)
RESOLUTION = flags.DEFINE_integer(
    "resolution",
    256,
    "cells along an edge of the grid whose mesh is compared with the reference",
    lower_bound=2,
)
PATH = flags.DEFINE_string(
    "path", None, "a folder of photos of the same world, or the run's if they have moved"
)


def main() -> None:
    """Imports the work late, so that --help and a mistyped flag need not wait for JAX."""
    from neural_sdf.experiment.evaluate import evaluate

    evaluate(
        WORKDIR.value,
        step=STEP.value,
        reference=REFERENCE.value,
        resolution=RESOLUTION.value,
        path=PATH.value,
    )


if __name__ == "__main__":
    launch.run(main, required=["workdir"])
