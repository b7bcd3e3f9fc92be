"""Says what is wrong with a photo set, and how to mend it, before anything is trained.

    python scripts/inspect_scene.py --path=my_photos
    python scripts/inspect_scene.py --path=my_photos --json --output=my_photos.png

Exits with 0 if the set can be trained on, with 1 if it cannot. With --output it draws the cameras,
the region of interest and the object's hull. A set that is trained on with --config.data.radius=2
is judged as it is read then with --radius=2, and so the other flags.
"""

import sys
from pathlib import Path

from absl import flags

from neural_sdf import launch, photo_flags
from neural_sdf.mistake import Mistake

PATH = flags.DEFINE_string("path", "", "the folder of the photo set")
READ = photo_flags.define(
    "format", "cameras", "mask_shows", "skip_missing", "centre", "radius", "box"
)
JSON = flags.DEFINE_bool("json", False, "print json for programs")
OUTPUT = flags.DEFINE_string("output", "", "a .png file to draw cameras, region and hull in")


def main() -> None:
    """Imports the work late, so that --help and a mistyped flag need not wait for it."""
    from neural_sdf.machine.files import replace_file
    from neural_sdf.photos import scene_picture
    from neural_sdf.photos.doctor import as_json, as_text, inspect_scene

    picture = Path(OUTPUT.value)
    if OUTPUT.value and not (picture.suffix == ".png" and picture.parent.is_dir()):
        raise Mistake(
            f"output {OUTPUT.value!r} cannot be written; expected a .png file in a folder that is"
            " there",
            setting="output",
        )
    report = inspect_scene(PATH.value, **photo_flags.values(READ))
    print(as_json(report) if JSON.value else as_text(report, launch.as_typed))
    if OUTPUT.value and report.scene is not None:
        replace_file(picture, scene_picture(report.scene))
        print(f"picture: {picture}", file=sys.stderr)
    sys.exit(0 if report.is_usable else 1)


if __name__ == "__main__":
    launch.run(main, required=["path"])
