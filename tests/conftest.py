import os
import signal
import tempfile
from pathlib import Path

import jaxtyping

from neural_sdf import launch

# What the commands that tests start compile is kept for this run of the tests, for all of them.
if "PYTEST_XDIST_WORKER" not in os.environ:
    PROGRAMS = tempfile.TemporaryDirectory(prefix="neural_sdf-tests-")
    os.environ["XDG_CACHE_HOME"] = PROGRAMS.name

# Tests started in the background have Ctrl-C ignored, which what they start must not inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# All must be set before JAX is imported; the hook before the package is.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
launch.correct_reductions()
jaxtyping.install_import_hook(
    "neural_sdf",  # an int passes for a float, as for pyright
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))",
)

import json  # noqa: E402
import subprocess  # noqa: E402
from collections.abc import Callable, Iterator, Sequence  # noqa: E402
from typing import Any, NamedTuple  # noqa: E402

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from PIL import Image  # noqa: E402

from neural_sdf.fields import Field  # noqa: E402
from tests.forked import STARTING, WORKING, forks  # noqa: E402

ROOT = Path(__file__).parents[1]
HEIGHT, WIDTH = 36, 48
OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])  # camera_from_camera, between OpenCV and OpenGL axes


# Files that take long: begun last, one of them would keep one process busy and the others idle.
LONG = (
    *("test_photos_to_scene", "test_end_to_end", "test_world_frame", "test_resume"),
    *("test_lcp", "test_step", "test_going_on", "test_trace", "test_closest", "test_doctor"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files come first."""
    items.sort(key=lambda item: item.path.stem not in LONG)


@pytest.fixture(autouse=True, scope="module")
def few_programs() -> Iterator[None]:
    """Frees what a module has compiled: thousands of programs exhaust the process's memory maps."""
    yield
    jax.clear_caches()


@pytest.fixture
def x64() -> Iterator[None]:
    """64-bit numbers for one test: finite differences mean nothing in 32 bits."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def photo_set() -> Callable[[str], Path]:
    """The folder of a photo set by name; the test is skipped where the set is absent."""
    folder = Path(os.environ.get("NEURAL_SDF_DATA", ROOT / "../shared/data")).resolve()

    def find(name: str) -> Path:
        if not (folder / name).is_dir():
            pytest.skip(f"no photo set {name!r} in {folder}; set NEURAL_SDF_DATA")
        return folder / name

    return find


@pytest.fixture(scope="session")
def script(tmp_path_factory) -> Iterator[Callable[..., subprocess.CompletedProcess]]:
    """Runs a script of the project with arguments; the start costs next to nothing."""
    with forks(tmp_path_factory.mktemp("forked"), *STARTING, *WORKING) as run:
        yield run


@pytest.fixture(scope="session")
def assert_mistake() -> Callable[[subprocess.CompletedProcess, Sequence[str]], None]:
    """That a script ended with status 2 and one line of error, which has some words."""

    def check(result: subprocess.CompletedProcess, words: Sequence[str]) -> None:
        assert result.returncode == 2, result.stderr
        (line,) = [line for line in result.stderr.splitlines() if "WARNING" not in line]
        assert line.startswith("error: ")
        for word in words:
            assert word in line

    return check


@pytest.fixture(scope="session")
def sphere_field() -> Field:
    """A sphere about the origin in closed form; its colour tells the normal and a parameter.

    params: `radius`, and `red`, the red of its colour; green and blue are (n_y + 1)/2, (n_z + 1)/2.
    """

    def init(key):
        return {"radius": jnp.float32(0.5), "red": jnp.float32(0.2)}

    def sdf(params, points):
        return jnp.linalg.norm(points, axis=-1) - params["radius"]

    def surface(params, points):
        length = jnp.linalg.norm(points, axis=-1, keepdims=True)
        return sdf(params, points), points / length, jnp.zeros((len(points), 1))

    def radiance(params, points, gradients, directions, features):
        red = jnp.full_like(points[:, :1], params["red"])
        return jnp.concatenate([red, (gradients[:, 1:] + 1) / 2], axis=-1)

    return Field(init, sdf, surface, radiance)


# A ball seen by twelve cameras, written by NumPy alone in the layouts that are read.


class Ball(NamedTuple):
    """What was photographed; the camera matrices are [V, 4, 4], OpenCV, half-pixel centres."""

    centre: np.ndarray
    radius: float
    intrinsics: np.ndarray
    world_from_camera: np.ndarray
    rgba: np.ndarray


def _look_at(eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.1, 0.2, 1.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(forward, right), forward, eye], axis=1)
    return pose


def _photograph(centre, radius, intrinsics, pose) -> np.ndarray:
    """Red rises with the column, green with the row, on the ball; transparent black elsewhere."""
    columns, rows = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    pixels = np.stack([columns, rows, np.ones_like(rows)], axis=-1)
    directions = pixels @ np.linalg.inv(intrinsics).T @ pose[:3, :3].T
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    to_centre = centre - pose[:3, 3]
    across = np.linalg.norm(np.cross(directions, to_centre), axis=-1)
    colour = np.stack([5 * columns, 7 * rows, 0 * rows + 100, 0 * rows + 255], axis=-1)
    return np.where(across[..., None] < radius, colour, 0).astype(np.uint8)


@pytest.fixture(scope="session")
def ball() -> Ball:
    centre, radius = np.array([1.0, -2.0, 0.5]), 0.8
    intrinsics = np.array([[60.0, 0.0, 25.0], [0.0, 66.0, 17.0], [0.0, 0.0, 1.0]])
    turns = 2.4 * np.arange(12)
    heights = np.linspace(-0.8, 0.8, 12)
    around = np.sqrt(1 - heights**2)
    eyes = 4 * np.stack([around * np.cos(turns), around * np.sin(turns), heights], axis=-1)
    poses = np.stack([_look_at(centre + eye, centre + 0.03 * eye[::-1]) for eye in eyes])
    rgba = np.stack([_photograph(centre, radius, intrinsics, pose) for pose in poses])
    return Ball(centre, radius, intrinsics, poses, rgba)


@pytest.fixture
def idr_folder(ball: Ball, tmp_path: Path) -> Path:
    """IDR layout: photos on white, masks, integer pixel centres; region of radius 1."""
    folder = tmp_path / "idr"
    (folder / "image").mkdir(parents=True)
    (folder / "mask").mkdir()
    K = ball.intrinsics - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]
    scale_mat = np.diag([1.0, 1.0, 1.0, 1.0])
    scale_mat[:3, 3] = ball.centre
    arrays = {}
    for i, (pose, rgba) in enumerate(zip(ball.world_from_camera, ball.rgba, strict=True)):
        world_mat = np.eye(4)
        world_mat[:3] = K @ np.linalg.inv(pose)[:3]
        arrays |= {f"world_mat_{i}": world_mat, f"scale_mat_{i}": scale_mat}
        on_white = np.where(rgba[..., 3:] > 0, rgba[..., :3], 255).astype(np.uint8)
        Image.fromarray(on_white).save(folder / f"image/{i:06d}.png")
        Image.fromarray(rgba[..., 3]).save(folder / f"mask/{i:03d}.png")
    np.savez(folder / "cameras.npz", **arrays)
    return folder


@pytest.fixture
def transforms_folder(ball: Ball, tmp_path: Path) -> Path:
    """The layout of nerfstudio: one transforms.json, RGBA photos."""
    folder = tmp_path / "transforms"
    (folder / "images").mkdir(parents=True)
    frames = []
    for i, (pose, rgba) in enumerate(zip(ball.world_from_camera, ball.rgba, strict=True)):
        Image.fromarray(rgba).save(folder / f"images/{i:03d}.png")
        matrix = (pose @ OPENGL).tolist()
        frames.append({"file_path": f"images/{i:03d}.png", "transform_matrix": matrix})
    (fx, _, cx), (_, fy, cy), _ = ball.intrinsics.tolist()
    lens = {"fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "w": WIDTH, "h": HEIGHT, "k1": 0.0}
    (folder / "transforms.json").write_text(json.dumps({**lens, "frames": frames}))
    return folder


@pytest.fixture
def edit_json() -> Callable[[Path, Callable[[dict[str, Any]], Any]], None]:
    """Changes a json file in place by a function of the document."""

    def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))

    return edit


@pytest.fixture
def edit_npz() -> Callable[[Path, Callable[[dict[str, np.ndarray]], Any]], None]:
    """Changes an npz in place by a function of its arrays."""

    def edit(path: Path, change: Callable[[dict[str, np.ndarray]], Any]) -> None:
        with np.load(path) as archive:
            arrays = dict(archive)
        change(arrays)
        np.savez(path, **arrays)

    return edit
