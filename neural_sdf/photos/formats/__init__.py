"""The layouts of photo sets: one reader a module, and a writer where other tools read it."""

from neural_sdf.photos.files.capture import Format
from neural_sdf.photos.formats.blended_mvs import BLENDED_MVS
from neural_sdf.photos.formats.colmap import COLMAP
from neural_sdf.photos.formats.dataset import DATASET
from neural_sdf.photos.formats.idr import IDR
from neural_sdf.photos.formats.llff import LLFF
from neural_sdf.photos.formats.middlebury import MIDDLEBURY
from neural_sdf.photos.formats.nsvf import NSVF
from neural_sdf.photos.formats.projections import PROJECTIONS
from neural_sdf.photos.formats.sdfstudio import SDFSTUDIO
from neural_sdf.photos.formats.transforms import TRANSFORMS

# In order of precedence: a folder with the files of several is the first's. Cameras that were made
# for training come before the model that they were made from, which often still lies beside them.
FORMATS: dict[str, Format] = {
    "dataset": DATASET,
    "idr": IDR,
    "transforms": TRANSFORMS,
    "colmap": COLMAP,
    "llff": LLFF,
    "sdfstudio": SDFSTUDIO,
    "nsvf": NSVF,
    "blended_mvs": BLENDED_MVS,
    "middlebury": MIDDLEBURY,
    "projections": PROJECTIONS,
}

__all__ = ["FORMATS"]
