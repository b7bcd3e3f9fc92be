"""Turns a photo set into a dataset of TensorFlow Datasets: versioned and checksummed.

    python scripts/prepare_dataset.py --path=my_photos
    python train.py --config=photos --config.data.path=my_photos --workdir=runs/mine

The dataset goes to $TFDS_DATA_DIR, or ~/tensorflow_datasets, where it is found by its name, unless
--data_dir says another folder; anywhere it is found by the path that is printed. One record is one
view. TensorFlow is not needed.
"""

from absl import flags

from neural_sdf import launch, photo_flags

PATH = flags.DEFINE_string("path", "", "the folder of the photo set")
DATA_DIR = flags.DEFINE_string("data_dir", "", "the folder of datasets; TFDS's own if empty")
NAME = flags.DEFINE_string("name", "", "of the dataset; that of the photo set's folder if empty")
READ = photo_flags.define("format", "cameras", "mask_shows", "skip_missing")


def main() -> None:
    """Imports the work late, so that --help and a mistyped flag need not wait for it."""
    from neural_sdf.photos.files.folder import datasets_folder
    from neural_sdf.photos.prepare import prepare_dataset

    folder = prepare_dataset(
        PATH.value,
        DATA_DIR.value or datasets_folder(),
        name=NAME.value,
        **photo_flags.values(READ),
    )
    print(f"dataset: {folder}; train on it with --config.data.path={folder}")


if __name__ == "__main__":
    launch.run(main, required=["path"])
