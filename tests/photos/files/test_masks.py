"""Photos find their masks by the usual names in the usual places, and no mask serves two."""

from pathlib import Path

import pytest

from neural_sdf.photos.files import masks as mask_files
from tests.photos.files.placed import put


def find_masks(folder, images):
    return mask_files.find_masks(folder, images).paths


def relative(folder: Path, masks) -> list[str | None]:
    return [None if mask is None else mask.relative_to(folder).as_posix() for mask in masks]


@pytest.mark.parametrize("place", ["mask", "masks", "silhouettes"])
@pytest.mark.parametrize("photos", ["image", "images", "rgb", "blended_images", "."])
def test_a_mask_has_the_stem_of_its_photo(tmp_path, photos, place):
    images = put(tmp_path, f"{photos}/b.jpg", f"{photos}/a.jpg")
    put(tmp_path, f"{place}/a.png", f"{place}/b.png", f"{place}/c.png")
    assert relative(tmp_path, find_masks(tmp_path, images)) == [f"{place}/b.png", f"{place}/a.png"]


def test_a_mask_may_have_the_whole_name_of_its_photo(tmp_path):
    images = put(tmp_path, "images/a.jpg", "images/b.jpg")
    put(tmp_path, "masks/b.jpg.png", "masks/a.jpg.png")
    masks = ["masks/a.jpg.png", "masks/b.jpg.png"]
    assert relative(tmp_path, find_masks(tmp_path, images)) == masks


def test_photos_in_folders_have_their_masks_in_folders_of_the_same_names(tmp_path):
    images = put(tmp_path, "images/left/0.jpg", "images/right/0.jpg", "images/right/1.jpg")
    masks = ["masks/left/0.jpeg", "masks/right/0.jpg.png", "masks/right/1.png"]
    put(tmp_path, *masks)
    assert relative(tmp_path, find_masks(tmp_path, images)) == masks
    assert relative(tmp_path, find_masks(tmp_path, images[::-1])) == masks[::-1]


def test_masks_of_photos_in_folders_may_lie_side_by_side(tmp_path):
    images = put(tmp_path, "images/left/0.jpg", "images/right/1.jpg")
    put(tmp_path, "masks/0.png", "masks/1.png")
    assert relative(tmp_path, find_masks(tmp_path, images)) == ["masks/0.png", "masks/1.png"]


def test_as_many_masks_of_other_names_are_paired_in_sorted_order(tmp_path):
    images = put(tmp_path, "images/y.jpg", "images/x.jpg", "images/z.jpg")
    put(tmp_path, "masks/2.png", "masks/1.png", "masks/3.png")
    masks = ["masks/2.png", "masks/1.png", "masks/3.png"]
    assert relative(tmp_path, find_masks(tmp_path, images)) == masks


@pytest.mark.parametrize(
    ("photo", "mask", "first"),
    [
        *[("images/IMG_{:04d}.png", "masks/m{}.png", 0), ("images/{}.jpg", "masks/{:02d}.png", 0)],
        *[("images/{:03d}.png", "masks/{}.png", 1), ("images/{}.jpg", "masks/mask{:04d}.png", 1)],
        *[("images/DSC{}.png", "masks/{}_v2.png", 0), ("images/f{}/a.png", "masks/{:05d}.png", 0)],
    ],
)
def test_masks_of_other_names_are_paired_by_number_and_not_1_10_2(tmp_path, photo, mask, first):
    images = put(tmp_path, *[photo.format(i) for i in range(13)])
    masks = [mask.format(i + first) for i in range(13)]
    put(tmp_path, *masks)
    assert relative(tmp_path, find_masks(tmp_path, images[::-1])) == masks[::-1]


def test_numbers_that_match_go_before_the_order_of_other_words(tmp_path):
    images = put(tmp_path, "images/left_1.jpg", "images/right_0.jpg")
    put(tmp_path, "masks/m0.png", "masks/m1.png")
    assert relative(tmp_path, find_masks(tmp_path, images)) == ["masks/m1.png", "masks/m0.png"]


def test_one_mask_with_its_photos_name_forbids_pairing_in_sorted_order(tmp_path):
    images = put(tmp_path, "images/a.jpg", "images/b.jpg", "images/c.jpg")
    put(tmp_path, "masks/0.png", "masks/b.png", "masks/1.png")
    masks = ["masks/a.png", "masks/b.png", "masks/c.png"]
    assert relative(tmp_path, find_masks(tmp_path, images)) == masks


def test_a_missing_mask_is_expected_where_it_should_be(tmp_path):
    images = put(tmp_path, "images/a.jpg", "images/left/b.jpg", "images/c.jpg")
    put(tmp_path, "masks/a.png")
    masks = ["masks/a.png", "masks/left/b.png", "masks/c.png"]
    found = find_masks(tmp_path, images)
    assert relative(tmp_path, found) == masks
    assert [path.is_file() for path in found] == [True, False, False]


