import re
import shutil
import warnings

import jax
import numpy as np
import pytest
from PIL import Image

from neural_sdf.geometry import project, transform_points
from neural_sdf.photos import load_scene
from neural_sdf.photos.doctor import inspect_scene
from neural_sdf.photos.layouts import read_capture, recognise
from neural_sdf.photos.views import held_out_views
from neural_sdf.scenes import view_mask, view_photo, view_pixels
from tests.scenes.pixels import rays_at

REGION = {"centre": (1.0, -2.0, 0.5), "radius": 1.0}


def world_points(scene, pixels):
    """Points on the pixels' rays, in the photos' world."""
    rays = rays_at(scene, pixels)
    points = np.asarray(rays.origins + 2.5 * rays.directions, np.float64)
    return transform_points(scene.world_from_scene, points)


@pytest.fixture(params=["idr_folder", "transforms_folder"])
def folder(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("downscale", [1, 2, 5])
def test_a_point_on_a_pixels_ray_projects_to_the_pixel_in_the_photo(ball, folder, downscale):
    scene = load_scene(folder, **REGION, downscale=downscale)
    height, width = 36 // downscale, 48 // downscale
    np.testing.assert_array_equal(scene.sizes, [[height, width]] * 12)
    pixels = np.arange(0, 12 * height * width, 7)
    points = world_points(scene, pixels)
    view, row, column = np.unravel_index(pixels, (12, height, width))
    camera_from_world = np.linalg.inv(ball.world_from_camera)[np.array(scene.source.indices)][view]
    local = np.einsum("nij,nj->ni", camera_from_world[:, :3, :3], points)
    image = (local + camera_from_world[:, :3, 3]) @ ball.intrinsics.T
    expected = downscale * (np.stack([column, row], axis=-1) + 0.5)
    np.testing.assert_allclose(image[:, :2] / image[:, 2:], expected, atol=2e-3)


def test_a_point_on_a_pixels_ray_projects_to_the_pixel_in_the_scene(folder):
    scene = load_scene(folder)
    rays = rays_at(scene, np.array(view_pixels(scene, 3)))
    points = rays.origins + 3 * rays.directions
    cameras = scene.intrinsics[3][None], scene.scene_from_camera[3][None]
    pixels, depth = jax.jit(project)(*(np.repeat(c, len(points), axis=0) for c in cameras), points)
    rows, columns = np.indices((36, 48)) + 0.5
    np.testing.assert_allclose(pixels, np.stack([columns, rows], -1).reshape(-1, 2), atol=1e-3)
    assert (depth > 0).all()


def test_the_same_set_in_both_layouts_is_the_same_scene(idr_folder, transforms_folder):
    from_idr = load_scene(idr_folder, downscale=2)
    from_json = load_scene(transforms_folder, downscale=2, **REGION)
    np.testing.assert_allclose(from_idr.intrinsics, from_json.intrinsics, atol=1e-9)
    np.testing.assert_allclose(from_idr.scene_from_camera, from_json.scene_from_camera, atol=1e-9)
    np.testing.assert_array_equal(from_idr.rgb, from_json.rgb)
    np.testing.assert_array_equal(from_idr.mask, from_json.mask)
    assert from_idr.source.indices == from_json.source.indices


def test_both_layouts_of_spot_give_the_same_rays(photo_set):
    from_json = load_scene(photo_set("spot_tiny"), centre=(0.25, -0.15, 0.4), radius=1.3)
    from_idr = load_scene(photo_set("spot_tiny") / "idr", holdout_views=(24, 25, 26, 27))
    assert from_idr.num_train == from_json.num_train == 24
    pixels = np.arange(0, len(from_idr.mask), 199)
    first, second = (rays_at(scene, pixels) for scene in (from_json, from_idr))
    np.testing.assert_allclose(first.origins, second.origins, atol=1e-5)
    np.testing.assert_allclose(first.directions, second.directions, atol=1e-6)
    np.testing.assert_array_equal(from_json.mask, from_idr.mask)
    assert np.abs(from_json.rgb.astype(int) - from_idr.rgb).max() <= 1


def test_the_photo_is_where_its_pixels_are(ball, idr_folder):
    scene = load_scene(idr_folder, holdout_views=(0, 7))
    assert scene.source.indices == (1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 0, 7)
    for view, index in enumerate(scene.source.indices):
        here = view_pixels(scene, view)
        alpha = ball.rgba[index, ..., 3] > 0
        np.testing.assert_array_equal(scene.mask[here.start : here.stop], alpha.ravel())
        shown = np.where(alpha[..., None], ball.rgba[index, ..., :3], 255)
        np.testing.assert_array_equal(scene.rgb[here.start : here.stop], shown.reshape(-1, 3))
        np.testing.assert_array_equal(view_photo(scene, view), shown)
        np.testing.assert_array_equal(view_mask(scene, view), alpha)


def test_a_scene_is_rigid_cameras_about_the_unit_sphere_in_documented_types(folder, ball):
    scene = load_scene(folder)
    rotations = scene.scene_from_camera[:, :3, :3]
    np.testing.assert_allclose(rotations.mT @ rotations, np.tile(np.eye(3), (12, 1, 1)), atol=1e-12)
    centre, scale = scene.world_from_scene.translation, scene.world_from_scene.scale
    assert np.linalg.norm(centre - ball.centre) + ball.radius < scale
    types = {name: getattr(scene, name).dtype for name in scene._fields[:7]}
    assert types == {
        "rgb": np.uint8,
        "mask": bool,
        "offsets": np.int32,
        "sizes": np.int32,
        "intrinsics": np.float64,
        "scene_from_camera": np.float64,
        "num_train": np.int32,
    }


def test_a_given_centre_or_radius_overrules_the_layout(idr_folder):
    transform = load_scene(idr_folder, radius=1.5).world_from_scene
    assert transform.scale == 1.5
    np.testing.assert_allclose(transform.translation, (1.0, -2.0, 0.5))
    transform = load_scene(idr_folder, centre=(1.1, -2.0, 0.5)).world_from_scene
    assert transform.scale == pytest.approx(1.0)
    np.testing.assert_array_equal(transform.translation, (1.1, -2.0, 0.5))


def test_held_out_views_follow_the_layout_unless_they_are_chosen(transforms_folder, edit_json):
    def held_out(**settings):
        scene = load_scene(transforms_folder, **REGION, **settings)
        return scene.source.indices[int(scene.num_train) :]

    assert held_out() == (4,)
    assert held_out(holdout_every=3, holdout_offset=1) == (1, 4, 7, 10)
    assert held_out(holdout_every=0) == ()
    names = {"test_filenames": ["images/002.png", "images/009.png"]}
    edit_json(transforms_folder / "transforms.json", lambda d: d.update(names))
    assert held_out() == (2, 9)
    assert held_out(holdout_views=(5, 3)) == (3, 5)


def test_photos_of_several_sizes_lie_one_after_the_other(transforms_folder, edit_json):
    small = Image.open(transforms_folder / "images/002.png").crop((0, 0, 40, 30))
    small.save(transforms_folder / "images/002.png")
    edit_json(transforms_folder / "transforms.json", lambda d: d["frames"][2].update(w=40, h=30))
    scene = load_scene(transforms_folder, **REGION, holdout_every=0)
    assert scene.sizes[1:4].tolist() == [[36, 48], [30, 40], [36, 48]]
    np.testing.assert_array_equal(np.diff(scene.offsets), scene.sizes.prod(axis=1))


def test_empty_and_full_masks_are_counted_in_a_warning(idr_folder):
    for name in ("002", "005"):
        Image.new("L", (48, 36)).save(idr_folder / f"mask/{name}.png")
    with pytest.warns(UserWarning, match=r"2 of 12 masks are all empty: 000002, 000005"):
        load_scene(idr_folder)
    for path in (idr_folder / "mask").iterdir():
        Image.new("L", (48, 36), 255).save(path)
    with pytest.raises(ValueError, match=r"12 of 12 masks are all full.*convert_scene.*background"):
        load_scene(idr_folder)


def test_a_good_set_loads_without_a_warning(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_scene(folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"format": "mvs"},
            r"format 'mvs' is unknown; .*'auto', 'synthetic', .*'idr', .*set format",
        ),
        ({"mask_shows": "edges"}, "mask_shows 'edges': expected one of .*set mask_shows"),
        ({"box": (0.0,) * 6}, "box .*six world coordinates.*set box"),
        ({"box": (0, 0, 0, 1, 1, 1), "radius": 1.0}, "beside a centre or a radius"),
        ({"downscale": 0}, "downscale 0: .*set downscale"),
        ({"downscale": 37}, "downscale 37 leaves no pixel .* 36 pixels.*set downscale"),
        ({"radius": -1.0}, "radius -1.0: expected a positive .*set radius"),
        ({"centre": (0.0, 1.0)}, r"centre \(0.0, 1.0\): expected three .*set centre"),
        ({"centre": (0.0, 1.0, np.nan)}, "centre .*finite.*set centre"),
        ({"centre": (90.0, 0.0, 0.0), "radius": 1.0}, "lies behind .* of 11 training cameras"),
        ({"background": 255.0}, "background 255.0: expected 0 .*set background"),
        ({"holdout_views": (3, 12)}, r"views \[12\] do not exist; expected 0 to 11.*holdout_views"),
        ({"holdout_every": 1, "holdout_offset": 0}, "all 12 views are held out; .*holdout_every"),
        ({"holdout_offset": -1}, "holdout_offset -1: expected 0 or more"),
    ],
)
def test_a_setting_out_of_range_is_refused_with_its_name(idr_folder, settings, message):
    with pytest.raises(ValueError, match=message):
        load_scene(idr_folder, **settings)


