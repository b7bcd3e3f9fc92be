"""The layouts of photo sets: one reader a module, and a writer where other tools read it."""

from neural_sdf.photos.files.capture import Format
from neural_sdf.photos.formats.blended_mvs import is_blended_mvs, read_blended_mvs
from neural_sdf.photos.formats.colmap import is_colmap, read_colmap, write_colmap
from neural_sdf.photos.formats.dataset import is_dataset, read_dataset
from neural_sdf.photos.formats.idr import is_idr, read_idr, write_idr
from neural_sdf.photos.formats.llff import is_llff, read_llff
from neural_sdf.photos.formats.middlebury import is_middlebury, read_middlebury
from neural_sdf.photos.formats.projections import is_projections, read_projections
from neural_sdf.photos.formats.transforms import is_transforms, read_transforms, write_transforms

FORMATS: dict[str, Format] = {
    "dataset": Format("dataset_info.json and checksums.json", is_dataset, read_dataset),
    "idr": Format("image/ and an npz of cameras", is_idr, read_idr, write_idr, ("image", "mask")),
    "transforms": Format(
        "transforms_train.json or transforms.json", is_transforms, read_transforms, write_transforms
    ),
    "colmap": Format(
        "cameras and images, .bin or .txt, in sparse/0/", is_colmap, read_colmap, write_colmap
    ),
    "llff": Format("poses_bounds.npy", is_llff, read_llff),
    "blended_mvs": Format("cams/*_cam.txt", is_blended_mvs, read_blended_mvs),
    "middlebury": Format("one *_par.txt", is_middlebury, read_middlebury),
    "projections": Format(
        "3 by 4 matrices in cameras/, calib/, cams/, projections/ or txt/",
        is_projections,
        read_projections,
    ),
}

__all__ = ["FORMATS"]
