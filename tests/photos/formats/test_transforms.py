import json
import shutil

import jax
import numpy as np
import pytest

from neural_sdf.geometry import SparsePoints
from neural_sdf.photos.doctor import inspect_scene
from neural_sdf.photos.files.lens_models import Fisheye, OpenCV, Polynomial
from neural_sdf.photos.formats.transforms import is_transforms, read_transforms, write_transforms


def read(folder):
    return read_transforms(folder, "").views


def test_the_cameras_that_were_written_are_read(ball, transforms_folder):
    views = read(transforms_folder)
    for view, pose in zip(views, ball.world_from_camera, strict=True):
        np.testing.assert_allclose(view.intrinsics, ball.intrinsics, atol=1e-12)
        np.testing.assert_allclose(view.world_from_camera, pose, atol=1e-12)
    assert views[3].size == (36, 48)
    assert views[3].mask is None
    assert views[3].name == "images_003"
    assert is_transforms(transforms_folder)


def test_a_frame_overrules_the_file(transforms_folder, edit_json):
    lens = {"fl_x": 70.0, "fl_y": 71.0, "cx": 20.0, "cy": 19.0}
    edit_json(transforms_folder / "transforms.json", lambda d: d["frames"][2].update(lens))
    intrinsics = read(transforms_folder)[2].intrinsics
    np.testing.assert_array_equal(intrinsics, [[70, 0, 20], [0, 71, 19], [0, 0, 1]])


def test_angles_of_view_and_photo_size_give_the_blender_camera(transforms_folder, edit_json):
    def angle_only(document):
        for key in ("fl_x", "fl_y", "cx", "cy", "w", "h"):
            del document[key]
        document["camera_angle_x"] = 2 * np.arctan(0.5)

    edit_json(transforms_folder / "transforms.json", angle_only)
    view = read(transforms_folder)[0]
    np.testing.assert_allclose(view.intrinsics, [[48, 0, 24], [0, 48, 18], [0, 0, 1]])
    assert view.size is None


AXES = b"".join(b"property double %c\n" % x for x in b"xyz")
HEAD = b"ply\nformat binary_little_endian 1.0\nelement vertex 2\n" + AXES + b"end_header\n"
PLY = HEAD + bytes(48)
FAR = np.array([481234.5, 5456789.25, 212.7])
POINTS = np.random.default_rng(0).normal(size=(50, 3)) + FAR


def test_points_that_were_written_are_read(transforms_folder):
    capture = read_transforms(transforms_folder, "")
    points = SparsePoints(POINTS, np.where(np.arange(50) % 2, np.nan, np.linspace(0, 1, 50)))
    write_transforms(transforms_folder, capture._replace(points=points))
    again = read_transforms(transforms_folder, "")
    jax.tree.map(np.testing.assert_array_equal, again.points, points)
    assert capture.points is None and again.findings == ()


def test_points_may_be_text_with_colours_as_nerfstudio_writes_them(transforms_folder, edit_json):
    axes = "".join(f"property float {x}\n" for x in "xyz")
    axes += "".join(f"property uint8 {x}\n" for x in ("red", "green", "blue"))
    head = f"ply\nformat ascii 1.0\nelement vertex 2\n{axes}end_header\n"
    (transforms_folder / "sparse_pc.ply").write_text(head + "1 2 3 9 9 9\n-4 5 0.5 9 9 9\n")
    name = {"ply_file_path": "./sparse_pc.ply"}
    edit_json(transforms_folder / "transforms.json", lambda d: d.update(name))
    places, errors = read_transforms(transforms_folder, "").points
    np.testing.assert_array_equal(places, [[1, 2, 3], [-4, 5, 0.5]])
    assert np.isnan(errors).all()


def test_errors_that_say_nothing_are_unknown(transforms_folder, edit_json):
    errors = [-1.0, np.finfo(float).max, np.inf, np.nan, 0.0, 0.5]
    points = SparsePoints(POINTS[: len(errors)], np.array(errors))
    capture = read_transforms(transforms_folder, "")
    write_transforms(transforms_folder, capture._replace(points=points))
    read = read_transforms(transforms_folder, "").points.errors
    np.testing.assert_array_equal(read, [np.nan] * 4 + [0.0, 0.5])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("missing.ply", None),
        (7, None),
        ("a.ply", b"ply\n"),
        ("a.ply", b""),
        ("a.ply", b"solid"),
        ("a.ply", PLY[:-3]),
        ("a.ply", PLY[:-8] + np.float64(np.nan).tobytes()),
        ("a.ply", PLY.replace(b"vertex 2", b"vertex 999999999999")),
    ],
)
def test_points_that_cannot_be_read_are_told_and_left_out(
    transforms_folder, edit_json, name, content
):
    if content is not None:
        (transforms_folder / "a.ply").write_bytes(content)
    named = {"ply_file_path": name}
    edit_json(transforms_folder / "transforms.json", lambda d: d.update(named))
    capture = read_transforms(transforms_folder, "")
    (finding,) = capture.findings
    assert capture.points is None and len(capture.views) == 12
    assert (finding.code, finding.level) == ("unreadable-points", "warning")
    assert str(name) in finding.message


