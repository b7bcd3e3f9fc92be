"""Turns a photo set into a dataset of TensorFlow Datasets: versioned and checksummed.

    python scripts/prepare_dataset.py --path=my_photos
    python train.py --config=photos --config.data.path=my_photos --workdir=runs/mine

The dataset goes to $TFDS_DATA_DIR, or ~/tensorflow_datasets, where it is found by its name, unless
--data_dir says another folder; anywhere it is found by the path that is printed. One record is one
view. TensorFlow is not needed.
"""

from absl import flags

from neural_sdf import launch

PATH = flags.DEFINE_string("path", "", "the folder of the photo set")
DATA_DIR = flags.DEFINE_string("data_dir", "", "the folder of datasets; TFDS's own if empty")
NAME = flags.DEFINE_string("name", "", "of the dataset; that of the photo set's folder if empty")
FORMAT = flags.DEFINE_string("format", "auto", "the set's layout; told by its files if auto")
CAMERAS = flags.DEFINE_string("cameras", "", "the camera file or folder; the usual one if empty")
MASK_SHOWS = flags.DEFINE_enum(
    "mask_shows", "object", ["object", "background"], "what is bright in mask files"
)
SKIP_MISSING = flags.DEFINE_bool("skip_missing", False, "leave out views whose files are missing")


def main() -> None:
    """Imports the work late, so that --help and a mistyped flag need not wait for it."""
    from neural_sdf.photos.files.folder import datasets_folder
    from neural_sdf.photos.prepare import prepare_dataset

    folder = prepare_dataset(
        PATH.value,
        DATA_DIR.value or datasets_folder(),
        name=NAME.value,
        format=FORMAT.value,
        cameras=CAMERAS.value,
        mask_shows=MASK_SHOWS.value,
        skip_missing=SKIP_MISSING.value,
    )
    print(f"dataset: {folder}; train on it with --config.data.path={folder}")


if __name__ == "__main__":
    launch.run(main, required=["path"])