@pytest.mark.parametrize("path", ["", "no/such/folder"])
def test_a_missing_folder_is_refused_with_its_key(path):
    with pytest.raises(ValueError, match=rf"'{path}' is not there; .*set path"):
        load_scene(path)


def test_a_folder_of_no_layout_is_refused(idr_folder):
    with pytest.raises(
        ValueError, match=r"files of no known format; expected those of one .*set path"
    ):
        load_scene(idr_folder / "image")


def test_a_folder_of_several_layouts_is_read_as_the_first_unless_one_is_named(
    idr_folder, transforms_folder
):
    alone = load_scene(idr_folder)
    for file in [transforms_folder / "transforms.json", *transforms_folder.glob("images")]:
        (shutil.copytree if file.is_dir() else shutil.copy)(file, idr_folder / file.name)
    assert list(recognise(idr_folder, "auto")) == ["idr", "transforms"]
    assert load_scene(idr_folder).source == alone.source
    named = load_scene(idr_folder, format="transforms")
    assert named.source == load_scene(transforms_folder).source != alone.source
    report = inspect_scene(idr_folder)
    (note,) = [f for f in report.findings if f.code == "several-layouts"]
    assert note.level == "note" and report.format == "idr"
    assert re.search(r"idr and transforms, and is read as idr; .*format=transforms", note.sentence)
    named = inspect_scene(idr_folder, format="transforms")
    assert "several-layouts" not in {finding.code for finding in named.findings}


