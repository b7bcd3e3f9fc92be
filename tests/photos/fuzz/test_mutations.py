"""Camera files that are broken end in a reading or in one sentence.

NEURAL_SDF_FUZZ is the number of mutations of each layout, most of them in the slow run; what fails
is printed with its seed. A hang is found by pytest's timeout alone.
"""

import json
import os
import random

import pytest

from tests.photos import layouts
from tests.photos.fuzz.inspected import changed, check, told
from tests.photos.fuzz.mutations import cut, delete, flip, insert, leaf, mutant
from tests.photos.layouts import LAYOUTS

FEW, COUNT = 12, int(os.environ.get("NEURAL_SDF_FUZZ", "60"))
WHOLE = 3  # of so many mutants one is looked at with its pixels too


def seeds(share: int):
    """Of `COUNT // share` mutants a fifth at once, the others in the slow run."""
    few, count = FEW // share, COUNT // share
    rest = pytest.param(range(few, count), id="rest", marks=pytest.mark.slow)
    return pytest.mark.parametrize("seeds", [pytest.param(range(few), id="few"), rest])


@seeds(1)
def test_every_mutation_of_the_cameras_ends_in_a_reading_or_a_sentence(good, seeds):
    layout, folder = good
    assert check(folder) == []
    refused = 0
    for seed in seeds:
        rng = random.Random(f"{layout} {seed}")
        name = rng.choice(LAYOUTS[layout].files)
        content = mutant(rng, name, (folder / name).read_bytes())
        with changed(folder / name, content), told(f"mutant {seed} of {layout}: {name}", content):
            refused += bool(check(folder, whole=seed % WHOLE == 0))
    assert refused > 0.2 * len(seeds)
    assert check(folder) == [], "the set was put back"


@seeds(2)
def test_every_mutation_of_the_region_ends_in_a_reading_or_a_sentence(transforms, seeds):
    turn = [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    good = {"centre": list(layouts.CENTRE), "radius": layouts.RADIUS, "rotation": turn}
    good = json.dumps(good).encode()
    with changed(transforms / "region.json", good):
        assert check(transforms) == []
    for seed in seeds:
        rng = random.Random(f"region {seed}")
        content = rng.choice([flip, cut, delete, insert, leaf, leaf, leaf])(rng, good)
        with (
            changed(transforms / "region.json", content),
            told(f"mutant {seed} of the region:", content),
        ):
            check(transforms)


@seeds(2)
@pytest.mark.parametrize("place", ["train", "masks"])
def test_every_mutation_of_an_image_ends_in_a_reading_or_a_sentence(transforms, place, seeds):
    refused = 0
    path = transforms / place / "003.png"
    for seed in seeds:
        rng = random.Random(f"{place} {seed}")
        content = rng.choice([flip, flip, cut, delete, insert])(rng, path.read_bytes())
        with changed(path, content), told(f"mutant {seed} of {path.name} in {place}:", content):
            refused += bool(check(transforms))
    assert refused > 0.2 * len(seeds)
