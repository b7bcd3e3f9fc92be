import pickle

import pytest

from neural_sdf.mistake import Doubt, Mistake, file_mistakes, within


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        (Mistake("downscale is 0"), "downscale is 0"),
        (Mistake("downscale is 0", setting="downscale"), "downscale is 0; set downscale"),
        (Mistake("no region", setting=("box", "radius")), "no region; set box or radius"),
        (Mistake("no masks", remedy="add masks"), "no masks; add masks"),
        (Mistake("no region; set <box>, or <centre>"), "no region; set box, or centre"),
        (Mistake("too large", setting="a=2", remedy="the most"), "too large; set a=2; the most"),
    ],
)
def test_mistake_names_its_settings_and_its_remedy_in_one_line(mistake, sentence):
    assert str(mistake) == sentence
    assert str(pickle.loads(pickle.dumps(mistake))) == sentence


def test_mistake_is_a_value_error_for_a_caller_in_python():
    with pytest.raises(ValueError, match="given"):
        raise Mistake("given")


def test_a_doubt_is_told_as_a_mistake_is():
    doubt = Doubt("cameras are inside", remedy="set <radius> to the object's own")
    assert doubt.told(lambda name: f"--{name}").endswith("; set --radius to the object's own")
    assert str(doubt).endswith("; set radius to the object's own")


def test_mistake_within_a_section_is_told_with_the_section():
    with pytest.raises(Mistake, match=r"; set data\.box or data\.radius$"), within("data"):
        raise Mistake("no region", setting=("box", "radius"))


def test_file_that_is_missing_is_a_mistake_that_names_it(tmp_path):
    missing = tmp_path / "x"
    with pytest.raises(Mistake, match=r"x: No such .*; set path$"), file_mistakes("path"):
        missing.read_text()
