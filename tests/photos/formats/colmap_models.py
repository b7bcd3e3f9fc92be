"""COLMAP's camera models: their lines, what is read of them, and their numbers in binary files."""

from neural_sdf.photos.files.lens_models import (
    Division,
    EnhancedUnified,
    FieldOfView,
    Fisheye,
    OpenCV,
    ThinPrismFisheye,
)

LENSES = [
    ("SIMPLE_PINHOLE", "60 25 17", 60, None),
    ("PINHOLE", "60 66 25 17", 66, None),
    ("SIMPLE_RADIAL", "60 25 17 .1", 60, OpenCV(k1=0.1)),
    ("RADIAL", "60 25 17 .1 .2", 60, OpenCV(k1=0.1, k2=0.2)),
    ("OPENCV", "60 66 25 17 .1 .2 .3 .4", 66, OpenCV(0.1, 0.2, 0.3, 0.4)),
    ("OPENCV_FISHEYE", "60 66 25 17 .1 .2 .3 .4", 66, Fisheye(0.1, 0.2, 0.3, 0.4)),
    ("SIMPLE_RADIAL_FISHEYE", "60 25 17 .1", 60, Fisheye(0.1)),
    ("RADIAL_FISHEYE", "60 25 17 .1 .2", 60, Fisheye(0.1, 0.2)),
    ("SIMPLE_FISHEYE", "60 25 17", 60, Fisheye()),
    ("FISHEYE", "60 66 25 17", 66, Fisheye()),
    ("FOV", "60 66 25 17 .5", 66, FieldOfView(0.5)),
    ("SIMPLE_DIVISION", "60 25 17 -.1", 60, Division(-0.1)),
    ("DIVISION", "60 66 25 17 -.1", 66, Division(-0.1)),
    ("EUCM", "60 66 25 17 .5 1.1", 66, EnhancedUnified(0.5, 1.1)),
    (
        "THIN_PRISM_FISHEYE",
        "60 66 25 17 .1 .2 .3 .4 .5 .6 .7 .8",
        66,
        ThinPrismFisheye(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
    ),
    (
        "FULL_OPENCV",
        "60 66 25 17 .1 .2 .3 .4 .5 .6 .7 .8",
        66,
        OpenCV(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
    ),
    ("OPENCV", "60 66 25 17 0 0 0 0", 66, None),
]
BINARY_IDS = {
    "SIMPLE_PINHOLE": 0,
    "PINHOLE": 1,
    "SIMPLE_RADIAL": 2,
    "RADIAL": 3,
    "OPENCV": 4,
    "OPENCV_FISHEYE": 5,
    "FULL_OPENCV": 6,
    "FOV": 7,
    "SIMPLE_RADIAL_FISHEYE": 8,
    "RADIAL_FISHEYE": 9,
    "THIN_PRISM_FISHEYE": 10,
    "SIMPLE_DIVISION": 12,
    "DIVISION": 13,
    "SIMPLE_FISHEYE": 14,
    "FISHEYE": 15,
    "EUCM": 16,
}
