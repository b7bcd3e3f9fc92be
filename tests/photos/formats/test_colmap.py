import struct
from pathlib import Path

import jax
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from neural_sdf.geometry import SparsePoints
from neural_sdf.photos.files.capture import Capture, View
from neural_sdf.photos.files.lens_models import OpenCV
from neural_sdf.photos.formats import FORMATS
from neural_sdf.photos.formats.colmap import is_colmap, read_colmap, write_colmap
from neural_sdf.photos.layouts import read_capture, recognise
from tests.photos.formats.colmap_models import BINARY_IDS, LENSES

HEIGHT, WIDTH = 36, 48
PARAMS = [60.0, 66.0, 25.0, 17.0]
POINTS = [[0.5, 1.25, -3.0], [1e-3, 7.0, 2.5]]
KINDS = ["text", "binary"]


def entries(ball):
    """(id, quaternion w x y z, translation, name) of each photo, ids against the order of names."""
    for i, pose in enumerate(ball.world_from_camera):
        camera_from_world = np.linalg.inv(pose)
        x, y, z, w = Rotation.from_matrix(camera_from_world[:3, :3]).as_quat().tolist()
        sign = 1 if i % 2 else -1  # which says nothing
        quaternion = [sign * value for value in (w, x, y, z)]
        yield 100 - i, quaternion, camera_from_world[:3, 3].tolist(), f"{i:03d}.png"


def write_text(model: Path, ball) -> None:
    lines = [f"{i} {' '.join(map(repr, [*q, *t]))} 7 {name}" for i, q, t, name in entries(ball)]
    seen = ["", "1.5 2.5 -1 3.5 4.5 17", "  "]
    images = [f"{line}\n{seen[i % 3]}\n" for i, line in enumerate(lines)]
    points = [f"{i} {' '.join(map(repr, p))} 1 2 3 0.5 1 2 3 4\n" for i, p in enumerate(POINTS)]
    (model / "cameras.txt").write_text("# Cameras\n\n7 PINHOLE 48 36 60.0 66.0 25.0 17.0\n")
    (model / "images.txt").write_text("# Images\n#\n\n" + "".join(images))
    (model / "points3D.txt").write_text("# Points\n" + "".join(points))


def write_binary(model: Path, ball) -> None:
    cameras = struct.pack("<QIiQQ4d", 1, 7, 1, WIDTH, HEIGHT, *PARAMS)
    images = struct.pack("<Q", 12)
    for i, quaternion, translation, name in entries(ball):
        images += struct.pack("<I4d3dI", i, *quaternion, *translation, 7) + name.encode() + b"\0"
        images += struct.pack("<Q", i % 3) + (i % 3) * struct.pack("<2dq", 1.5, 2.5, -1)
    points = struct.pack("<Q", len(POINTS))
    for i, point in enumerate(POINTS):
        points += struct.pack("<Q3d3BdQ", i, *point, 1, 2, 3, 0.5, i) + i * struct.pack("<2I", 1, 2)
    for name, content in (("cameras", cameras), ("images", images), ("points3D", points)):
        (model / f"{name}.bin").write_bytes(content)


@pytest.fixture
def scene(ball, tmp_path):
    """Makes a scene's folder without photos and returns it with the folder of its model."""

    def make(kind: str, place: str = "sparse/0") -> tuple[Path, Path]:
        folder = tmp_path / kind
        model = folder / place
        model.mkdir(parents=True)
        (folder / "images").mkdir()
        {"text": write_text, "binary": write_binary}[kind](model, ball)
        return folder, model

    return make


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_the_cameras_that_were_written_are_read(ball, scene, kind):
    folder, _ = scene(kind)
    capture = read_colmap(folder, "")
    assert len(capture.views) == 12
    for view, pose in zip(capture.views, ball.world_from_camera, strict=True):
        np.testing.assert_allclose(view.intrinsics, ball.intrinsics, atol=1e-9)
        np.testing.assert_allclose(view.world_from_camera, pose, atol=1e-9)
        assert view.size == (HEIGHT, WIDTH)
        assert view.lens is None and view.mask is None
    np.testing.assert_array_equal(capture.points.places, POINTS)
    assert capture.world_from_scene is None


