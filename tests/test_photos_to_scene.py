"""From plain photos to a scene, and from the scene to a mesh."""

import functools
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neural_sdf.evaluation import compare_meshes
from neural_sdf.export import Mesh, extract_mesh, read_mesh, to_world
from neural_sdf.geometry import Similarity, transform_points
from neural_sdf.photos import load_scene, write_scene
from neural_sdf.scenes import Scene, view_masks
from neural_sdf.scenes.frame import world_from_camera
from neural_sdf.scenes.synthetic import SHOOTS, synthetic_scene

ROOT = Path(__file__).parents[1]
PICTURES = {"matches.png", "masks.png", "scene.png"}


@pytest.fixture(scope="session")
def convert(script) -> Callable[..., subprocess.CompletedProcess]:
    return functools.partial(script, ROOT / "scripts/photos_to_scene.py")


ALL = SHOOTS["synthetic_textured"]
FEW = ALL._replace(num_views=16, num_test=0)  # a twelfth of the pairs to match
whole = pytest.mark.parametrize("place", [ALL], ids=["all"], indirect=True)


@pytest.fixture(
    scope="module",
    params=[pytest.param(FEW, id="few"), pytest.param(ALL, id="all", marks=pytest.mark.slow)],
)
def place(tmp_path_factory, request) -> Path:
    """The textured cup in `true`; its photos in `photos`, and one of something else."""
    place = tmp_path_factory.mktemp("photos")
    write_scene(synthetic_scene(request.param), place / "true", "transforms")
    shutil.copytree(place / "true/images", place / "photos")
    other = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    Image.fromarray(other).resize((640, 480)).save(place / "photos/other.png")
    return place


@pytest.fixture(scope="module")
def truth(place) -> Scene:
    return load_scene(place / "true", holdout_every=0)


@pytest.fixture(scope="module")
def found(convert, place, truth) -> tuple[Scene, str]:
    """The scene that is made of its photos, and what is said meanwhile."""
    result = convert("--images=photos", "--output=found", cwd=place)
    assert result.returncode == 0, result.stderr
    return load_scene(place / "found", holdout_every=0), result.stdout


def similarity(points: np.ndarray, places: np.ndarray) -> Similarity:
    """Takes points to places with the least squares of what remains (Umeyama 1991, eq. 34-36)."""
    middle, centre = points.mean(axis=0), places.mean(axis=0)
    U, D, Vt = np.linalg.svd((places - centre).T @ (points - middle) / len(points))
    S = np.diag([1, 1, np.sign(np.linalg.det(U @ Vt))])
    rotation = U @ S @ Vt
    scale = np.trace(np.diag(D) @ S) / ((points - middle) ** 2).sum() * len(points)
    return Similarity(scale, rotation, centre - scale * rotation @ middle)


def centres(scene: Scene, names: list[str]) -> np.ndarray:
    poses = world_from_camera(scene)
    return np.stack([poses[scene.source.names.index(name)][:3, 3] for name in names])


@pytest.fixture(scope="module")
def true_from_found(truth, found) -> Similarity:
    names = list(found[0].source.names)
    return similarity(centres(found[0], names), centres(truth, names))


def report_of(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text())


def test_most_photos_are_registered_to_less_than_a_pixel(place, truth, found):
    report = report_of(place / "found")
    count = len(truth.sizes)
    assert report["photos"] == count + 1
    assert len(report["registered"]) >= 0.9 * count
    assert len(report["registered"]) + len(report["rejected"]) == count + 1
    assert report["reprojection_error"] < 1
    assert (
        f"{len(report['registered'])} of {count + 1} photos registered, reprojection error"
        f" {report['reprojection_error']:.2f} pixels" in found[1]
    )


def test_camera_centres_are_right_to_half_a_percent_of_the_scene(truth, found, true_from_found):
    names = list(found[0].source.names)
    there = np.asarray(transform_points(true_from_found, centres(found[0], names)))
    off = np.linalg.norm(there - centres(truth, names), axis=1)
    share = off / (2 * float(truth.world_from_scene.scale))  # of the region's diameter
    print(f"centres off by {share.mean():.3%} of the scene, at most {share.max():.3%}")
    assert share.max() < 0.005


