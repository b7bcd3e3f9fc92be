"""Trains a neural signed-distance field on photos with cameras and masks.

    python train.py --config=quickstart --workdir=runs/quickstart

Any value of the config can be set: --config.data.path=my_photos --config.train.steps=5000.
The same command again, or --workdir alone, goes on from the last checkpoint in the workdir.
"""

from pathlib import Path

from absl import flags
from ml_collections import config_flags

from neural_sdf import launch

CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "the configuration: one of configs/ by its name, such as photos, a Python file like those, or"
    " the config.json of a run; that of the workdir if absent",
)
WORKDIR = flags.DEFINE_string(
    "workdir", "", "the folder of the run: checkpoints, metrics, evaluation"
)


def main() -> None:
    """Imports the work late, so that --help and a mistyped flag need not wait for JAX."""
    from neural_sdf.experiment.train import train

    train(CONFIG.value, WORKDIR.value)


if __name__ == "__main__":
    saved = Path(launch.__file__).with_name("experiment") / "saved.py"
    launch.run(main, required=["config", "workdir"], saved_config=saved)