def test_errors_of_points_shrink_with_the_photos_that_see_them(scene):
    for kind, views in (("text", [2, 2]), ("binary", [1, 1])):
        errors = read_colmap(scene(kind)[0], "").points.errors
        np.testing.assert_allclose(errors, 0.5 / np.sqrt(views))


@pytest.mark.parametrize("error", ["-1", "nan", "inf", "1e300"])
def test_errors_of_points_that_say_nothing_are_unknown(scene, error):
    folder, model = scene("text")
    edit(model / "points3D.txt", " 1 2 3 0.5 1 2 3 4", f" 1 2 3 {error} 1 2 3 4")
    assert np.isnan(read_colmap(folder, "").points.errors).any()


@pytest.mark.parametrize("kind", KINDS)
def test_views_are_in_the_order_of_file_names_and_say_their_origin(scene, kind):
    folder, _ = scene(kind)
    views = read_colmap(folder, "").views
    assert [view.image for view in views] == [folder / f"images/{i:03d}.png" for i in range(12)]
    assert views[3].name == "images_003"
    assert views[3].origin == f"image 97 of images.{'txt' if kind == 'text' else 'bin'}"


@pytest.mark.parametrize("place", ["sparse/0", "sparse", "colmap/sparse/0", "."])
def test_a_model_is_found_in_the_usual_places(scene, place):
    folder, _ = scene("binary", place)
    assert [name for name, form in FORMATS.items() if form.recognises(folder)] == ["colmap"]
    assert len(read_colmap(folder, "").views) == 12


def test_a_model_elsewhere_is_named(scene):
    folder, _ = scene("text", "models/best")
    assert not is_colmap(folder)
    assert len(read_colmap(folder, "models/best").views) == 12


def test_cameras_made_from_the_model_come_before_it(scene):
    folder, _ = scene("text")
    (folder / "transforms.json").write_text("{}")
    assert list(recognise(folder, "auto")) == ["transforms", "colmap"]


def test_binary_files_are_read_rather_than_text(ball, scene):
    folder, model = scene("binary")
    write_text(model, ball)
    (model / "rigs.bin").write_bytes(b"not read")
    assert read_colmap(folder, "").views[0].origin.endswith("images.bin")


def test_points_are_optional(scene):
    folder, model = scene("text")
    (model / "points3D.txt").unlink()
    assert read_colmap(folder, "").points is None


def test_masks_are_paired_by_name(scene):
    folder, _ = scene("text")
    (folder / "masks").mkdir()
    for i in range(12):
        (folder / f"masks/{i:03d}.png.png").touch()
    for i in range(12):
        (folder / f"images/{i:03d}.png").touch()
    views = read_capture(folder, format="colmap", cameras="").views
    assert [view.mask.name for view in views[:2]] == ["000.png.png", "001.png.png"]


def test_of_several_models_the_one_with_most_photos_is_read_and_the_others_told(ball, scene):
    folder, model = scene("text", "sparse/0")
    other = folder / "sparse/1"
    other.mkdir()
    write_binary(other, ball)
    text = (model / "images.txt").read_text().splitlines()
    (model / "images.txt").write_text("\n".join(text[:9]) + "\n")  # three photos
    capture = read_colmap(folder, "")
    assert len(capture.views) == 12 and capture.views[0].origin.endswith("images.bin")
    (told,) = capture.findings
    assert told.level == "warning" and "0 of 3 photos, 1 of 12 photos" in told.message
    assert len(read_colmap(folder, "sparse/0").views) == 3
    assert read_colmap(folder, "sparse/0").findings == ()


