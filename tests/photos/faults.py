"""Every fault that the doctor knows, to put into a good transforms set, and what it then finds."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from scipy.spatial.transform import Rotation

SIZE, VIEWS = 96, 24


class Set:
    """A transforms folder, changed in place."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.document = json.loads((folder / "transforms.json").read_text())
        self.frames = self.document["frames"]

    def photo(self, i: int) -> Path:
        return self.folder / self.frames[i]["file_path"]

    def mask(self, i: int) -> Path:
        return self.folder / self.frames[i]["mask_path"]

    def change(self, path: Path, function: Callable[[Image.Image], Image.Image]) -> None:
        function(Image.open(path)).save(path)

    def poses(self) -> np.ndarray:
        return np.array([frame["transform_matrix"] for frame in self.frames])

    def set_poses(self, poses: np.ndarray) -> None:
        for frame, pose in zip(self.frames, poses, strict=True):
            frame["transform_matrix"] = pose.tolist()

    def region(self, **changes) -> None:
        path = self.folder / "region.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def each_mask(function):
    return lambda s: [s.change(s.mask(i), function) for i in range(VIEWS)]


def each_photo(function):
    return lambda s: [s.change(s.photo(i), function) for i in range(VIEWS)]


def all_but_a_corner(image):
    """White but for a corner, as masks that say what to ignore are."""
    white = image.point(lambda _: 255)
    white.paste(0, (0, 70, 30, 96))
    return white


def inverted(image):
    return image.point(lambda value: 255 - value)


def moved(pixels):
    return lambda image: image.transform(
        image.size, Image.Transform.AFFINE, (1, 0, pixels, 0, 1, 0)
    )


def saved_as_jpeg(i, **options):
    """The photo is a JPEG, of another colour mode or with EXIF."""

    def spoil(s):
        path = s.photo(i).with_suffix(".jpg")
        mode = options.pop("mode", "RGB")
        Image.open(s.photo(i)).convert(mode).save(path, **options)
        s.photo(i).unlink()
        s.frames[i]["file_path"] = str(path.relative_to(s.folder))

    return spoil


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[274] = 6
    return exif


def posed(function):
    return lambda s: s.set_poses(function(s.poses()))


def one_pose(i, function):
    def change(poses):
        poses[i] = function(poses[i])
        return poses

    return posed(change)


def exchanged(poses):
    poses[[3, 14]] = poses[[14, 3]]
    return poses


def exchanged_near(poses):
    poses[[3, 5]] = poses[[5, 3]]
    return poses


def shuffled(poses):
    return poses[np.random.default_rng(1).permutation(len(poses))]