def test_a_suffix_may_be_left_out_and_a_pose_have_three_rows(ball, transforms_folder, edit_json):
    def shorten(document):
        for frame in document["frames"]:
            frame["file_path"] = "./" + frame["file_path"].removesuffix(".png")
            del frame["transform_matrix"][3]

    edit_json(transforms_folder / "transforms.json", shorten)
    view = read(transforms_folder)[0]
    assert view.image == transforms_folder / "images/000.png"
    np.testing.assert_allclose(view.world_from_camera, ball.world_from_camera[0], atol=1e-12)


def test_views_of_a_single_file_are_in_the_order_of_their_names(transforms_folder, edit_json):
    edit_json(transforms_folder / "transforms.json", lambda d: d["frames"].reverse())
    views = read(transforms_folder)
    assert [view.image.name for view in views[:2]] == ["000.png", "001.png"]
    assert views[0].origin == "frame 11 of transforms.json"


def test_split_files_give_training_then_test_views_and_no_validation(transforms_folder):
    document = json.loads((transforms_folder / "transforms.json").read_text())
    frames = document["frames"]
    for split, part in (("train", frames[4:]), ("test", frames[:2]), ("val", frames[2:4])):
        path = transforms_folder / f"transforms_{split}.json"
        path.write_text(json.dumps({**document, "frames": part}))
    views = read(transforms_folder)
    assert [view.name[-3:] for view in views] == [f"{i:03d}" for i in (*range(4, 12), 0, 1)]
    assert [view.is_test for view in views] == [False] * 8 + [True] * 2


def test_photos_of_the_validation_split_are_not_said_to_have_no_camera(transforms_folder):
    whole = json.loads((transforms_folder / "transforms.json").read_text())
    for split, frames in (("train", slice(9)), ("val", slice(9, 11))):  # the last has no camera
        text = json.dumps({**whole, "frames": whole["frames"][frames]})
        (transforms_folder / f"transforms_{split}.json").write_text(text)
    found = inspect_scene(transforms_folder).findings
    told = [f.message for f in found if f.code in ("unused-photos", "unread-cameras")]
    assert told == [
        "the folder has transforms.json and transforms_train.json, and the latter is read",
        "1 photos have no camera: 011.png",
        "2 photos have cameras that the set keeps for validation, or names in none of its lists:"
        " 009.png, 010.png",
    ]
    (transforms_folder / "transforms_val.json").write_text("{")  # nothing of it is used
    assert len(read(transforms_folder)) == 9


def test_photos_of_a_validation_list_are_not_said_to_have_no_camera(transforms_folder, edit_json):
    listed = {"val_filenames": ["images/003.png"]}
    edit_json(transforms_folder / "transforms.json", lambda d: d.update(listed))
    (told,) = [f for f in inspect_scene(transforms_folder).findings if f.code == "unused-photos"]
    assert told.message.startswith("1 photos have cameras that the set keeps for validation")


def test_lists_of_file_names_split_a_single_file(transforms_folder, edit_json):
    names = {"test_filenames": ["./images/001.png"], "val_filenames": ["images/002.png"]}
    edit_json(transforms_folder / "transforms.json", lambda d: d.update(names))
    views = read(transforms_folder)
    assert [view.name for view in views if view.is_test] == ["images_001"]
    assert "images_002" not in [view.name for view in views]


def test_mask_paths_are_read(transforms_folder, edit_json):
    def add_masks(document):
        for frame in document["frames"]:
            frame["mask_path"] = frame["file_path"].replace("images", "masks")

    shutil.copytree(transforms_folder / "images", transforms_folder / "masks")
    edit_json(transforms_folder / "transforms.json", add_masks)
    assert read(transforms_folder)[7].mask == transforms_folder / "masks/007.png"


def in_frame(**changes):
    return lambda document: document["frames"][3].update(changes)


def in_file(**changes):
    return lambda document: document.update(changes)


