"""Structure from motion in a process of its own: `python motion_worker.py job.json`.

A process of its own because pycolmap brings its own zlib, with which Pillow's PNG writer crashes
(pycolmap 4.2.1), because some of its errors end the process, and because it can then be stopped at
any time. Imports nothing of neural_sdf. `motion` starts it, and reads what it leaves in the folder
of the job: a database of features and matches, models in `models/`, and `models.json`.
"""

import collections
import json
import sys
from pathlib import Path
from typing import Any

import pycolmap

SEED = 0
# One coefficient of radial distortion while models are small, where more would explain noise and
# run away; two, as telephones have them, in the end.
FIRST_LENS, LENS = "SIMPLE_RADIAL", "RADIAL"
FEWEST = 10  # photos of a camera that can tell its second coefficient
MOST_FEATURES = 4096  # of a photo; twice as many take four times as long to match, for no gain
FAINTEST = 0.004  # contrast of a feature; COLMAP's 0.0067 finds too few on pale things
FARTHEST, LEAST_ANGLE = 2.0, 1.5  # pixels from where it should be, degrees between its rays
REFINEMENTS = 3  # the last of which drops next to nothing


def main(job: dict[str, Any]) -> None:
    """Finds features, matches them and maps.

    Args:
        job: `folder`, which holds `images/` with a folder for each camera, and `focals`, the focal
            length of each in pixels, null where unknown.
    """
    folder = Path(job["folder"])
    database, images = folder / "database.db", folder / "images"
    pycolmap.set_random_seed(SEED)
    features = pycolmap.FeatureExtractionOptions()
    features.sift.max_num_features = MOST_FEATURES
    features.sift.peak_threshold = FAINTEST
    # Regions followed as they turn away: pairs of photos may be farther apart.
    features.sift.estimate_affine_shape = True
    reader = pycolmap.ImageReaderOptions()
    reader.camera_model = FIRST_LENS
    pycolmap.extract_features(
        database,
        images,
        camera_mode=pycolmap.CameraMode.PER_FOLDER,
        reader_options=reader,
        extraction_options=features,
    )
    set_focals(database, job["focals"])
    pycolmap.match_exhaustive(database)
    models = map_images(database, images, folder)
    (folder / "models.json").write_text(json.dumps(models))


def set_focals(database: Path, focals: dict[str, float | None]) -> None:
    """Starts each camera, one a folder, from the focal length that EXIF gave it."""
    with pycolmap.Database.open(database) as base:
        for name, camera_id in {
            (i.name.split("/")[0], i.camera_id) for i in base.read_all_images()
        }:
            if focals[name] is not None:
                camera = base.read_camera(camera_id)
                camera.params[0] = focals[name]
                camera.has_prior_focal_length = True
                base.update_camera(camera)


def map_images(database: Path, images: Path, folder: Path) -> list[dict[str, Any]]:
    """Groups of photos that fit together, each with its poses and points, the largest first."""
    options = pycolmap.IncrementalPipelineOptions()
    options.random_seed = SEED
    done = folder / "mapped"
    done.write_text("")

    def count() -> None:
        with done.open("a") as file:
            file.write(".")

    (folder / "models").mkdir()
    models = pycolmap.incremental_mapping(
        database, images, folder / "models", options=options, next_image_callback=count
    )
    largest_first = sorted(models.items(), key=lambda item: -item[1].num_reg_images())
    for index, model in largest_first[:1]:
        refine(model)
        model.write(folder / "models" / str(index))
    return [
        {
            "folder": str(index),
            "images": sorted(model.image(i).name for i in model.reg_image_ids()),
            "error": model.compute_mean_reprojection_error(),
            "points": model.num_points3D(),
        }
        for index, model in largest_first
    ]


def refine(model: pycolmap.Reconstruction) -> None:
    """Fits cameras and points once more, with the last lens, and drops points that do not fit."""
    photos = collections.Counter(model.image(i).camera_id for i in model.reg_image_ids())
    for camera_id, camera in model.cameras.items():
        if photos[camera_id] >= FEWEST:
            camera.model = getattr(pycolmap.CameraModelId, LENS)
            camera.params = [*camera.params, 0.0]
    options = pycolmap.BundleAdjustmentOptions()
    for _ in range(REFINEMENTS):
        pycolmap.bundle_adjustment(model, options)
        pycolmap.ObservationManager(model).filter_all_points3D(FARTHEST, LEAST_ANGLE)
    model.update_point_3d_errors()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
