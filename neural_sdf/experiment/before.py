"""What is told, doubted or refused before the first step."""

from __future__ import annotations

import warnings

import numpy as np

from neural_sdf.experiment.build import Config, fits_device
from neural_sdf.geometry import coordinates
from neural_sdf.machine.memory import gib, host_memory
from neural_sdf.mistake import Doubt, Mistake
from neural_sdf.photos import Memory
from neural_sdf.scenes import Scene

FEW_PIXELS = 16  # along the longer side; the object has half of them, and its outline a pixel


def doubt_start(config: Config) -> None:
    """Warns of a fresh surface that no ray can hit, since all begin inside it."""
    radius = config.field.get("radius", 0.5)
    if radius >= 1:
        told = (
            f"field radius is {radius:g}, and every ray begins inside the fresh surface, which the"
            " masks alone can shrink; expected less than 1, the radius of the region of interest"
        )
        warnings.warn(Doubt(told, setting="field.radius=0.6"), stacklevel=1)


def describe_memory(config: Config, memory: Memory) -> str:
    """One line for a person, before photos are read: how much memory they take, and where.

    Raises:
        Mistake: if the machine has less.
    """
    free = host_memory()
    if free is not None and memory.reading > free:
        raise Mistake(
            f"the photos need {gib(memory.reading)} of memory while they are read; expected at most"
            f" the {gib(free)} that are free",
            setting="downscale",
        )
    fits = fits_device(config, memory.kept)
    place = "on the device" if fits else "on the host"
    return (
        f"photos take {gib(memory.kept)}, {gib(memory.reading)} while they are read; they are kept"
        f" {place} (config.train.device_photos={config.train.device_photos:g} GiB)"
    )


def check_photos(scene: Scene) -> None:
    """Refuses and doubts photos that teach nothing.

    Raises:
        Mistake: without masks nothing is learned here.

    Warns:
        Doubt: they have but a few pixels.
    """
    longest = int(np.max(scene.sizes))
    if longest < FEW_PIXELS:
        told = f"the photos have at most {longest} pixels a side, which show next to no shape"
        mend = "give larger photos, or a smaller <data.downscale>"
        warnings.warn(Doubt(f"{told}; expected at least {FEW_PIXELS}", remedy=mend), stacklevel=1)
    if not scene.source.has_masks:
        raise Mistake(
            "the photos have neither masks nor alpha channels, expected the outline of the object"
            " in every photo, since training without is not supported",
            remedy="add masks (a folder mask/ or masks/, mask_path in transforms.json, or RGBA"
            " photos), or make some: python scripts/convert_scene.py --masks=background, or hull",
        )


def describe_scene(scene: Scene) -> str:
    """One line for a person: how many photos, how large, and where the object is."""
    num_train, count = int(scene.num_train), len(scene.sizes)
    sizes = sorted({f"{width}x{height}" for height, width in scene.sizes})
    frame = scene.world_from_scene
    radius = float(frame.scale)
    return (
        f"{num_train} photos to train on and {count - num_train} held out, "
        f"{', '.join(sizes)} pixels; region of interest: radius {radius:.4g} about "
        f"({coordinates(np.asarray(frame.translation), radius)}) in world units, from "
        f"{scene.source.region}"
    )
