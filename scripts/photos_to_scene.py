"""Finds the cameras of plain photos, makes masks, and writes a scene to train on.

    python scripts/photos_to_scene.py --images=my_photos --output=my_scene
    python train.py --config=photos --config.data.path=my_scene --workdir=runs/mine

Needs pycolmap: pip install 'pycolmap>=4.2,<5'. Look at masks.png and scene.png in the output
before you train; matches.png shows which photos have something in common. What is found in the
scene as it was written is told at the end; exits with 1 if it cannot be trained on.
"""

import shlex
import sys

from absl import flags

from neural_sdf import launch
from neural_sdf.commands import as_started

IMAGES = flags.DEFINE_string("images", "", "the folder of the photos, PNG or JPEG")
OUTPUT = flags.DEFINE_string("output", "", "the new folder to write")
MASKS = flags.DEFINE_string(
    "masks",
    "auto",
    "where masks come from: alpha (transparency), background (a plain one), hull (cameras and"
    " colours), none, a folder with a mask for each photo, or auto: the first that is there of"
    " alpha, background, hull",
)
LONGEST_SIDE = flags.DEFINE_integer(
    "longest_side", 2048, "photos are reduced by an integer factor to at most so many pixels"
)


def main() -> None:
    """Imports the work late, so that --help and a mistyped flag need not wait for it."""
    from neural_sdf.motion.from_photos import photos_to_scene
    from neural_sdf.photos.doctor import as_text

    report = photos_to_scene(
        IMAGES.value,
        OUTPUT.value,
        masks=MASKS.value,
        longest_side=LONGEST_SIDE.value,
        say=lambda line: print(line, flush=True),
    )
    if MASKS.value == "none":
        print(f"{OUTPUT.value}: look at scene.png there; training needs masks")
        return
    print(as_text(report, lambda setting: f"--config.data.{setting}"))  # to train with, below
    if not report.is_usable:
        sys.exit(1)
    path = shlex.quote(f"--config.data.path={OUTPUT.value}")
    print(
        f"{OUTPUT.value}: look at masks.png and scene.png there, then train with",
        as_started(f"python train.py --config=photos {path} --workdir=..."),
    )


if __name__ == "__main__":
    launch.run(main, required=["images", "output"])