def without(key):
    return lambda document: document.pop(key)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (in_frame(file_path="../.."), "frame 3 .*; expected the path of a file"),
        (in_frame(mask_path="/"), "mask_path of frame 3.*; expected the path of a file"),
        (in_frame(file_path=7), "file_path of frame 3.* is 7; expected"),
        (in_frame(transform_matrix=[[1, 2], [3]]), r"frame 3 .*transform_matrix \[\[1, 2\]"),
        (in_frame(transform_matrix="none"), "transform_matrix 'none'; expected 4 rows"),
        (in_file(camera_model="EQUIRECTANGULAR"), "frame 0 .*'EQUIRECTANGULAR'"),
        (in_file(w=0.4), r"w of frame 0 .* is 0.0; expected a whole number"),
        (in_file(fl_y="wide"), "fl_y = 'wide'; expected a number"),
        (without("fl_x"), "frame 0 .*no focal length; expected 'fl_x' .* 'camera_angle_x'"),
        (in_file(fl_x=None, camera_angle_x=4.0), "camera_angle_x = 4.0; expected radians"),
        (without("frames"), "it has no frames.*expected"),
        (in_file(frames=[]), "it has no frames"),
        (in_file(frames=["x"]), "frame 0 of transforms.json .*'x'; expected a json object"),
        (in_file(test_filenames="a"), "test_filenames is 'a'; expected a list"),
    ],
)
def test_frames_that_cannot_be_used_are_refused(transforms_folder, edit_json, change, message):
    edit_json(transforms_folder / "transforms.json", change)
    with pytest.raises(ValueError, match=message):
        read(transforms_folder)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "\xff", "", "[]"])
def test_what_is_no_json_object_is_refused_by_name(transforms_folder, text):
    (transforms_folder / "transforms.json").write_bytes(text.encode("latin1"))
    with pytest.raises(
        ValueError,
        match=r"transforms.json cannot be read \(.*\); expected a json object with a list",
    ):
        read(transforms_folder)