def test_without_masks_there_is_none_for_each_photo(tmp_path):
    images = put(tmp_path, "images/a.jpg", "images/b.jpg")
    (tmp_path / "mask").mkdir()
    put(tmp_path, "other/a.png")
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks/notes.txt").write_text("none yet")
    assert find_masks(tmp_path, images) == [None, None]


HABITS = ["{0}.jpg.mask.png", "{0}_mask.png", "{0}.mask.png", "mask_{0}.png", "{0}-alpha.png"]


@pytest.mark.parametrize("habit", HABITS)
def test_a_mask_may_be_called_as_other_tools_do_it(tmp_path, habit):
    images = put(tmp_path, "images/a.jpg", "images/b.jpg")
    names = [f"masks/{habit.format(name)}" for name in "abc"]
    put(tmp_path, *names)
    found = mask_files.find_masks(tmp_path, images)
    assert relative(tmp_path, found.paths) == names[:2]
    assert relative(tmp_path, found.unused) == names[2:]


@pytest.mark.parametrize(
    "name", ["images_mask", "image_masks", "masks_2", "alpha", "Masks", "object_mask", "fg-masks"]
)
def test_a_folder_of_masks_may_have_other_names(tmp_path, name):
    images = put(tmp_path, "images/a.jpg", "images/b.jpg")
    put(tmp_path, f"{name}/a.png", f"{name}/b.png", "depths/a.png", "unmasked/b.png")
    assert relative(tmp_path, find_masks(tmp_path, images)) == [f"{name}/a.png", f"{name}/b.png"]


@pytest.mark.parametrize("habit", ["rig/{}/masks/0.png", "masks/rig/{}/0.png"])
def test_masks_lie_beside_each_camera_of_a_rig(tmp_path, habit):
    images = put(tmp_path, "rig/left/rgb/0.png", "rig/right/rgb/0.png")
    masks = [habit.format(side) for side in ("left", "right")]
    put(tmp_path, *masks)
    assert relative(tmp_path, find_masks(tmp_path, images)) == masks


def test_masks_to_ignore_lie_beside_their_photos_and_are_known_by_their_name(tmp_path):
    images = put(tmp_path, "images/0.png", "images/1.png")
    masks = ["images/dynamic_mask_0.png", "images/dynamic_mask_1.png"]
    put(tmp_path, *masks)
    assert relative(tmp_path, find_masks(tmp_path, images)) == masks
    assert all(mask_files.shows_background(Path(mask)) for mask in masks)
    assert not any(mask_files.shows_background(Path(m)) for m in ("masks/0.png", "mask_0.png"))


def test_a_mask_that_may_be_of_two_photos_is_of_neither(tmp_path):
    images = put(tmp_path, "images/left/0.png", "images/right/0.png")
    (mask,) = put(tmp_path, "masks/0.png")
    found = mask_files.find_masks(tmp_path, images)
    assert found == ([None, None], [mask], {mask: images})


def test_photos_of_one_stem_and_two_suffixes_have_their_own_masks_or_none(tmp_path):
    images = put(tmp_path, "images/0.jpg", "images/0.png")
    (mask,) = put(tmp_path, "masks/0.png")
    assert mask_files.find_masks(tmp_path, images) == ([None, None], [mask], {mask: images})
    mask.unlink()
    masks = put(tmp_path, "masks/0.jpg.png", "masks/0.png.png")
    assert find_masks(tmp_path, images) == masks


def test_a_photo_of_two_frames_has_its_mask_in_both(tmp_path):
    images = put(tmp_path, "images/0.png", "images/1.png")
    for names in (["masks/0.png", "masks/1.png"], ["masks/m0.png", "masks/m1.png"]):
        masks = put(tmp_path, *names)
        assert find_masks(tmp_path, [*images, images[1]]) == [*masks, masks[1]]
        for mask in masks:
            mask.unlink()


def test_masks_of_another_set_in_the_folder_are_not_taken(tmp_path):
    images = put(tmp_path, "train/r_0.png", "train/r_1.png")
    put(tmp_path, "idr/image/0.png", "idr/image/1.png", "idr/mask/0.png", "idr/mask/1.png")
    assert mask_files.find_masks(tmp_path, images) == ([None, None], [], {})


def test_of_several_folders_of_masks_the_usual_one_is_taken(tmp_path):
    images = put(tmp_path, "images/a.jpg", "images/b.jpg")
    put(tmp_path, "alpha/a.png", "masks_2/a.png", "masks/a.png", "masks_2/b.png")
    masks = ["masks/a.png", "masks_2/b.png"]
    assert relative(tmp_path, find_masks(tmp_path, images)) == masks


def test_the_mask_of_a_named_photo_may_be_named_so(tmp_path):
    """A thing to be scanned may be a mask."""
    images = put(tmp_path, "images/mask_1.jpg", "images/mask_2.jpg")
    assert find_masks(tmp_path, images) == [None, None]
    put(tmp_path, "masks/mask_1.png", "masks/mask_2.png")
    masks = ["masks/mask_1.png", "masks/mask_2.png"]
    assert relative(tmp_path, find_masks(tmp_path, images)) == masks