def test_the_world_is_the_object_upright_in_the_unit_sphere(truth, found, true_from_found):
    frame = found[0].world_from_scene
    assert float(frame.scale) == pytest.approx(1) and np.allclose(frame.translation, 0)
    up = np.asarray(true_from_found.rotation)[:, 2]
    assert np.degrees(np.arccos(up[2])) < 5
    forward = world_from_camera(found[0])[0, :3, 2]
    assert abs(forward[0]) < 1e-6 and forward[1] > 0
    assert float(true_from_found.scale) == pytest.approx(
        float(truth.world_from_scene.scale), rel=0.15
    )


def test_masks_of_the_plain_background_are_those_of_the_object(truth, found):
    """Over the part of each photo that is kept, which the undone lens moves by under a pixel."""
    of_truth = dict(zip(truth.source.names, view_masks(truth), strict=True))
    assert "masks: background" in found[1]
    for name, mask in zip(found[0].source.names, view_masks(found[0]), strict=True):
        true = of_truth[name]
        (top, left) = ((a - b) // 2 for a, b in zip(true.shape, mask.shape, strict=True))
        true = true[top : top + mask.shape[0], left : left + mask.shape[1]]
        assert (true & mask).sum() > 0.97 * (true | mask).sum()


def test_every_step_leaves_a_picture(place, found):
    for name in PICTURES:
        picture = np.asarray(Image.open(place / "found" / name))
        assert min(picture.shape[:2]) > 300 and picture.std() > 10


def test_nothing_else_is_left(place, found):
    assert sorted(path.name for path in place.iterdir()) == ["found", "photos", "true"]
    assert {path.name for path in (place / "found").iterdir()} == PICTURES | {
        *("images", "masks", "region.json", "report.json", "sparse.ply", "transforms.json")
    }


@pytest.mark.slow
@whole
def test_one_command_trains_it_to_a_mesh(script, place, truth, found, true_from_found):
    trained = script(
        ROOT / "train.py",
        f"--config={ROOT}/configs/photos.py",
        "--config.data.path=found",
        "--config.data.downscale=4",
        "--config.train.steps=1500",
        "--workdir=run",
        cwd=place,
    )
    assert trained.returncode == 0, trained.stderr
    output = "--workdir=run", "--output=run/cup.ply"
    exported = script(ROOT / "scripts/export_mesh.py", *output, cwd=place)
    assert exported.returncode == 0, exported.stderr
    mesh = read_mesh(place / "run/cup.ply")
    aligned = Mesh(np.asarray(transform_points(true_from_found, mesh.vertices)), mesh.faces)
    cup = load_scene("", format="synthetic", downscale=64).source.reference
    true = extract_mesh(lambda _, points: cup(points), None, resolution=160)
    scores = compare_meshes(aligned, to_world(true, truth.world_from_scene))
    shutil.rmtree(place / "run")
    print(f"Chamfer distance {scores.chamfer_relative:.3%} of the diagonal")
    assert scores.chamfer_relative < 0.015


@pytest.mark.slow
def test_real_photos_are_registered_too(convert, tmp_path, photo_set):
    """At half size, and without masks, which this room does not give by itself."""
    result = convert(
        f"--images={photo_set('fox')}/images",
        "--output=fox",
        "--longest_side=960",
        "--masks=none",
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    report = report_of(tmp_path / "fox")
    assert report["photos"] == 50 and len(report["registered"]) >= 45
    assert report["reprojection_error"] < 1
    assert "no focal length in the EXIF of 50 of them" in result.stdout
    # The set's own calibration, of full-size photos.
    (camera,) = report["cameras"]
    assert camera["intrinsics"][0][0] == pytest.approx(1375 / 2, rel=0.01)


def test_photo_of_something_else_is_left_out_with_the_reason(place, found):
    assert re.search(r"\n  other rejected: it shares no points|\n  other rejected: only", found[1])
    assert "other" in report_of(place / "found")["rejected"]
    assert not (place / "found/images/other.png").exists()


@pytest.mark.slow
@whole
def test_twelve_photos_are_enough_for_masks_by_hull(convert, place, truth, tmp_path):
    (tmp_path / "photos").mkdir()
    for i in range(12):
        shutil.copy(place / f"true/images/{i:03d}.png", tmp_path / "photos")
    result = convert("--images=photos", "--output=out", "--masks=hull", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    report = report_of(tmp_path / "out")
    assert not report["rejected"] and report["masks"] == "hull"
    # A lens that is not there costs no more than a rim of the photos: the cup says little of them.
    with Image.open(tmp_path / "out/images/000.png") as photo:
        width, height = photo.size
    assert width > 0.95 * 640 and height > 0.95 * 480


def noise(seed: int) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 255, (60, 80, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((320, 240), Image.Resampling.BICUBIC))


FAILURES = {
    "two photos": ([noise(0), noise(1)], [], ["2 photos", "expected 3 or more"]),
    "blank photos": (
        [np.full((240, 320, 3), 200 + i, np.uint8) for i in range(4)],
        [],
        ["4 of 4 photos show next to nothing"],
    ),
    "all the same photo": ([noise(0)] * 4, [], ["all 4 photos are the same picture"]),
    "no overlap": ([noise(i) for i in range(4)], [], ["4 photos do not show the same things"]),
    "a wall from one side": (
        [np.kron(noise(0), np.ones((3, 3, 1), np.uint8))[i : i + 480, 2 * i : 2 * i + 640]
         for i in range(0, 160, 20)],
        [],
        ["a flat thing", "from all round"],
    ),
    "no such masks": ([noise(0)] * 3, ["--masks=magic"], ["'magic'", "auto", "hull", "--masks"]),
    "no alpha": ([noise(i) for i in range(3)], ["--masks=alpha"], ["no transparency", "alpha"]),
    "an output that is there": ([noise(0)] * 3, ["--output=photos"], ["is there already"]),
    "a tiny size": ([noise(0)] * 3, ["--longest_side=10"], ["10", "--longest_side"]),
}  # fmt: skip


@pytest.mark.parametrize("case", FAILURES)
def test_failure_is_one_line_and_leaves_nothing(convert, tmp_path, assert_mistake, case):
    photos, arguments, words = FAILURES[case]
    (tmp_path / "photos").mkdir()
    for i, photo in enumerate(photos):
        Image.fromarray(photo).save(tmp_path / f"photos/{i}.png")
    before = sorted(tmp_path.rglob("*"))
    result = convert("--images=photos", "--output=out", *arguments, cwd=tmp_path)
    assert_mistake(result, words)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("content", [b"", b"no image", "truncated"], ids=str)
def test_a_file_that_cannot_be_read_is_named(convert, tmp_path, content):
    (tmp_path / "photos").mkdir()
    for i in range(4):
        Image.fromarray(noise(i)).save(tmp_path / f"photos/{i}.jpg")
    spoilt = tmp_path / "photos/2.jpg"
    spoilt.write_bytes(spoilt.read_bytes()[:9000] if content == "truncated" else content)
    result = convert("--images=photos", "--output=out", cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    assert result.stderr.startswith("error: image photos/2.jpg cannot be read")
    assert result.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing_behind(tmp_path, number):
    (tmp_path / "photos").mkdir()
    for i in range(12):
        Image.fromarray(noise(i)).resize((640, 480)).save(tmp_path / f"photos/{i}.png")
    command = [sys.executable, str(ROOT / "scripts/photos_to_scene.py"), "--images=photos"]
    process = subprocess.Popen(
        [*command, "--output=out"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    while not list(tmp_path.glob(".out.*/database.db")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (128 + number, "interrupted\n")
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]
