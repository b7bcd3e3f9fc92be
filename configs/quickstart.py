"""The embedded scene, a cup on a saucer: nothing to download.

    python train.py --config=configs/quickstart.py --workdir=runs/quickstart
    python eval.py --workdir=runs/quickstart

Two CPU cores, jaxlib 0.10.2: 37 s from start to checkpoint. Held out (8 views): masked PSNR
27.9 dB, mask IoU 0.991; Chamfer (mean of the two directed means) 0.13 % of the bounding box's
diagonal, normal consistency 0.991. With seed 1: 29.1 dB, 0.990; 0.13 %, 0.992.
"""

from ml_collections import ConfigDict

from neural_sdf.experiment.defaults import with_defaults


def get_config() -> ConfigDict:
    """Small photos, a small network, minutes."""
    return with_defaults(
        dict(
            data=dict(format="synthetic"),
            field=dict(
                name="mlp",
                width=128,
                depth=4,
                skip=2,
                num_features=64,
                num_octaves=6,
                radius=0.6,
                radiance_width=128,
                radiance_depth=3,
                point_octaves=0,
                direction_octaves=1,
                weight_norm=False,
                activation="squareplus",
            ),
            train=dict(steps=1600),
        )
    )
