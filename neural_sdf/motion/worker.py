"""Structure from motion in a process of its own: `python worker.py job.json`.

A process of its own because pycolmap brings its own zlib, with which Pillow's PNG writer crashes
(pycolmap 4.2.1), because some of its errors end the process, and because it can then be stopped at
any time. Imports nothing of neural_sdf. `motion` starts it, and reads what it leaves in the folder
of the job: a database of features and matches, models in `models/`, and `models.json`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap

SEED = 0
# One coefficient of radial distortion while models are small, where more would explain noise and
# run away; in the end two, as telephones have them, or as many as the points can tell.
FIRST_LENS = "SIMPLE_RADIAL"
LENSES = {"RADIAL": 5, "SIMPLE_RADIAL": 4, "SIMPLE_PINHOLE": 3}  # and how many numbers they have
SURE = 0.05  # share by which a lens may move the corner of a photo without further evidence
BEYOND = 2.0  # times what it moves the outermost points by; else it is an extrapolation
MOST_FEATURES = 4096  # of a photo; twice as many take four times as long to match, for no gain
FAINTEST = 0.004  # contrast of a feature; COLMAP's 0.0067 finds too few on pale things
FARTHEST, LEAST_ANGLE = 2.0, 1.5  # pixels from where it should be, degrees between its rays
REFINEMENTS = 3  # the last of which drops next to nothing


def main(job: dict[str, Any]) -> None:
    """Finds features, matches them and maps.

    Args:
        job: `folder`, which holds `images/` with a folder for each camera; `focals`, the focal
            length of each in pixels, null where unknown; and `inside`, a folder in it of masks in
            which alone points are found, empty for the whole photos.
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
    if job["inside"]:
        reader.mask_path = folder / job["inside"]
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
    """Fits cameras and points once more, and drops points that do not fit.

    Each camera has the first of `LENSES` that its points support: an object in the middle of the
    photos says little of their corners.
    """
    cameras = dict(model.cameras)
    for lens, count in LENSES.items():
        for camera in cameras.values():
            numbers = [*camera.params, 0.0][:count]
            camera.model = getattr(pycolmap.CameraModelId, lens)
            camera.params = numbers
        for _ in range(REFINEMENTS):
            pycolmap.bundle_adjustment(model, pycolmap.BundleAdjustmentOptions())
            pycolmap.ObservationManager(model).filter_all_points3D(FARTHEST, LEAST_ANGLE)
        cameras = {i: camera for i, camera in cameras.items() if not is_supported(model, i)}
        if not cameras:
            break
    model.update_point_3d_errors()


def is_supported(model: pycolmap.Reconstruction, camera_id: int) -> bool:
    """Whether a lens does at the corners of its photos what the points near them can tell."""
    camera = model.cameras[camera_id]
    middle = np.array([camera.principal_point_x, camera.principal_point_y])
    points = [
        point.xy
        for i in model.reg_image_ids()
        if model.image(i).camera_id == camera_id
        for point in model.image(i).points2D
        if point.has_point3D()
    ]
    if not points:
        return True
    farthest = np.quantile(np.linalg.norm(np.array(points) - middle, axis=1), 0.99)
    radii = np.array([farthest, np.linalg.norm(middle)]) / camera.mean_focal_length()
    coefficients = camera.params[3:]
    at_points, at_corner = np.abs(
        sum(k * radii ** (2 * n) for n, k in enumerate(coefficients, start=1)) + 0 * radii
    )
    return bool(at_corner <= max(SURE, BEYOND * at_points))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
