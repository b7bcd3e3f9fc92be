"""What it costs a training step to compare photos where its rays hit."""

from __future__ import annotations

from functools import partial

from measure import Row, alternating_times, compare, ratio
from next_step import NextStep, compiled_step, next_step

from neural_sdf.experiment.build import loss_weights
from neural_sdf.stereo import photo_pyramid, pyramid_shapes
from neural_sdf.training import COMPARING


def comparing_times(now: NextStep) -> list[Row]:
    """The run's own step and batch with its other losses, without and with those of `COMPARING`."""
    now = next_step(now.trained, now.scene, now.trained.config.train.batch_size)
    scene = now.scene
    shapes = pyramid_shapes(len(scene.rgb), int(scene.num_train), float("inf"))
    weights = loss_weights(now.trained.config.train)
    alone = {name: weight for name, weight in weights.items() if name not in COMPARING}
    both = alone | dict.fromkeys(sorted(COMPARING), 1.0)
    ways = {
        "alone": (now._replace(photos=None), alone),
        "with": (now._replace(photos=photo_pyramid(scene, shapes)), both),
    }
    programs = {
        name: partial(compiled_step(way, weights=these), way.state, way.batch, photos=way.photos)
        for name, (way, these) in ways.items()
    }
    times = alternating_times(programs, ())
    return [
        *compare("comparing", times, "ms"),
        Row("comparing_over_alone", ratio(times["with"], times["alone"]), ""),
    ]