def test_images_may_have_one_line_each(ball, scene):
    folder, model = scene("text")
    lines = (model / "images.txt").read_text().splitlines()
    (model / "images.txt").write_text("\n".join(line for line in lines if "png" in line) + "\n")
    views = read_colmap(folder, "").views
    assert [view.image.name for view in views] == [f"{i:03d}.png" for i in range(12)]
    np.testing.assert_allclose(views[3].world_from_camera, ball.world_from_camera[3], atol=1e-9)


def test_photos_lie_in_subfolders_and_their_names_have_spaces(scene):
    folder, model = scene("text")
    edit(model / "images.txt", "004.png", "left eye/a b.png")
    view = read_colmap(folder, "").views[-1]
    assert view.image == folder / "images/left eye/a b.png"
    assert view.name == "images_left eye_a b"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("model", "params", "fy", "lens"), LENSES)
def test_every_supported_model_gives_its_focal_lengths_and_lens(
    scene, kind, model, params, fy, lens
):
    folder, place = scene(kind)
    values = [float(word) for word in params.split()]
    (place / "cameras.txt").write_text(f"7 {model} 48 36 {params}\n")
    if kind == "binary":
        layout = f"<QIiQQ{len(values)}d"
        packed = struct.pack(layout, 1, 7, BINARY_IDS[model], WIDTH, HEIGHT, *values)
        (place / "cameras.bin").write_bytes(packed)
    view = read_colmap(folder, "").views[0]
    np.testing.assert_array_equal(view.intrinsics, [[60, 0, 25], [0, fy, 17], [0, 0, 1]])
    assert view.lens == lens


def test_every_image_has_its_own_camera(scene):
    folder, model = scene("text")
    with (model / "cameras.txt").open("a") as file:
        file.write("8 SIMPLE_RADIAL 100 80 90 50 40 0.1\n")
    edit(model / "images.txt", " 7 005.png", " 8 005.png")
    views = read_colmap(folder, "").views
    assert [view.size for view in views[4:7]] == [(36, 48), (80, 100), (36, 48)]
    assert [view.lens for view in views[4:7]] == [None, OpenCV(k1=0.1), None]


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("cameras", "PINHOLE", "PANO", r"camera 7 .*cameras.txt.*'PANO'; .*image_undistorter"),
        ("cameras", "PINHOLE", "SIMPLE_PINHOLE", "camera 7 .* more than 3 entries; expected 3"),
        ("cameras", "17.0", "", "camera 7 .* only 3 entries; expected 4 numbers"),
        ("cameras", "17.0", "nan", "camera 7 .* holds nan; expected"),
        ("cameras", "17.0", "1e400", "camera 7 .* holds inf; expected"),
        ("cameras", "17.0", "x", "camera 7 .*'x'; expected 4 numbers"),
        ("cameras", " 48 ", " 0 ", "camera 7 .* 0 by 36 pixels; expected"),
        ("cameras", " 48 ", " " + "9" * 5000 + " ", r"camera 7 \(line 3\) .* whole number"),
        ("cameras", " 48 ", " -48 ", "camera 7 .*'-48'; expected width and height"),
        ("cameras", "7 PINHOLE", "PINHOLE", "line 3 .*'PINHOLE'; expected the id"),
        ("cameras", "7 PINHOLE", "8 PINHOLE", r"image 100 .* camera 7; expected one of \[8\]"),
        ("cameras", "7 P", "7 PINHOLE 4 4 1 1 1 1\n7 P", "camera 7 twice; expected"),
        ("cameras", "7 PINHOLE 48 36 60.0 66.0 25.0 17.0", "7 PINHOLE", "line 3 .* ID MODEL"),
        ("images", "100 ", "hundred ", "line 4 of .*images.txt .*'hundred'; expected the id"),
        ("images", " 7 000.png", "", "line 4 of .*; expected IMAGE_ID"),
        ("images", "000.png", "", "line 4 of .*; expected IMAGE_ID"),
        ("images", "000.png", "../..", "name of image 100 .*; expected the path of a file"),
        ("images", "000.png", "001.png", "image 100 .* image 99 .*'images_001'; expected one"),
        ("points3D", "0.5 1.25", "0.5 nan", "line 2 of .*points3D.txt .*nan; expected"),
        ("points3D", "0.5 1.25 -3.0 1 2 3 0.5 1 2 3 4", "0.5", "line 2 .* only 1 entries"),
        ("points3D", " 1 2 3 0.5 1", " 1 2 3 none 1", "line 2 .*'none'; expected 1 number"),
    ],
)
def test_text_that_is_not_as_expected_is_refused(scene, file, old, new, message):
    folder, model = scene("text")
    edit(model / f"{file}.txt", old, new)
    with pytest.raises(ValueError, match=message):
        read_colmap(folder, "")


