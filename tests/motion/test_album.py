"""Plain photos: read as they are shown, named when they cannot be, sorted by camera."""

import os

import numpy as np
import pytest
from PIL import ExifTags, Image

from neural_sdf.motion.album import read_album, reduction, write_album

MAKE, MODEL, TURN = ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.Orientation
FILM = ExifTags.Base.FocalLengthIn35mmFilm


def pattern(height=120, width=160, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)


def save(path, pixels, *, turn=1, model=None, film=None):
    """A photo with EXIF."""
    exif = Image.Exif()
    exif[TURN] = turn
    if model is not None:
        exif[MAKE], exif[MODEL] = "Maker", model
    if film is not None:
        exif.get_ifd(ExifTags.IFD.Exif)[FILM] = film
    Image.fromarray(pixels).save(path, exif=exif)


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "photos"
    place.mkdir()
    for i in range(3):
        save(place / f"{i}.png", pattern(seed=i))
    return place


def written(album, factor, tmp_path) -> list[np.ndarray]:
    places = write_album(album, factor, tmp_path / "out")
    return [np.asarray(Image.open(tmp_path / "out/images" / place)) for place in places]


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_photo_is_turned_as_its_exif_says(folder, tmp_path, turn):
    """By hand: where each orientation stores the first row and column (EXIF 2.3)."""
    shown = pattern(seed=9)
    stored = {
        1: shown,
        2: shown[:, ::-1],
        3: shown[::-1, ::-1],
        4: shown[::-1],
        5: shown.transpose(1, 0, 2),
        6: shown.transpose(1, 0, 2)[::-1],
        7: shown.transpose(1, 0, 2)[::-1, ::-1],
        8: shown.transpose(1, 0, 2)[:, ::-1],
    }[turn]
    save(folder / "1.png", np.ascontiguousarray(stored), turn=turn)
    album = read_album(folder)
    assert album[1].size == (120, 160)
    np.testing.assert_array_equal(written(album, 1, tmp_path)[1], shown)


def test_photos_are_reduced_by_the_least_integer_factor_that_fits(folder, tmp_path):
    save(folder / "1.png", pattern(300, 200, seed=1))
    album = read_album(folder)
    assert reduction(album, 300) == 1
    assert reduction(album, 299) == 2
    assert reduction(album, 100) == 3
    small = written(album, 2, tmp_path)[1]
    blocks = pattern(300, 200, seed=1).reshape(150, 2, 100, 2, 3).mean(axis=(1, 3))
    np.testing.assert_array_equal(small, np.rint(blocks))
    with pytest.raises(ValueError, match=r"longest side 50: expected 100 pixels or more"):
        reduction(album, 50)


def test_one_camera_is_one_maker_one_focal_length_and_one_size(folder, tmp_path):
    for i, (model, film, turn) in enumerate(
        [("A", 26, 1), ("A", 26, 3), ("A", 52, 1), ("B", 26, 1), ("A", 26, 6), (None, None, 1)]
    ):
        save(folder / f"{i}.jpg", pattern(seed=i), model=model, film=film, turn=turn)
    for path in folder.glob("*.png"):
        path.unlink()
    album = read_album(folder)
    places = write_album(album, 1, tmp_path / "out")
    assert [place.split("/")[0] for place in places] == ["000", "000", "001", "002", "003", "004"]
    # A film camera's picture of 36 by 24 mm has a diagonal of 43.27 mm, this one of 200 pixels.
    focals = [photo.focal for photo in album]
    assert focals[:2] == pytest.approx([26 / 43.2666 * 200] * 2, rel=1e-5)
    assert focals[2] == pytest.approx(52 / 43.2666 * 200, rel=1e-5) and focals[5] is None


@pytest.mark.parametrize(
    ("unit", "per_unit", "taken", "pixels"),
    [
        (2, 3107.0, None, 5.41 * 3107 / 25.4),
        (2, 3107.0, 320, 5.41 * 3107 / 25.4 / 2),  # made half as wide since
        (3, 1000.0, None, 541.0),
        (None, 3107.0, None, 5.41 * 3107 / 25.4),  # inches, where EXIF does not say
        (9, 3107.0, None, None),
        (2, 0.0, None, None),
    ],
)
def test_a_focal_length_is_known_by_the_pixels_of_the_sensor(folder, unit, per_unit, taken, pixels):
    exif = Image.Exif()
    exif[TURN] = 1  # Pillow writes no EXIF of settings alone
    settings = exif.get_ifd(ExifTags.IFD.Exif)
    settings[ExifTags.Base.FocalLength] = 5.41
    settings[ExifTags.Base.FocalPlaneXResolution] = per_unit
    for tag, value in (("FocalPlaneResolutionUnit", unit), ("ExifImageWidth", taken)):
        if value is not None:
            settings[ExifTags.Base[tag]] = value
    Image.fromarray(pattern(seed=1)).save(folder / "1.png", exif=exif)
    assert read_album(folder)[1].focal == (pixels and pytest.approx(pixels))


