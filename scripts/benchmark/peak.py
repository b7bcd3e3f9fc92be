"""Memory of a training step as it is planned, and as the system has measured it afterwards.

    python scripts/benchmark/peak.py CONFIG

in a fresh process: CONFIG is a run's config as JSON. Prints both in bytes. Needs Linux.
"""

from __future__ import annotations

import ctypes
import json
import re
import sys
from pathlib import Path
from typing import Any

from neural_sdf import launch


def main() -> None:
    """Measures from before the state is made until three steps are done; photos are there."""
    launch.correct_reductions()
    import jax
    from ml_collections import ConfigDict

    from neural_sdf.experiment.build import build, compared_photos, compared_shapes, photo_feed
    from neural_sdf.machine.memory import program_memory
    from neural_sdf.photos import load_scene
    from neural_sdf.scenes import batch_shapes

    config: Any = ConfigDict(json.loads(sys.argv[1]))
    run, scene = build(config), load_scene(**config.data)
    num_views, feed = int(scene.num_train), photo_feed(config, scene)
    shapes = run.shapes(num_views), batch_shapes(config.train.batch_size)
    num_bytes = scene.rgb.nbytes + scene.mask.nbytes
    photos = compared_photos(scene, compared_shapes(config, num_bytes, num_views))
    program = run.step.lower(*shapes, photos=photos).compile()
    jax.block_until_ready((run.init(num_views), feed(0)))  # compiles what makes them
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = kibibytes("VmRSS")
    state = run.init(num_views)
    for step in range(3):
        state, metrics = program(state, feed(step), photos=photos)
        jax.block_until_ready(metrics)
    feed.close()
    print(program_memory(program), 1024 * (kibibytes("VmHWM") - before))


def kibibytes(name: str) -> int:
    """A figure of the process, as the system keeps it."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(rf"{name}:\s+(\d+)", status)[0])


if __name__ == "__main__":
    main()