def turned_by_a_quarter(poses):
    return poses @ np.array([[0.0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


def noisy(poses):
    turns = np.random.default_rng(0).normal(size=(len(poses), 3)) * np.radians(1.0) / 3**0.5
    poses[:, :3, :3] = poses[:, :3, :3] @ Rotation.from_rotvec(turns).as_matrix()
    return poses


def transposed(poses):
    poses[:, :3, :3] = poses[:, :3, :3].transpose(0, 2, 1)
    return poses


def stretched_with_exchanged_focal_lengths(s):
    """Photos of tall pixels, whose fx is 1.3 of fy; and the file says the opposite."""
    wide = round(1.3 * SIZE)
    for i in range(VIEWS):
        for path in (s.photo(i), s.mask(i)):
            s.change(path, lambda image: image.resize((wide, SIZE)))
        frame = s.frames[i]
        frame.update(w=wide, cx=wide / 2, fl_y=frame["fl_x"] * wide / SIZE)


def exposed(gains):
    """Each photo's object brightened by a factor of its own, the white ground left alone."""

    def spoil(s):
        for i, gain in enumerate(gains):
            s.change(s.photo(i), lambda image: image.point(lambda x: x if x == 255 else gain * x))

    return spoil


def one_half(s):
    """Only the cameras on one side."""
    for i in reversed(range(VIEWS)):
        if s.frames[i]["transform_matrix"][0][3] <= 10:
            s.photo(i).unlink()
            del s.frames[i]


def without_masks(views):
    def spoil(s):
        for i in views:
            s.mask(i).unlink()
            del s.frames[i]["mask_path"]

    return spoil


def centred_elsewhere(s):
    s.region(centre=[10.0, 0.0, 3.4])


FAULTS = {
    "a photo is missing": (lambda s: s.photo(3).unlink(), {"missing-files"}),
    "a mask is missing": (lambda s: s.mask(3).unlink(), {"missing-files"}),
    "a photo is cut off": (
        lambda s: s.photo(3).write_bytes(s.photo(3).read_bytes()[:-900]),
        {"unreadable-images"},
    ),
    "a photo is no image": (lambda s: s.photo(3).write_text("photo"), {"unreadable-images"}),
    "a photo has another shape": (
        lambda s: s.change(s.photo(3), lambda image: image.resize((48, 40))),
        {"wrong-size"},
    ),
    "a mask has another shape": (
        lambda s: s.change(s.mask(3), lambda image: image.resize((48, 40))),
        {"wrong-size"},
    ),
    "a photo has another size": (
        lambda s: s.change(s.photo(3), lambda image: image.resize((48, 48))),
        {"scaled-cameras", "scaled-masks"},
    ),
    "a mask has another size": (
        lambda s: s.change(s.mask(3), lambda image: image.resize((48, 48))),
        {"scaled-masks"},
    ),
    "one mask is named for all": (
        lambda s: [frame.update(mask_path=s.frames[0]["mask_path"]) for frame in s.frames],
        {"shared-masks"},
    ),
    "all masks are white": (each_mask(lambda image: image.point(lambda _: 255)), {"full-masks"}),
    "masks show a corner to ignore": (each_mask(all_but_a_corner), {"boundless-masks"}),
    "a frame is there twice": (
        lambda s: s.frames.append(s.frames[3]),
        {"repeated-photos", "duplicate-poses"},
    ),
    "a frame has no pose": (
        lambda s: s.frames[3].pop("transform_matrix"),
        {"unplaced-photos", "unused-photos"},
    ),
    "a name has another suffix": (
        lambda s: s.frames[3].update(file_path=s.frames[3]["file_path"].replace("png", "JPG")),
        {"respelled-files"},
    ),
    "a key is not known": (lambda s: s.frames[3].update(shutter=0.1), {"unread-keys"}),
    "a photo is turned by EXIF": (saved_as_jpeg(3, exif=turned()), {"exif-rotation"}),
    "a photo is CMYK": (saved_as_jpeg(3, mode="CMYK"), {"colour-mode"}),
    "a mask is black": (
        lambda s: s.change(s.mask(3), lambda image: image.point(lambda _: 0)),
        {"empty-masks"},
    ),
    "all masks are black": (each_mask(lambda image: image.point(lambda _: 0)), {"empty-masks"}),
    "a mask is white": (
        lambda s: s.change(s.mask(3), lambda image: image.point(lambda _: 255)),
        {"full-masks"},
    ),
    "a mask is inverted": (lambda s: s.change(s.mask(3), inverted), {"inverted-masks"}),
    "all masks are inverted": (each_mask(inverted), {"inverted-masks"}),
    "a mask is displaced": (lambda s: s.change(s.mask(3), moved(8)), {"misaligned-masks"}),
    "all masks are displaced": (each_mask(moved(-5)), {"misaligned-masks"}),
    "a pose has a scale": (
        one_pose(3, lambda p: p @ np.diag([2.0, 2, 2, 1])),
        {"scaled-rotations"},
    ),
    "a pose is stretched": (one_pose(3, lambda p: p @ np.diag([2.0, 1, 1, 1])), {"not-rigid"}),
    "a pose is a mirror image": (
        one_pose(3, lambda p: p @ np.diag([1.0, -1, 1, 1])),
        {"not-rigid"},
    ),
    "a pose is transposed": (one_pose(3, lambda p: p.T), {"not-rigid"}),
    "a pose is not finite": (one_pose(3, lambda p: p * np.nan), {"not-rigid"}),
    "a view is there twice": (
        lambda s: (
            s.frames.append(
                {
                    **s.frames[3],
                    "file_path": shutil.copy(s.photo(3), s.photo(3).with_name("z.png")).name,
                }
            )
            or s.frames[-1].update(file_path="images/z.png")
        ),
        {"duplicate-poses", "repeated-photos"},
    ),
    "poses have OpenCV axes": (posed(lambda p: p * [1.0, -1, -1, 1]), {"wrong-axes"}),
    "poses are inverted": (posed(np.linalg.inv), {"inverted-poses"}),
    "rotations are transposed": (posed(transposed), {"inverted-poses"}),
    "fx and fy are exchanged": (
        stretched_with_exchanged_focal_lengths,
        {"swapped-focal-lengths", "unequal-focal-lengths"},
    ),
    "poses are in reverse order": (posed(lambda p: p[::-1]), {"wrong-order"}),
    "poses are off by one": (posed(lambda p: np.roll(p, 1, axis=0)), {"wrong-order"}),
    "two photos are exchanged": (posed(exchanged), {"wrong-order"}),
    "poses are in random order": (posed(shuffled), {"masks-disagree"}),
    "two photos near each other are exchanged": (posed(exchanged_near), {"wrong-order"}),
    "the camera is turned by a quarter": (posed(turned_by_a_quarter), {"wrong-axes"}),
    "photos are mirrored": (
        lambda s: [
            s.change(f(i), ImageOps.mirror) for f in (s.photo, s.mask) for i in range(VIEWS)
        ],
        {"mirrored-photos"},
    ),
    "a photo has no camera": (lambda s: s.frames.pop(3), {"unused-photos"}),
    "poses are noisy": (posed(noisy), {"pose-noise"}),
    "exposure is automatic": (
        exposed(np.random.default_rng(0).uniform(0.5, 1.0, VIEWS)),
        {"uneven-brightness"},
    ),
    "a shadow falls on the object": (exposed([0.6] * 3 + [1.0] * (VIEWS - 3)), set()),
    "the region lies beside the object": (centred_elsewhere, {"object-outside"}),
    "the region holds the cameras": (lambda s: s.region(radius=60.0), {"cameras-inside"}),
    "all cameras are on one side": (one_half, {"one-sided"}),
    "there are no masks": (without_masks(range(VIEWS)), {"no-masks", "few-matches"}),
    "some masks are missing": (without_masks([3, 8]), {"some-masks"}),
    "a principal point is outside": (lambda s: s.frames[3].update(cx=5000.0), {"bad-intrinsics"}),
    "a lens leaves nothing": (lambda s: s.frames[3].update(k1=-1e6), {"bad-lens"}),
    "a camera is no number": (lambda s: s.frames[3].update(fl_x="wide"), {"unreadable-cameras"}),
    "a path leads out": (
        lambda s: s.frames[3].update(file_path="../x"),
        {"missing-files", "unused-photos"},
    ),
}
