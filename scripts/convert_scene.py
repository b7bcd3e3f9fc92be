"""Writes a photo set in another layout: cameras in the same world, photos and masks as PNG.

    python scripts/convert_scene.py --path=my_photos --output=my_colmap --to=colmap
    python scripts/convert_scene.py --format=synthetic --output=cup --to=transforms

Lens distortion is undone, and photos are reduced by --downscale. The second line writes the
embedded example, a cup, and needs no photos; --format=synthetic_textured writes it larger, with
specks that structure from motion can follow. --masks=background and --masks=hull make masks anew
and show them in masks.png.
"""

from absl import flags

from neural_sdf import launch, photo_flags
from neural_sdf.mistake import Mistake

PATH = flags.DEFINE_string("path", "", "the folder of the photo set")
OUTPUT = flags.DEFINE_string("output", "", "the new folder to write")
TO = flags.DEFINE_string("to", "transforms", "the layout to write: transforms, colmap or idr")
READ = photo_flags.define(
    "format", "cameras", "mask_shows", "skip_missing", "centre", "radius", "box"
)
DOWNSCALE = flags.DEFINE_integer("downscale", 1, "reduce photos by this factor", lower_bound=1)
MASKS = flags.DEFINE_enum(
    "masks",
    "given",
    ["given", "background", "hull"],
    "as given; made from a plain background; or refined, or found, by hull and colours",
)
BACKGROUND = flags.DEFINE_float(
    "background", 1.0, "the grey behind transparent photos", lower_bound=0.0, upper_bound=1.0
)
FRAME = flags.DEFINE_enum(
    "frame",
    "world",
    ["world", "scene"],
    "cameras in the photos' own world, or normalised: the region of interest as unit sphere",
)


def main() -> None:
    """Imports the work late, so that --help and a mistyped flag need not wait for it."""
    from neural_sdf.machine.files import new_folder
    from neural_sdf.masking import MASKING, mask_sheet
    from neural_sdf.photos import FORMATS, load_photos, load_scene, load_to_mask, write_scene
    from neural_sdf.photos.write import require_writer
    from neural_sdf.scenes.frame import in_scene_frame

    is_synthetic = READ["format"].value.startswith("synthetic")
    if bool(PATH.value) == is_synthetic:
        raise Mistake(
            f"--path is {'given with --format=synthetic' if is_synthetic else 'missing'}; expected"
            " the folder of the photo set, or --format=synthetic alone for the embedded example;"
            " set one of them"
        )
    require_writer(TO.value)
    new_folder(OUTPUT.value)  # refuses what is there before any long work
    load = {"given": load_scene, "background": load_photos, "hull": load_to_mask}[MASKS.value]
    scene = load(
        PATH.value,
        downscale=DOWNSCALE.value,
        background=BACKGROUND.value,
        **photo_flags.values(READ),
    )
    beside = {}
    if MASKS.value != "given":
        scene = MASKING[MASKS.value](scene)
        beside["masks.png"] = mask_sheet(scene)
    if FRAME.value == "scene":
        scene = in_scene_frame(scene)
    write_scene(scene, OUTPUT.value, TO.value, beside)
    held_out = tuple(sorted(scene.source.indices[int(scene.num_train) :]))
    remark = f"{len(held_out)} of them held out"
    if held_out and not FORMATS[TO.value].holds_split:
        remark += f" if trained with --config.data.holdout_views='{held_out}'"
    print(f"{OUTPUT.value}: {len(scene.sizes)} views in the layout {TO.value}, {remark}")
    if beside:
        print(f"masks: {MASKS.value}; look at masks.png there before you train")


if __name__ == "__main__":
    launch.run(main, required=["output"])
