"""Files that are broken end in a reading or in a sentence; `python -m tests.fuzz` tries thousands.

What fails is printed with its seed. A hang is found by pytest's timeout alone.
"""

import pytest

from tests.fuzz import mutants
from tests.fuzz.inspected import check, write
from tests.fuzz.mutants import KINDS

FEW = 6  # mutants of each kind, a hundred in all
MANY = 60  # of the cameras of each layout, pixels left out


@pytest.mark.parametrize("kind", KINDS)
def test_every_mutant_ends_in_a_sentence_or_is_read_as_it_was_meant(kind, tmp_path):
    layout, examine = KINDS[kind]
    folder = write(layout, tmp_path / "scene")
    assert check(folder) == []
    said = [examine(folder, seed) for seed in range(FEW)]
    assert any(said)
    assert check(folder) == [], "the set was put back"


@pytest.mark.slow
def test_every_mutation_of_the_cameras_ends_in_a_reading_or_a_sentence(good):
    layout, folder = good
    said = [mutants.cameras(layout, folder, seed, pixels=False) for seed in range(MANY)]
    assert sum(said) > 0.2 * MANY