@pytest.mark.parametrize(("length", "codes"), [(0.9, ["long-quaternions"]), (1 + 1e-6, [])])
def test_a_quaternion_of_another_length_is_noted(scene, length, codes):
    """Its direction is the rotation, whatever its length."""
    folder, model = scene("text")
    (model / "images.txt").write_text(f"3 0 {length} 0 0 1 2 3 7 000.png\n\n")
    capture = read_colmap(folder, "")
    assert [finding.code for finding in capture.findings] == codes
    turn = capture.views[0].world_from_camera[:3, :3]
    np.testing.assert_allclose(turn, np.diag([1, -1, -1]), atol=1e-12)


def test_a_zero_quaternion_is_refused(scene):
    folder, model = scene("text")
    (model / "images.txt").write_text("3 0 0 0 0 1 2 3 7 000.png\n\n")
    with pytest.raises(ValueError, match=r"image 3 of images.txt .* zero quaternion; expected"):
        read_colmap(folder, "")


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_without_images_is_refused(scene, kind):
    folder, model = scene(kind)
    (model / "images.txt").write_text("# none\n")
    if kind == "binary":
        (model / "images.bin").write_bytes(bytes(8))
    with pytest.raises(ValueError, match=r"images.* holds no cameras; expected"):
        read_colmap(folder, "")


HUGE = struct.pack("<Q", 2**60)


@pytest.mark.parametrize(
    ("file", "spoil", "message"),
    [
        *((name, lambda b: HUGE + b[8:], "entries in") for name in ("cameras", "images")),
        ("points3D", lambda b: HUGE + b[8:], r"points3D.bin .*1152921504606846976 entries in"),
        ("points3D", lambda b: b[:51] + HUGE + b[59:], "ends too early"),
        ("images", lambda b: b[:80] + HUGE + b[88:], "ends too early"),
        ("images", lambda b: b[:-3], "images.bin cannot be read"),
        ("images", lambda b: b + b"\0", "1 bytes after the last entry"),
        ("images", lambda b: b[:72] + 5000 * b"x", "name of image 100 has no end"),
        ("images", lambda b: b.replace(b"000.png", b"\xff00.png"), "images.bin cannot be read"),
        ("images", lambda b: b[:12] + struct.pack("<d", np.nan) + b[20:], "image 100 .*nan"),
        ("cameras", lambda b: b[:12] + b"\x0b" + b[13:], "camera 7 .*'RAD_TAN_THIN_PRISM_FISH"),
        ("cameras", lambda b: b[:12] + b"\x11" + b[13:], "camera 7 .*'EQUIRECTANGULAR'; expected"),
        ("cameras", lambda b: b[:12] + b"\x63" + b[13:], "camera 7 .*'number 99'; expected"),
        ("cameras", lambda b: b[:16] + HUGE + b[24:], "camera 7 .* pixels; expected"),
        ("points3D", lambda b: b[:16] + struct.pack("<d", np.inf) + b[24:], "not finite"),
        ("cameras", lambda b: b"", "ends too early"),
    ],
)
def test_binary_that_is_not_as_expected_is_refused(scene, file, spoil, message):
    folder, model = scene("binary")
    path = model / f"{file}.bin"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ValueError, match=message):
        read_colmap(folder, "")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("file", ["cameras", "images", "points3D"])