def test_a_set_without_masks_loads_and_says_so(idr_folder):
    shutil.rmtree(idr_folder / "mask")
    scene = load_scene(idr_folder)
    assert not scene.source.has_masks
    assert scene.mask.all()


def test_masks_for_some_photos_only_are_refused(transforms_folder):
    for i in (3, 8):
        path = transforms_folder / f"images/{i:03d}.png"
        Image.open(path).convert("RGB").save(path)
    with pytest.raises(ValueError, match=r"2 of 12 photos have no mask .*images_003, images_008"):
        load_scene(transforms_folder)


def test_masks_that_show_the_background_are_read_so(idr_folder):
    expected = load_scene(idr_folder)
    for path in (idr_folder / "mask").iterdir():
        Image.open(path).point(lambda value: 255 - value).save(path)
    np.testing.assert_array_equal(
        load_scene(idr_folder, mask_shows="background").mask, expected.mask
    )


def test_missing_photos_are_all_listed_or_skipped_with_one_warning(transforms_folder):
    for i in (3, 8):
        (transforms_folder / f"images/{i:03d}.png").unlink()
    message = r"2 of 12 files are missing .*003.png \(frame 3 of transforms.json\), .*008.png \(fr"
    with pytest.raises(ValueError, match=message):
        load_scene(transforms_folder)
    with pytest.warns(UserWarning, match=message) as caught:
        scene = load_scene(transforms_folder, skip_missing=True)
    assert len(caught) == 1
    assert len(scene.sizes) == 10
    assert scene.source.indices == (0, 1, 2, 3, 5, 6, 7, 8, 9, 4)  # those missing are not counted