def test_points_are_looked_for_on_the_masks_and_a_little_beyond(folder, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    inside = np.zeros((120, 160), bool)
    inside[40:80, 50:90] = True
    for i in range(3):
        Image.fromarray(inside).save(masks / f"{i}.png")
    (place, *_) = write_album(read_album(folder, masks), 1, tmp_path / "out")
    grown = np.asarray(Image.open(tmp_path / "out/inside" / f"{place}.png")) > 0
    assert (grown | ~inside).all() and 1.05 < grown.sum() / inside.sum() < 1.5


def test_a_focal_length_of_zero_is_unknown(folder):
    save(folder / "1.png", pattern(), model="A", film=0)
    assert read_album(folder)[1].focal is None


def test_transparency_is_laid_on_white_and_becomes_the_mask(folder, tmp_path):
    for i in range(3):
        rgba = np.dstack([pattern(seed=i), np.full((120, 160), 255, np.uint8)])
        rgba[:, :80, 3] = 0
        Image.fromarray(rgba).save(folder / f"{i}.png")
    album = read_album(folder)
    photo = written(album, 1, tmp_path)[2]
    assert (photo[:, :80] == 255).all()
    np.testing.assert_array_equal(photo[:, 80:], pattern(seed=2)[:, 80:])
    mask = np.asarray(Image.open(tmp_path / "out/masks/000/2.png"))
    assert (mask[:, :80] == 0).all() and (mask[:, 80:] == 255).all()


def test_masks_of_a_folder_are_paired_by_name_or_by_order(folder, tmp_path):
    masks = tmp_path / "any_name"
    masks.mkdir()
    for i in range(3):
        inside = np.zeros((120, 160), np.uint8)
        inside[: 10 + i] = 255
        Image.fromarray(inside).save(masks / f"m{i}.png")
    album = read_album(folder, masks)
    write_album(album, 1, tmp_path / "out")
    kept = [np.asarray(Image.open(tmp_path / f"out/masks/000/{i}.png")).sum() for i in range(3)]
    assert kept == [255 * 160 * (10 + i) for i in range(3)]
    (masks / "m1.png").rename(masks / "1.png")
    (masks / "m2.png").rename(masks / "m7.png")
    with pytest.raises(ValueError, match=r"photos 0.png, 2.png have no mask of their own"):
        read_album(folder, masks)


def test_a_mask_of_another_size_is_refused(folder, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    for i in range(3):
        Image.fromarray(np.zeros((120 + 10 * (i == 1), 160), np.uint8)).save(masks / f"{i}.png")
    with pytest.raises(ValueError, match=r"mask .*1.png has 160x130 pixels, its photo 160x120"):
        write_album(read_album(folder, masks), 1, tmp_path / "out")


def test_photos_only_some_of_which_are_transparent_are_refused(folder, tmp_path):
    rgba = np.dstack([pattern(seed=5), np.full((120, 160), 7, np.uint8)])
    Image.fromarray(rgba).save(folder / "1.png")
    with pytest.raises(ValueError, match=r"photos 0, 2 have no transparency, the others have"):
        write_album(read_album(folder), 1, tmp_path / "out")


def test_all_files_that_cannot_be_read_are_named(folder, tmp_path):
    (folder / "1.png").write_text("no image")
    (folder / "2.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"1.png cannot be read.*2.png cannot be read"):
        read_album(folder)


def test_a_photo_that_is_cut_off_is_named(folder, tmp_path):
    save(folder / "3.jpg", pattern())
    content = (folder / "3.jpg").read_bytes()
    (folder / "3.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"3.jpg cannot be read: .*truncated"):
        write_album(read_album(folder), 1, tmp_path / "out")


def test_copies_of_one_photo_are_refused(folder, tmp_path):
    for i in range(3):
        save(folder / f"{i}.png", pattern(seed=0))
    with pytest.raises(ValueError, match=r"all 3 photos are the same picture; expected"):
        write_album(read_album(folder), 1, tmp_path / "out")


def test_too_few_photos_are_refused_and_other_files_told(tmp_path):
    for name in ("a.HEIC", "b.HEIC", "c.mov", "d.jpg"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=r"holds 1 photos, and files .* \.HEIC, \.mov; expected 3"):
        read_album(tmp_path)


@pytest.mark.parametrize("name", ["missing", "file"])
def test_a_folder_that_is_none_is_refused(folder, tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"expected a folder of photos; set images"):
        read_album(tmp_path / name)
    with pytest.raises(ValueError, match=r"expected a folder of masks; set masks"):
        read_album(folder, tmp_path / name)


def test_a_full_disk_is_told_as_the_system_tells_it(folder, tmp_path, monkeypatch):
    def full(self, content):
        raise OSError(28, os.strerror(28))

    album = read_album(folder)
    monkeypatch.setattr(type(folder), "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        write_album(album, 1, tmp_path / "out")


@pytest.mark.parametrize("value", [0, 255])
def test_masks_that_say_nothing_are_refused_before_long_work(folder, tmp_path, value):
    masks = tmp_path / "masks"
    masks.mkdir()
    for i in range(3):
        Image.fromarray(np.full((120, 160), value, np.uint8)).save(masks / f"{i}.png")
    with pytest.raises(ValueError, match=r"masks of all 3 photos are (dark|bright) everywhere"):
        write_album(read_album(folder, masks), 1, tmp_path / "out")


def test_an_alpha_channel_without_transparency_is_no_mask(folder, tmp_path):
    for i in range(3):
        rgba = np.dstack([pattern(seed=i), np.full((120, 160), 255, np.uint8)])
        Image.fromarray(rgba).save(folder / f"{i}.png")
    written(read_album(folder), 1, tmp_path)
    assert not list((tmp_path / "out/masks").rglob("*.png"))


def test_equal_names_are_told_apart_and_share_no_mask(folder, tmp_path):
    save(folder / "1.jpg", pattern(seed=4))
    assert [photo.name for photo in read_album(folder)] == ["0", "1.jpg", "1.png", "2"]
    masks = tmp_path / "masks"
    masks.mkdir()
    for i in range(3):
        Image.fromarray(np.eye(120, 160, dtype=np.uint8) * 255).save(masks / f"{i}.png")
    with pytest.raises(
        ValueError,
        match=r"photos 1.jpg, 1.png have no mask .*and not used 1.png",
    ):
        read_album(folder, masks)


def test_hidden_files_are_no_photos(folder):
    (folder / "._0.png").write_text("what macOS notes of a photo")
    assert len(read_album(folder)) == 3
