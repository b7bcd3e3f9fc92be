"""Writes a trained surface as a coloured mesh, in the world frame of the photos.

    python scripts/export_mesh.py --workdir=runs/quickstart --output=shape.glb --resolution=256

The ending of --output chooses the format: .ply, .obj, .stl or .glb.
"""

from absl import flags

from neural_sdf import launch

WORKDIR = flags.DEFINE_string("workdir", "", "the folder of the trained run")
OUTPUT = flags.DEFINE_string("output", "", "the mesh file to write")
RESOLUTION = flags.DEFINE_integer(
    "resolution", 256, "cells along an edge of the grid", lower_bound=2
)
STEP = flags.DEFINE_integer("step", None, "the checkpoint's step; the latest if absent")


def main() -> None:
    """Imports the work late, so that --help and a mistyped flag need not wait for JAX."""
    from neural_sdf.experiment.export import export_mesh

    export_mesh(WORKDIR.value, OUTPUT.value, resolution=RESOLUTION.value, step=STEP.value)


if __name__ == "__main__":
    launch.run(main, required=["workdir", "output"])