def test_spoiled_files_are_read_or_refused_with_a_sentence(scene, kind, file):
    folder, model = scene(kind)
    path = model / f"{file}.{'txt' if kind == 'text' else 'bin'}"
    content, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        spoiled = np.frombuffer(content, np.uint8).copy()
        spoiled[rng.integers(len(spoiled), size=3)] = rng.integers(256, size=3)
        path.write_bytes(spoiled.tobytes()[: rng.integers(len(spoiled) + 1)])
        try:
            read_colmap(folder, "")
        except ValueError as error:
            assert "; " in str(error)


def test_a_missing_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"COLMAP model .*; expected cameras and images"):
        read_colmap(tmp_path, "")
    with pytest.raises(ValueError, match=r"in other; set cameras"):
        read_colmap(tmp_path, "other")


def views_of(ball, folder: Path) -> list[View]:
    return [
        View(
            name=f"images_{i:03d}",
            origin="memory",
            image=folder / f"images/{i:03d}.png",
            mask=None,
            intrinsics=ball.intrinsics,
            world_from_camera=pose,
            size=(HEIGHT, WIDTH),
        )
        for i, pose in enumerate(ball.world_from_camera)
    ]


def test_what_is_written_is_read_again(ball, tmp_path):
    views = views_of(ball, tmp_path)
    views[1] = views[1]._replace(lens=OpenCV(0.1, 0.2, 0.3, 0.4))
    views[2] = views[2]._replace(lens=OpenCV(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 1 / 3))
    views[3] = views[3]._replace(size=(100, 80), intrinsics=ball.intrinsics * [[np.pi], [1], [1]])
    places = np.random.default_rng(0).normal(size=(5, 3))
    points = SparsePoints(places, np.array([0.1, 1 / 3, np.nan, 0, 7]))
    write_colmap(tmp_path, Capture(tuple(views), points=points))
    again = read_colmap(tmp_path, "")
    jax.tree.map(np.testing.assert_array_equal, again.points, points)
    for view, written in zip(again.views, views, strict=True):
        np.testing.assert_array_equal(view.intrinsics, written.intrinsics)
        np.testing.assert_allclose(
            view.world_from_camera, written.world_from_camera, rtol=0, atol=1e-12
        )
        rest = {"origin": "", "intrinsics": None, "world_from_camera": None}
        assert view._replace(**rest) == written._replace(**rest)
    assert len((tmp_path / "sparse/0/cameras.txt").read_text().splitlines()) == 1 + 4


def test_every_half_turn_is_written_and_read(ball, tmp_path):
    turns = [np.diag(d) for d in ([1.0, 1, 1], [1.0, -1, -1], [-1.0, 1, -1], [-1.0, -1, 1])]
    views = views_of(ball, tmp_path)[:4]
    for i, turn in enumerate(turns):
        pose = np.eye(4)
        pose[:3, :3] = turn
        views[i] = views[i]._replace(world_from_camera=pose)
    write_colmap(tmp_path, Capture(tuple(views)))
    again = read_colmap(tmp_path, "")
    assert again.points is None
    for view, turn in zip(again.views, turns, strict=True):
        np.testing.assert_allclose(view.world_from_camera[:3, :3], turn, atol=1e-15)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"intrinsics": np.array([[60.0, 1, 25], [0, 66, 17], [0, 0, 1]])}, "000 have skew"),
        ({"size": None}, "'images_000' has no size"),
        ({"image": Path("elsewhere/000.png")}, "'images_000' .* not in .*images; expected"),
    ],
)
def test_a_view_that_colmap_cannot_hold_is_not_written(ball, tmp_path, change, message):
    views = views_of(ball, tmp_path)
    views[0] = views[0]._replace(**change)
    with pytest.raises(ValueError, match=message):
        write_colmap(tmp_path, Capture(tuple(views)))


def test_a_binary_model_is_not_hidden_behind_a_written_one(scene):
    folder, _ = scene("binary")
    with pytest.raises(ValueError, match=r"sparse/0 holds a binary model.*; expected none; move"):
        write_colmap(folder, read_colmap(folder, ""))
