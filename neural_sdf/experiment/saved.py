"""The config of a run as a config file, for `--config=run/config.json`: see `launch.run`."""

from __future__ import annotations

import sys
from pathlib import Path

from ml_collections import ConfigDict


def get_config(path: str) -> ConfigDict:
    """The config that a run wrote, over today's defaults; says what is other than it was written.

    Raises:
        Mistake: a file that is not the JSON of a config.
    """
    from neural_sdf.experiment.workdir import read_config  # late, since it imports JAX

    config, remark = read_config(Path(path), setting="config")
    if remark:
        print(remark, file=sys.stderr)
    return config
