"""Files are found under a trivially other spelling, where one alone can be meant."""

from pathlib import Path

import pytest

from neural_sdf.photos.formats.entries import named_masks, named_photos


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(folder: Path, *names: str) -> list[str]:
    named = named_photos(folder, [Path(name) for name in names], "a file")
    assert all(path.is_relative_to(folder) for path in named.paths)
    return [path.relative_to(folder).as_posix() if path.is_file() else "" for path in named.paths]


@pytest.mark.parametrize(
    "name",
    [
        *("images/a b.png", "images/a b.jpg", "images/a b.JPEG", "images/A B.PNG", "a b.png"),
        *(
            "images/a b",
            "data/vase/images/a b.png",
            "home/me/set/images/a b.tiff",
            "IMAGES/a b.jpg",
        ),
        *("images/a%20b.png", "photos/a b.jpg"),
    ],
)
def test_the_only_file_that_can_be_meant_is_taken(tmp_path, name):
    put(tmp_path, "images/a b.png", "images/other.png", "masks/a b.png", "depth/a b.png")
    assert found(tmp_path, name) == ["images/a b.png"]


def test_letters_with_accents_are_the_same_in_either_form(tmp_path):
    put(tmp_path, "images/caf\u00e9.jpg")
    assert found(tmp_path, "images/cafe\u0301.jpg") == ["images/caf\u00e9.jpg"]


def test_the_file_with_most_of_the_names_folders_is_taken(tmp_path):
    put(tmp_path, "left/rgb/0.png", "right/rgb/0.png")
    assert found(tmp_path, "set/left/rgb/0.jpg", "x/right/rgb/0.jpg") == [
        "left/rgb/0.png",
        "right/rgb/0.png",
    ]
    assert found(tmp_path, "rgb/0.jpg") == [""], "two can be meant"


def test_no_file_is_taken_for_two_names(tmp_path):
    put(tmp_path, "images/0.png")
    assert found(tmp_path, "left/0.png", "right/0.png") == ["", ""]
    assert found(tmp_path, "images/0.png", "images/0.jpg") == ["images/0.png", ""]


def test_a_missing_photo_is_not_replaced_by_a_smaller_one(tmp_path):
    """Where some names are right as they are, others are looked for beside those alone."""
    put(tmp_path, "images/0.png", "images_4/0.png", "images_4/1.png")
    assert found(tmp_path, "images/0.png", "images/1.png") == ["images/0.png", ""]


def test_a_photo_is_never_taken_for_a_mask_nor_a_mask_for_a_photo(tmp_path):
    put(tmp_path, "images/0.png", "masks/1.png")
    named = named_masks(tmp_path, [Path("mask/0.png"), Path("mask/1.png")], "a file")
    assert named.paths == [tmp_path / "mask/0.png", tmp_path / "masks/1.png"]
    assert found(tmp_path, "images/1.png") == [""]


def test_other_spellings_are_told_in_one_note(tmp_path):
    put(tmp_path, "images/0.png", "images/1.png")
    (note,) = named_photos(tmp_path, [Path("images/0.jpg"), Path("images/1.png")], "x.txt").findings
    assert note.level == "note" and "1 of 2 files" in note.message
    assert "x.txt: images/0.jpg is images/0.png;" in note.message
    assert not named_photos(tmp_path, [Path("images/0.png")], "x.txt").findings
