"""Photo sets as datasets: the same records each time, read by plain TFDS, damage always found."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from neural_sdf.photos import load_scene
from neural_sdf.photos.formats.dataset import CHECKSUMS, read_dataset
from neural_sdf.photos.layouts import read_capture
from neural_sdf.photos.prepare import dataset_name, prepare_dataset
from tests.photos import layouts

ROOT = Path(__file__).parents[2]
PREPARE = "import sys; from neural_sdf.photos.prepare import prepare_dataset; "
PREPARE += "print(prepare_dataset(sys.argv[1], sys.argv[2]))"


def same(one, other) -> bool:
    """Whether two scenes are equal to the bit, in numbers and in names."""
    leaves, others = jax.tree.leaves(one), jax.tree.leaves(other)
    return all(map(np.array_equal, leaves, others)) and one.source == other.source


@pytest.fixture(params=["idr_folder", "transforms_folder"])
def folder(request) -> Path:
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("downscale", [1, 3])
def test_a_scene_from_a_dataset_is_that_of_the_folder_to_the_bit(folder, tmp_path, downscale):
    made = prepare_dataset(folder, tmp_path / "datasets")
    assert made == tmp_path / f"datasets/{folder.name}/1.0.0"
    for settings in ({}, {"holdout_views": (2, 7)}, {"background": 0.0}):
        settings = {**settings, "downscale": downscale}
        assert same(load_scene(made, **settings), load_scene(folder, **settings))


def test_a_lens_a_region_and_a_test_split_survive(transforms_folder, edit_json, tmp_path):
    def change(document):
        document.update(k1=0.05, p2=0.001, test_filenames=["images/003.png", "images/008.png"])

    edit_json(transforms_folder / "transforms.json", change)
    region = {"centre": [1.01, -1.99, 1.1 / 3], "radius": 4 / 3}
    (transforms_folder / "region.json").write_text(json.dumps(region))
    made = prepare_dataset(transforms_folder, tmp_path / "datasets")
    assert sorted(path.name.split("-")[1].split(".")[0] for path in made.glob("*array*")) == [
        "test",
        "train",
    ]
    scene, expected = load_scene(made), load_scene(transforms_folder)
    assert int(scene.num_train) == 10
    for one, other in zip(jax.tree.leaves(scene), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one, other)


def test_sparse_points_survive(tmp_path):
    layouts.write_colmap_text(tmp_path / "set", layouts.take_photos())
    points = "7 0.1 -2.5 3e-3 9 9 9 0.5 1 2 3 4 5 6 7 8\n8 1 2 3 9 9 9 -1\n"
    (tmp_path / "set/sparse/0/points3D.txt").write_text(points)
    made = prepare_dataset(tmp_path / "set", tmp_path / "datasets")
    places, errors = read_dataset(made, "").points
    np.testing.assert_array_equal(places, [[0.1, -2.5, 3e-3], [1, 2, 3]])
    np.testing.assert_array_equal(errors, [0.25, np.nan])


def test_masks_of_either_polarity_become_bright_on_the_object(idr_folder, tmp_path):
    expected = load_scene(idr_folder)
    for path in (idr_folder / "mask").iterdir():
        Image.open(path).point(lambda value: 255 - value).save(path)
    made = prepare_dataset(idr_folder, tmp_path / "datasets", mask_shows="background")
    np.testing.assert_array_equal(load_scene(made).mask, expected.mask)


def grey(image):
    return image.convert("L")


def palette(image):
    return image.convert("RGB").quantize(8)


def sixteen_bits(image):
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)


@pytest.mark.parametrize("change", [grey, palette, sixteen_bits])
def test_photos_of_other_modes_are_stored_as_the_pixels_that_are_read(idr_folder, tmp_path, change):
    for path in (idr_folder / "image").iterdir():
        change(Image.open(path)).save(path)
    made = prepare_dataset(idr_folder, tmp_path / "datasets")
    assert same(load_scene(made), load_scene(idr_folder))


def test_plain_tfds_reads_images_masks_and_cameras(folder, tmp_path):
    import tensorflow_datasets as tfds

    made = prepare_dataset(folder, tmp_path / "datasets")
    assert "tensorflow" not in sys.modules
    records = list(tfds.builder_from_directory(made).as_data_source(split="train"))
    scene, capture = (
        load_scene(folder, holdout_every=0),
        read_capture(folder, format="auto", cameras=""),
    )
    assert [record["view_id"] for record in records] == list(range(12))
    for i, (record, view) in enumerate(zip(records, capture.views, strict=True)):
        here = slice(scene.offsets[i], scene.offsets[i + 1])
        np.testing.assert_array_equal(record["intrinsics"], view.intrinsics)
        np.testing.assert_array_equal(record["world_from_camera"], view.world_from_camera)
        assert record["name"].decode() == view.name
        mask = record["mask"][..., 0] > 127
        np.testing.assert_array_equal(mask.ravel(), scene.mask[here])
        on_object = record["image"][..., :3].reshape(-1, 3)[mask.ravel()]
        np.testing.assert_array_equal(on_object, scene.rgb[here][scene.mask[here]])


def test_a_scene_prepared_twice_has_the_same_bytes(folder, tmp_path):
    """In two processes, since the order of a record's fields hangs on the process."""
    first = prepare_dataset(folder, tmp_path / "first")
    command = [sys.executable, "-c", PREPARE, str(folder), str(tmp_path / "second")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    second = Path(done.stdout.strip())
    contents = [{p.name: p.read_bytes() for p in made.iterdir()} for made in (first, second)]
    assert contents[0] == contents[1]
    assert prepare_dataset(folder, tmp_path / "first") == first  # again, in its place


def test_two_processes_at_once_make_one_dataset(transforms_folder, tmp_path):
    command = [sys.executable, "-c", PREPARE, str(transforms_folder), str(tmp_path / "datasets")]
    both = [
        subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert len({out for out, _ in said}) == 1
    assert [path.name for path in (tmp_path / "datasets").iterdir()] == ["transforms"]
    assert same(load_scene(said[0][0].strip()), load_scene(transforms_folder))


def test_another_scene_of_the_same_name_is_refused_and_nothing_is_left(folder, tmp_path):
    prepare_dataset(folder, tmp_path / "datasets")
    before = sorted((tmp_path / "datasets").rglob("*"))
    photo = next(folder.glob("image*/*.png"))
    Image.open(photo).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(photo)
    with pytest.raises(ValueError, match=r"1.0.0 holds another scene; expected .*; set name"):
        prepare_dataset(folder, tmp_path / "datasets")
    assert sorted((tmp_path / "datasets").rglob("*")) == before


def test_a_photo_that_cannot_be_read_is_named_and_nothing_is_left(folder, tmp_path):
    photo = sorted(folder.glob("image*/*.png"))[4]
    photo.write_bytes(photo.read_bytes()[:-60])
    with pytest.raises(ValueError, match=rf"{photo.name} cannot be read"):
        prepare_dataset(folder, tmp_path / "datasets")
    assert list((tmp_path / "datasets").iterdir()) == []


def test_damage_anywhere_is_found_and_its_file_named(transforms_folder, tmp_path):
    """200 cut or flipped places in the files of a dataset, also between ArrayRecord's blocks."""
    made = prepare_dataset(transforms_folder, tmp_path / "datasets")
    random = np.random.default_rng(0)
    files = sorted(path for path in made.iterdir() if path.name != CHECKSUMS)
    shard = next(path for path in files if "array_record" in path.name)
    for k in range(200):
        path = shard if k % 4 else files[k // 4 % len(files)]
        whole = path.read_bytes()
        if k % 3 == 0:
            spoilt = whole[: random.integers(len(whole))]
        else:
            place, bit = random.integers(len(whole)), random.integers(8)
            spoilt = whole[:place] + bytes([whole[place] ^ (1 << bit)]) + whole[place + 1 :]
        path.write_bytes(spoilt)
        with pytest.raises(ValueError, match=rf"is damaged: {path.name}; expected the files"):
            read_dataset(made, "")
        path.write_bytes(whole)
    read_dataset(made, "")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "[" * 100_000, "\xff", '{"a": 1}'])
def test_a_list_of_checksums_that_is_none_is_refused_by_name(transforms_folder, tmp_path, text):
    made = prepare_dataset(transforms_folder, tmp_path / "datasets")
    (made / CHECKSUMS).write_bytes(text.encode("latin1"))
    with pytest.raises(ValueError, match=r"checksums.json cannot be read|is damaged: a"):
        read_dataset(made, "")


def test_a_missing_or_added_file_is_named(transforms_folder, tmp_path):
    made = prepare_dataset(transforms_folder, tmp_path / "datasets")
    (made / "notes.txt").write_text("mine")
    (made / "features.json").unlink()
    with pytest.raises(ValueError, match=r"is damaged: features.json, notes.txt; expected"):
        read_dataset(made, "")


def test_a_dataset_is_found_by_its_name_and_version(transforms_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "datasets"))
    made = prepare_dataset(transforms_folder, tmp_path / "datasets", name="ball")
    shutil.copytree(made, made.with_name("0.9.0"))
    expected = load_scene(transforms_folder)
    for name in ("ball", "ball:1.0.0", "ball:0.9.0"):
        assert same(load_scene(name), expected)
    with pytest.raises(ValueError, match=r"'ball:2.0.0' is not there; .*name of a dataset"):
        load_scene("ball:2.0.0")


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("my_photos", "my_photos"),
        ("My photos (2)", "my_photos_2"),
        ("templeRing", "temple_ring"),
        ("3d-scan", "scene_3d_scan"),
        ("é", "scene"),
    ],
)
def test_a_dataset_is_called_after_its_folder(folder, name):
    assert dataset_name(Path("/photos") / folder) == name


def test_a_name_that_tfds_does_not_take_is_refused_with_one_that_it_does(idr_folder, tmp_path):
    with pytest.raises(ValueError, match=r"'My Photos': expected lower-case .*'my_photos'"):
        prepare_dataset(idr_folder, tmp_path / "datasets", name="My Photos")


def test_a_full_disk_is_told_and_nothing_is_left(idr_folder, tmp_path, monkeypatch):
    """What ArrayRecord's writer raises when the disk is full."""

    def full(self, *args, **kwargs):
        raise RuntimeError("write() failed: No space left on device; at byte 204800")

    monkeypatch.setattr("tensorflow_datasets.core.writer.Writer.finalize", full)
    message = r"cannot be written to .* \(.*No space left on device.*\); .*data_dir"
    with pytest.raises(ValueError, match=message):
        prepare_dataset(idr_folder, tmp_path / "datasets")
    assert list((tmp_path / "datasets").iterdir()) == []
