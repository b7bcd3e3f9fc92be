"""What loading makes right by itself, and what it then says: opaque alpha, sizes, turns, names."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from neural_sdf.photos import load_photos, load_scene, load_to_mask
from neural_sdf.photos.doctor import inspect_scene
from neural_sdf.photos.layouts import read_capture
from neural_sdf.scenes import view_mask


def test_alpha_that_is_opaque_everywhere_is_no_mask(transforms_folder):
    for path in (transforms_folder / "images").iterdir():
        with Image.open(path) as image:
            image.putalpha(255)
            image.save(path)
    assert not load_scene(transforms_folder).source.has_masks


def test_a_few_opaque_photos_among_cut_outs_are_told(transforms_folder):
    path = transforms_folder / "images/003.png"
    with Image.open(path) as image:
        image.putalpha(255)
        image.save(path)
    with pytest.warns(UserWarning, match="1 of 12 masks are all full: images_003"):
        load_scene(transforms_folder)


def test_a_set_without_a_photo_that_is_there_is_told_in_one_line(transforms_folder):
    for path in (transforms_folder / "images").iterdir():
        path.unlink()
    with (
        pytest.warns(UserWarning, match="12 of 12 files are missing"),
        pytest.raises(ValueError, match=r"no photo of .* is left, of 12 views in its files"),
    ):
        load_scene(transforms_folder, skip_missing=True)


def test_masks_that_say_nothing_are_left_out_where_others_will_be_made(idr_folder):
    assert load_to_mask(idr_folder).source.has_masks
    for path in (idr_folder / "mask").iterdir():
        Image.new("L", (48, 36), 255).save(path)
    with pytest.warns(UserWarning, match="12 of 12 masks are all full.*masks are left out"):
        assert not load_to_mask(idr_folder).source.has_masks
    assert not load_photos(idr_folder).source.has_masks


def test_a_mask_of_half_the_size_is_enlarged(idr_folder):
    before = view_mask(load_scene(idr_folder), 3)
    path = idr_folder / "mask/003.png"
    with Image.open(path) as image:
        image.resize((24, 18), Image.Resampling.BOX).save(path)
    after = view_mask(load_scene(idr_folder), 3)
    assert after.shape == before.shape and (after != before).mean() < 0.03


def test_photos_of_half_the_size_have_the_same_rays(transforms_folder):
    whole = load_scene(transforms_folder, downscale=2)
    for path in (transforms_folder / "images").iterdir():
        with Image.open(path) as image:
            image.resize((24, 18), Image.Resampling.BOX).save(path)
    with pytest.warns(UserWarning, match=r"12 of 12 photos .* 24x18 pixels, not 48x36"):
        half = load_scene(transforms_folder)
    np.testing.assert_allclose(half.intrinsics, whole.intrinsics, rtol=1e-12)
    assert float(half.world_from_scene.scale) == pytest.approx(
        float(whole.world_from_scene.scale), rel=0.05
    )


def test_photos_shown_on_their_side_are_read_as_their_camera_has_them(transforms_folder, edit_json):
    upright = load_scene(transforms_folder)
    exif = Image.Exif()
    exif[274] = 6  # stored turned to the left, to be shown turned back
    for path in (transforms_folder / "images").iterdir():
        with Image.open(path) as image:
            image.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    turned = load_scene(transforms_folder)
    np.testing.assert_array_equal(turned.rgb, upright.rgb)
    np.testing.assert_array_equal(turned.intrinsics, upright.intrinsics)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("means_shown", [True, False])
def test_masks_that_lie_otherwise_than_their_photos_are_turned_with_them(
    transforms_folder, edit_json, orientation, means_shown
):
    """Masks of the pixels before EXIF's turn where the camera means those after it, and round."""
    upright = load_scene(transforms_folder)
    exif = Image.Exif()
    exif[274] = orientation
    (transforms_folder / "masks").mkdir()
    for path in (transforms_folder / "images").iterdir():
        with Image.open(path) as image:
            photo, mask = image.convert("RGB"), image.getchannel("A")
        photo.save(path, exif=exif)
        if means_shown:  # stored so that the turn shows what the camera means
            stored = next(
                turn
                for turn in Image.Transpose
                if np.array_equal(shown(photo.transpose(turn), exif), np.asarray(photo))
            )
            photo.transpose(stored).save(path, exif=exif)
            mask.transpose(stored).save(transforms_folder / "masks" / path.name)
        else:
            Image.fromarray(shown(mask, exif)).save(transforms_folder / "masks" / path.name)
    codes = {finding.code for finding in inspect_scene(transforms_folder).findings}
    assert "turned-masks" in codes and "scaled-masks" not in codes
    np.testing.assert_array_equal(load_scene(transforms_folder).mask, upright.mask)


def shown(image: Image.Image, exif: Image.Exif) -> np.ndarray:
    tagged = image.copy()
    tagged.getexif()[274] = exif[274]
    return np.asarray(ImageOps.exif_transpose(tagged))


def test_views_of_one_name_get_names_of_their_own(transforms_folder, edit_json):
    """Two photos of one stem, and two whose folders and names run into one."""
    for i, name in enumerate(("a.png", "a.jpg", "b/c.png", "b_c.png")):
        path = transforms_folder / "images" / name
        path.parent.mkdir(exist_ok=True)
        with Image.open(transforms_folder / f"images/{i:03d}.png") as image:
            image.convert("RGB" if path.suffix == ".jpg" else "RGBA").save(path)
        edit_json(
            transforms_folder / "transforms.json",
            lambda d, i=i, name=name: d["frames"][i].update(file_path=f"images/{name}"),
        )
    names = [v.name for v in read_capture(transforms_folder, format="auto", cameras="").views]
    assert len(set(names)) == 12
    assert {"images_a_png", "images_a_jpg"} < set(names)
