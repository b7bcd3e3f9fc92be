"""IDR as published: the paper's networks and schedule (Yariv et al. 2020).

    python train.py --config=configs/idr.py --config.data.path=my_photos --workdir=runs/idr

8 x 512 softplus and 4 x 512 ReLU networks with weight norm, Adam at 1e-4 halved at 1/2 and 3/4 of
the run, 2048 rays a step, mask sharpness doubled from 50 to 1600. Three things differ: a batch
draws from all photos and not from one, the tracer brackets its hits, the first sphere is fitted.

Two CPU cores, jaxlib 0.10.2, 43 real photos of 1600 x 1200 (DTU scan 65): 200 steps
(--config.train.steps=200) took 145 s, 0.66 s a step. The whole schedule was not run; at that rate
it would take about 18 hours (extrapolated).
"""

from ml_collections import ConfigDict

from neural_sdf.experiment.defaults import with_defaults


def get_config() -> ConfigDict:
    """2000 epochs of 49 photos are 98,000 steps: meant for an accelerator."""
    return with_defaults(
        dict(
            field=dict(
                name="mlp",
                width=512,
                depth=8,
                skip=4,
                num_features=256,
                num_octaves=6,
                radius=0.6,
                radiance_width=512,
                radiance_depth=4,
                point_octaves=0,
                direction_octaves=4,
                weight_norm=True,
                activation="softplus",
            ),
            train=dict(
                steps=98_000,
                batch_size=2048,
                learning_rate=1e-4,
                warmup=0,
                decay="halving",
                # Colours here are in [0, 1], in the paper in [-1, 1]: twice its colour weight of 1.
                weights=dict(colour=2.0, eikonal=0.1, mask=100.0),
                log_every=100,
                checkpoint_every=1000,
            ),
        )
    )