def test_only_empty_masks_are_refused(idr_folder):
    for path in (idr_folder / "mask").iterdir():
        Image.new("L", (48, 36)).save(path)
    with pytest.raises(ValueError, match=r"all 12 masks are empty, expected"):
        load_scene(idr_folder)


def test_a_mask_of_another_size_is_refused_by_name(idr_folder):
    Image.new("L", (24, 20)).save(idr_folder / "mask/003.png")
    with pytest.raises(ValueError, match=r"003.png is 24x20 pixels, not 48x36; expected masks of"):
        load_scene(idr_folder)


def test_a_photo_unlike_its_declared_size_is_refused_by_name(transforms_folder):
    Image.new("RGBA", (24, 20)).save(transforms_folder / "images/003.png")
    with pytest.raises(ValueError, match=r"003.png is 24x20 pixels, not 48x36; expected the size"):
        load_scene(transforms_folder)


def test_a_truncated_photo_is_refused_by_name(folder):
    path = sorted(folder.glob("image*/*.png"))[4]
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(ValueError, match=rf"{path.name} cannot be read"):
        load_scene(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.update(fl_x=float("nan")), "hold nan, expected finite"),
        (lambda frame: frame.update(fl_x=-60.0), "fx -60, fy 66, expected positive"),
        (lambda frame: frame.update(cx=1000.0), r"\(1000, 17\) is 20.3 sides from the middle of"),
        (lambda frame: frame["transform_matrix"][0].__setitem__(3, float("nan")), "holds nan"),
        (lambda frame: frame["transform_matrix"][3].__setitem__(0, 0.5), "last row is .0.5, 0"),
        (lambda frame: frame["transform_matrix"].__setitem__(1, [0] * 4), "column of length"),
    ],
)
def test_a_camera_that_cannot_be_is_refused_by_frame(transforms_folder, edit_json, change, message):
    edit_json(transforms_folder / "transforms.json", lambda d: change(d["frames"][3]))
    with pytest.raises(ValueError, match=rf"frame 3 of transforms.json \(003.png\): .*{message}"):
        load_scene(transforms_folder)


def test_dtu_is_normalised_as_its_files_say(photo_set, tmp_path):
    """On six of its views, in a folder of links, to be quick."""
    folder = photo_set("dtu_scan65")
    for kind in ("image", "mask"):
        (tmp_path / kind).mkdir()
        for path in sorted((folder / kind).iterdir())[:6]:
            (tmp_path / kind / path.name).symlink_to(path)
    with np.load(folder / "cameras_sphere.npz") as archive:
        names = [f"{kind}_mat_{i}" for kind in ("world", "scale") for i in range(6)]
        np.savez(tmp_path / "few.npz", **{name: archive[name] for name in names})
    with pytest.warns(UserWarning, match="seen by no camera within 60 degrees"):
        scene = load_scene(tmp_path, downscale=40, cameras="few.npz")
    assert scene.source.indices == (0, 1, 2, 3, 5, 4)
    assert scene.sizes.tolist() == [[30, 40]] * 6
    np.testing.assert_allclose(scene.intrinsics[:, 0, 0], 2892.33 / 40, atol=1e-3)
    np.testing.assert_allclose(scene.intrinsics[:, 0, 2], 823.71 / 40, atol=1e-3)
    assert scene.world_from_scene.scale == pytest.approx(164.60, abs=0.01)


def test_every_eighth_view_of_dtu_from_the_fourth_is_held_out(photo_set):
    capture = read_capture(photo_set("dtu_scan65"), format="auto", cameras="cameras.npz")
    assert np.flatnonzero(held_out_views(capture.views, 8, 4, ())).tolist() == list(range(4, 49, 8))