def test_the_lens_is_read_with_its_coefficients_in_their_places(transforms_folder, edit_json):
    lens = {"k1": 0.1, "k2": 0.2, "p1": 0.3, "p2": 0.4, "k3": 0.5, "k4": 0.6, "k5": 0.7}
    edit_json(transforms_folder / "transforms.json", lambda d: d["frames"][3].update(lens))
    views = read(transforms_folder)
    assert views[3].lens == OpenCV(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    assert views[2].lens is None  # k1 is 0 there


def test_a_missing_photo_is_left_to_later_checks(transforms_folder, edit_json):
    edit_json(transforms_folder / "transforms.json", lambda d: (d.pop("w"), d.pop("h")))
    (transforms_folder / "images/003.png").unlink()
    assert len(read(transforms_folder)) == 12


def test_fox_has_its_known_lens(photo_set):
    view = read(photo_set("fox"))[0]
    np.testing.assert_allclose(view.intrinsics[[0, 1], [0, 1]], [1375.52, 1374.49])
    assert view.lens is not None
    np.testing.assert_allclose(view.lens[:4], [0.0578421, -0.0805099, -0.000980296, 0.00015575])


def edited(folder, edit_json, **changes):
    edit_json(folder / "transforms.json", lambda document: document.update(changes))
    return read_transforms(folder, "")


@pytest.mark.parametrize(
    "spelling", ["images/{:03d}.png", "./images\\{:03d}.png", "{:03d}.png", "images/{:03d}.jpg"]
)
def test_split_lists_name_frames_however_they_spell_them(transforms_folder, edit_json, spelling):
    names = {
        "test_filenames": [spelling.format(3)],
        "val_filenames": [spelling.format(i) for i in (3, 5)],
        "train_filenames": [spelling.format(i) for i in range(12) if i not in (3, 5, 7)],
    }
    capture = edited(transforms_folder, edit_json, **names)
    assert [v.name for v in capture.views if v.is_test] == ["images_003"]
    left = {"images_005", "images_007"}
    assert {v.name for v in capture.views} == {f"images_{i:03d}" for i in range(12)} - left
    (told,) = capture.findings
    assert told.code == "unlisted-frames" and "1 of 12" in told.message


@pytest.mark.parametrize("key", ["train_filenames", "test_filenames", "val_filenames"])
def test_a_listed_name_that_no_frame_has_is_refused(transforms_folder, edit_json, key):
    with pytest.raises(ValueError, match=rf"{key} of .*'images/x.png'; expected file_path of"):
        edited(transforms_folder, edit_json, **{key: ["images/003.png", "images/x.png"]})


def test_a_frame_to_test_on_is_not_trained_on_whatever_the_lists_say(transforms_folder, edit_json):
    names = [f"images/{i:03d}.png" for i in range(12)]
    capture = edited(transforms_folder, edit_json, train_filenames=names, test_filenames=names[:2])
    assert sum(view.is_test for view in capture.views) == 2
    assert [told.code for told in capture.findings] == ["listed-twice"]


def test_a_k4_alone_is_that_of_nerfstudio_and_with_the_full_model_that_of_opencv(
    transforms_folder, edit_json
):
    lens = {"k1": 0.1, "k2": 0.2, "p1": 0.3, "p2": 0.4, "k3": 0.5, "k4": 0.6}
    views = edited(transforms_folder, edit_json, **lens).views
    assert views[0].lens == Polynomial(0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
    edited(transforms_folder, edit_json, camera_model="FULL_OPENCV")
    assert read(transforms_folder)[0].lens == OpenCV(0.1, 0.2, 0.3, 0.4, 0.5, 0.6)


@pytest.mark.parametrize("given", [{"camera_model": "OPENCV_FISHEYE"}, {"is_fisheye": True}])
def test_a_fisheye_is_known_by_either_key(transforms_folder, edit_json, given):
    views = edited(transforms_folder, edit_json, k1=0.1, k2=0.2, k3=0.3, k4=0.4, **given).views
    assert views[0].lens == Fisheye(0.1, 0.2, 0.3, 0.4)


@pytest.mark.parametrize(
    ("given", "radius"),
    [
        ({"sphere_center": [1, 2, 3], "sphere_radius": 4, "aabb_range": [[0, 9]] * 3}, 4.0),
        ({"aabb_range": [[0, 2], [1, 3], [2, 4]]}, 3**0.5),
    ],
)
def test_the_sphere_of_neuralangelo_is_the_region(transforms_folder, edit_json, given, radius):
    region = edited(transforms_folder, edit_json, **given).world_from_scene
    assert float(region.scale) == pytest.approx(radius)
    np.testing.assert_allclose(region.translation, [1, 2, 3])


@pytest.mark.parametrize(
    "given",
    [{"sphere_center": [1, 2], "sphere_radius": 4}, {"aabb_range": "all"}, {"aabb_range": 3}],
)
def test_a_sphere_that_is_none_is_refused(transforms_folder, edit_json, given):
    with pytest.raises(ValueError, match=r"of transforms.json is no sphere or box; expected"):
        edited(transforms_folder, edit_json, **given)


def test_frames_without_a_pose_are_left_out_and_told(transforms_folder, edit_json):
    def unplace(document):
        del document["frames"][2]["transform_matrix"]
        document["frames"][5]["transform_matrix"] = None

    edit_json(transforms_folder / "transforms.json", unplace)
    capture = read_transforms(transforms_folder, "")
    assert len(capture.views) == 10
    (told,) = capture.findings
    assert told.code == "unplaced-photos" and "002.png (frame 2 of" in told.message

    def unplace_all(document):
        for frame in document["frames"]:
            frame["transform_matrix"] = None

    edit_json(transforms_folder / "transforms.json", unplace_all)
    with pytest.raises(ValueError, match=r"frame 0 .* and all others have no transform_matrix"):
        read_transforms(transforms_folder, "")


def test_the_files_of_neus2_have_opencv_axes_and_a_matrix_of_intrinsics(
    ball, transforms_folder, edit_json
):
    K = np.eye(4)
    K[:3, :3] = ball.intrinsics - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]

    def convert(document):
        for key in ("fl_x", "fl_y", "cx", "cy"):
            del document[key]
        for frame, pose in zip(document["frames"], ball.world_from_camera, strict=True):
            frame.update(transform_matrix=pose.tolist(), intrinsic_matrix=K.tolist())
        document["from_na"] = True

    edit_json(transforms_folder / "transforms.json", convert)
    path = transforms_folder / "transforms.json"
    path.rename(path.with_name("transform_train.json"))
    for view, pose in zip(read(transforms_folder), ball.world_from_camera, strict=True):
        np.testing.assert_allclose(view.intrinsics, ball.intrinsics, atol=1e-12)
        np.testing.assert_allclose(view.world_from_camera, pose, atol=1e-12)


def test_keys_that_are_not_read_are_told(transforms_folder, edit_json):
    (told,) = edited(transforms_folder, edit_json, rolling=1, aabb_scale=16, fx=3).findings
    assert told.code == "unread-keys" and "'fx'; 'rolling'" in told.message


@pytest.mark.parametrize("name", ["../other/000.png", "/etc/passwd", "images/../../x.png"])
def test_a_name_that_leads_out_means_no_file_outside(transforms_folder, edit_json, name):
    edit_json(
        transforms_folder / "transforms.json", lambda d: d["frames"][3].update(file_path=name)
    )
    image = next(v.image for v in read(transforms_folder) if "frame 3 " in v.origin)
    assert image.is_relative_to(transforms_folder) and not image.exists()
