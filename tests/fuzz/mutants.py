"""Mutants of good inputs, each by its kind and seed, and what must hold of every one.

None ends in an error that is not a sentence, and none is read as something else without a word.
"""

import json
import random
import runpy
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from neural_sdf.experiment.build import build
from neural_sdf.experiment.defaults import flat
from neural_sdf.experiment.workdir import read_config, whole
from neural_sdf.launch import configs
from neural_sdf.mistake import Mistake
from neural_sdf.photos import open_scene
from tests.fuzz.inspected import PHOTOS, VIEWS, changed, check, is_sentence, told
from tests.fuzz.mutations import cut, delete, flip, insert, leaf, mutant
from tests.photos.layouts import CENTRE, LAYOUTS, RADIUS

TURN = [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
REGION = json.dumps({"centre": CENTRE, "radius": RADIUS, "rotation": TURN}).encode()


def cameras(layout: str, folder: Path, seed: int, *, pixels: bool = True) -> bool:
    """Whether anything is said of a set with other cameras; pixels are looked at if asked for."""
    rng = random.Random(f"{layout} {seed}")
    name = rng.choice(LAYOUTS[layout].files)
    content = mutant(rng, name, (folder / name).read_bytes())
    with changed(folder / name, content), told(f"mutant {seed} of {layout}: {name}", content):
        return bool(check(folder, whole=pixels))


def region(folder: Path, seed: int) -> bool:
    """Whether anything is said of a transforms set with another region."""
    rng = random.Random(f"region {seed}")
    content = rng.choice([flip, cut, delete, insert, leaf, leaf, leaf])(rng, REGION)
    with changed(folder / "region.json", content), told(f"mutant {seed} of the region:", content):
        return bool(check(folder))


def image(place: str, folder: Path, seed: int) -> bool:
    """Whether anything is said of a transforms set with a damaged file in `train` or `masks`."""
    rng = random.Random(f"{place} {seed}")
    path = folder / place / "003.png"
    content = rng.choice([flip, flip, cut, delete, insert])(rng, path.read_bytes())
    with changed(path, content), told(f"mutant {seed} of {path.name} in {place}:", content):
        return bool(check(folder))


def mask(folder: Path, seed: int) -> bool:
    """Whether anything is said of a transforms set with another whole mask, or all so."""
    rng = random.Random(f"mask {seed}")
    change = rng.choice(list(MASKS))
    which = range(VIEWS) if rng.random() < 0.5 else [rng.randrange(VIEWS)]
    paths = [folder / "masks" / f"{i:03d}.png" for i in which]
    before = [path.read_bytes() for path in paths]
    try:
        for i, path in zip(which, paths, strict=True):
            MASKS[change](rng, i).save(path)
        with told(f"mutant {seed} of masks: {change} of {list(which)}", b""):
            return bool(check(folder))
    finally:
        for path, content in zip(paths, before, strict=True):
            path.write_bytes(content)


def config(name: str, folder: Path, seed: int) -> bool:
    """Whether anything is said of the config.json of a run on a transforms set."""
    rng = random.Random(f"{name} {seed}")
    shipped = flat(runpy.run_path(str(configs()[name]))["get_config"]().to_dict())
    good = whole(shipped | {"data.path": str(folder), "data.format": "auto"}).to_dict()
    content = rng.choice([flip, cut, delete, insert, *[leaf] * 8])(rng, json.dumps(good).encode())
    path = folder.with_name("config.json")
    with changed(path, content), told(f"mutant {seed} of {name}:", content):
        try:
            read, remark = read_config(path)
            build(read).shapes(VIEWS)
            if read.data.path == str(folder):
                open_scene(**read.data.to_dict())
        except Mistake as error:
            remark = str(error)
        assert is_sentence(remark), remark
        return bool(remark)


def _grey(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values.astype(np.uint8))


def _rgba(values: np.ndarray, shown: np.ndarray) -> Image.Image:
    return Image.fromarray(np.dstack([values, 255 * shown[..., None]]).astype(np.uint8))


def _shifted(rng: random.Random, i: int) -> Image.Image:
    return _grey(255 * np.roll(PHOTOS.mask[i], rng.choice((-8, 8)), rng.randrange(2)))


MASKS: dict[str, Callable[[random.Random, int], Image.Image]] = {
    "inverse": lambda rng, i: _grey(255 * ~PHOTOS.mask[i]),
    "ones": lambda rng, i: _grey(PHOTOS.mask[i]),
    "grey": lambda rng, i: _grey(rng.choice((60, 128, 200)) * PHOTOS.mask[i]),
    "two values": lambda rng, i: _grey(np.where(PHOTOS.mask[i], 255, 100)),
    "blank": lambda rng, i: _grey(0 * PHOTOS.mask[i]),
    "full": lambda rng, i: _grey(255 + 0 * PHOTOS.mask[i]),
    "16 bits": lambda rng, i: Image.fromarray((65535 * PHOTOS.mask[i]).astype(np.uint16)),
    "one bit": lambda rng, i: Image.fromarray(PHOTOS.mask[i]),
    "palette": lambda rng, i: _grey(255 * PHOTOS.mask[i]).convert("P"),
    "cut-out": lambda rng, i: _rgba(PHOTOS.rgb[i], PHOTOS.mask[i]),
    "opaque": lambda rng, i: _rgba(PHOTOS.rgb[i], PHOTOS.mask[i] | True),
    "photo": lambda rng, i: Image.fromarray(PHOTOS.rgb[i]),
    "twice as large": lambda rng, i: _grey(255 * PHOTOS.mask[i]).resize((96, 96)),
    "half as large": lambda rng, i: _grey(255 * PHOTOS.mask[i]).resize((24, 24)),
    "of other shape": lambda rng, i: _grey(255 * PHOTOS.mask[i]).resize((48, 30)),
    "shifted": _shifted,
    "upside down": lambda rng, i: _grey(255 * PHOTOS.mask[i][::-1]),
    "transposed": lambda rng, i: _grey(255 * PHOTOS.mask[i].T),
    "another's": lambda rng, i: _grey(255 * PHOTOS.mask[(i + rng.randrange(1, VIEWS)) % VIEWS]),
}
# A kind of mutant -> the layout of the set that it takes, and the mutant of a seed.
KINDS: dict[str, tuple[str, Callable[[Path, int], bool]]] = {
    **{layout: (layout, partial(cameras, layout)) for layout in LAYOUTS},
    "region": ("transforms", region),
    "photo": ("transforms", partial(image, "train")),
    "mask file": ("transforms", partial(image, "masks")),
    "masks": ("transforms", mask),
    **{f"config {name}": ("transforms", partial(config, name)) for name in configs()},
}
