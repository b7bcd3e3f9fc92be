"""Camera files that are broken or hostile end in a reading or in one sentence, and in little time.

NEURAL_SDF_FUZZ is the number of mutations of each layout; what fails is printed with its seed.
"""

import builtins
import contextlib
import io
import json
import math
import os
import pickle
import random
import shutil
import struct
import time
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from neural_sdf.photos.doctor import as_json, as_text, inspect_scene
from neural_sdf.photos.files.folder import MOST_BYTES, MOST_MODEL_BYTES
from neural_sdf.photos.load import load_scene, read_capture, usable_views
from tests.photos import layouts

COUNT = int(os.environ.get("NEURAL_SDF_FUZZ", "60"))
WHOLE = 3  # of so many mutants one is looked at with its pixels too
SENTENCES = ("unreadable-cameras", "unreadable-region")  # findings that were exceptions
VIEWS = 6  # few, so that the doctor is quick
PHOTOS = layouts.Photos(*(part[::2] for part in layouts.take_photos()))
FILES = {
    "idr": ["cameras.npz"],
    "transforms": ["transforms_train.json"],
    "colmap": [f"sparse/0/{name}.txt" for name in ("cameras", "images", "points3D")],
    "colmap, binary": [f"sparse/0/{name}.bin" for name in ("cameras", "images", "points3D")],
    "llff": ["poses_bounds.npy"],
    "blended_mvs": ["cams/003_cam.txt"],
    "middlebury": ["ball_par.txt"],
    "projections": ["txt/003.txt"],
}
POINTS = np.random.default_rng(0).normal(size=(20, 3))
LINES = "".join(f"{i} {x!r} {y!r} {z!r} 1 2 3 0.5\n" for i, (x, y, z) in enumerate(POINTS.tolist()))
ENTRIES = b"".join(struct.pack("<Q3d3BdQ", i, *p, 1, 2, 3, 0.5, 0) for i, p in enumerate(POINTS))


def write(layout: str, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layouts, "NUM_VIEWS", VIEWS)
        layouts.WRITERS[layout](folder, PHOTOS)
    if layout == "colmap":
        (folder / "sparse/0/points3D.txt").write_text(LINES)
    if layout == "colmap, binary":
        (folder / "sparse/0/points3D.bin").write_bytes(struct.pack("<Q", len(POINTS)) + ENTRIES)
    return folder


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> Callable[[str], Path]:
    """A good set of a layout, written once; who changes a file in it puts it back."""
    made: dict[str, Path] = {}

    def find(layout: str) -> Path:
        if layout not in made:
            made[layout] = write(layout, tmp_path_factory.mktemp("set") / "scene")
        return made[layout]

    return find


@pytest.fixture(params=layouts.WRITERS)
def good(request, sets) -> tuple[str, Path]:
    return request.param, sets(request.param)


@pytest.fixture
def transforms(sets) -> Path:
    return sets("transforms")


def is_sentence(message: str) -> bool:
    return "\n" not in message and len(message) < 1200


def check(folder: Path, *, whole: bool = True, **settings: Any) -> list[str]:
    """What is said of a folder: sentences only, without another warning, within five seconds.

    Cameras and the headers of photos are always read; pixels only if asked for.
    """
    start, said, unread = time.perf_counter(), [], []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            if whole:
                report = inspect_scene(folder, **settings)
                said = [finding.sentence for finding in report.findings]
                unread = [f.message for f in report.findings if f.code in SENTENCES]
                json.loads(as_json(report))
                as_text(report).encode()
            else:
                capture = read_capture(folder, **{"format": "auto", "cameras": "", **settings})
                usable_views(
                    folder,
                    capture,
                    skip_missing=False,
                    report=lambda finding: said.append(finding.sentence),
                )
        except (ValueError, FileNotFoundError) as error:
            said.append(str(error))
            unread.append(str(error))
    foreign = [
        f"{w.filename}:{w.lineno}: {w.message}" for w in caught if w.category is not UserWarning
    ]
    assert not foreign, foreign
    strange = [sentence for sentence in said if not is_sentence(sentence)]
    assert not strange, strange
    puzzling = [sentence for sentence in unread if "expected" not in sentence]
    assert not puzzling, puzzling
    assert time.perf_counter() - start < 5
    return said


# Mutations.

WORDS = [
    *("nan", "inf", "-inf", "1e400", "-0", "0", "-1", "1e-320", "1e-300", "1e30", "-1e30", "1e300"),
    *("1e200", "9" * 19, "9" * 400, "9" * 5000, "18446744073709551616", "2.5", "x", "", "#", "1_0"),
    *("0x1F", "٣", "1,5", "\0", "\u2028", "../x", "None", "a" * 3000),
]
VALUES = [
    math.nan,
    math.inf,
    -math.inf,
    -0.0,
    0.0,
    -1.0,
    5e-324,
    1e-300,
    1e30,
    1e200,
    1e300,
    -1e308,
]
LEAVES = [
    *VALUES,
    *(None, True, False, 0, -1, 10**18, 2**63, 2**64, 10**400, "", "x", "\0", "\ud800", "../x"),
    *(
        "a\nb",
        "1",
        "nan",
        "a" * 300,
        "é" * 200,
        "𝔸" * 250,
        [],
        {},
        [[]],
        [1, 2],
        {"a": 1},
        [None] * 4,
    ),
]


def flip(rng: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 3, 30))):
        changed[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(rng: random.Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content))]


def delete(rng: random.Random, content: bytes) -> bytes:
    start = rng.randrange(len(content))
    return content[:start] + content[start + rng.randrange(1, 40) :]


def insert(rng: random.Random, content: bytes) -> bytes:
    start = rng.randrange(len(content))
    return content[:start] + rng.randbytes(rng.choice((1, 4, 30))) + content[start:]


def repeat(rng: random.Random, content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    at = rng.randrange(len(lines))
    return b"".join([*lines[:at], lines[at], *lines[at:]])


def drop(rng: random.Random, content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    del lines[rng.randrange(len(lines))]
    return b"".join(lines)


def reword(rng: random.Random, content: bytes) -> bytes:
    """Another word, or several, in a text of lines."""
    lines = content.decode().split("\n")
    for _ in range(rng.choice((1, 1, 3))):
        at = rng.choice([i for i, line in enumerate(lines) if line.strip()])
        words = lines[at].split(" ")
        words[rng.randrange(len(words))] = rng.choice(WORDS)
        lines[at] = " ".join(words)
    return "\n".join(lines).encode()


def number(rng: random.Random, content: bytes) -> bytes:
    """Other numbers in a binary file."""
    start = rng.randrange(max(1, len(content) - 8))
    start -= start % rng.choice((1, 4, 8))
    new = rng.choice(
        [
            *(struct.pack("<d", value) for value in VALUES),
            *(struct.pack("<Q", value) for value in (0, 1, 2**31, 2**32, 2**60, 2**64 - 1)),
            *(struct.pack("<i", value) for value in (-1, 3, 5, 6, 11, 99)),
        ]
    )
    return content[:start] + new + content[start + len(new) :]


def leaf(rng: random.Random, content: bytes) -> bytes:
    """Another value in a json document, or one key less."""
    document = json.loads(content)
    for _ in range(rng.choice((1, 1, 3))):
        node, keys = document, []
        while isinstance(node, dict | list) and node and (not keys or rng.random() < 0.85):
            keys.append(
                (node, rng.choice(list(node) if isinstance(node, dict) else range(len(node))))
            )
            node = keys[-1][0][keys[-1][1]]
        if not keys:
            break
        parent, key = keys[-1]
        if rng.random() < 0.2:
            del parent[key]
        else:
            parent[key] = rng.choice(LEAVES)
    return json.dumps(document).encode()


def json_key(rng: random.Random, content: bytes) -> bytes:
    """What the reader knows and the writer did not write, in the file or a frame."""
    document = json.loads(content)
    keys = "fl_x fl_y cx cy w h k1 k2 k3 k4 k5 k6 p1 p2 camera_angle_y camera_model is_fisheye"
    key = rng.choice([*keys.split(), "test_filenames", "val_filenames", "mask_path", "file_path"])
    rng.choice([document, *document["frames"]])[key] = rng.choice(LEAVES)
    return json.dumps(document).encode()


def array(rng: random.Random, content: bytes) -> bytes:
    """Other numbers, kinds or shapes of an array in an npy or npz."""
    loaded = np.load(io.BytesIO(content))
    arrays = dict(loaded) if isinstance(loaded, np.lib.npyio.NpzFile) else {"": loaded}
    key = rng.choice(list(arrays))
    values = arrays[key].copy()
    kind = rng.randrange(5)
    if kind < 3:
        for _ in range(rng.choice((1, 1, 4))):
            values[tuple(rng.randrange(n) for n in values.shape)] = rng.choice(VALUES)
    elif kind == 3:
        values = values[rng.choice(([0], slice(0), slice(None, -1), ..., None))]
    else:
        with np.errstate(all="ignore"):
            values = values.astype(
                rng.choice(["<f4", ">f8", "<i8", "<c16", "S3", "?", "<f2", "U9"])
            )
    stream = io.BytesIO()
    if "" in arrays:
        np.save(stream, values)
    else:
        others = {
            name: value for name, value in arrays.items() if name != key or rng.random() < 0.9
        }
        np.savez(stream, **{**others, rng.choice([key, key, "scale_mat_0", "world_mat_6"]): values})
    return stream.getvalue()


ANY = [flip, cut, delete, insert]
TEXT = [*ANY, repeat, drop, reword, reword, reword, reword]
MUTATIONS: dict[str, list[Callable[[random.Random, bytes], bytes]]] = {
    ".npz": [*ANY, array, array, array],
    ".npy": [*ANY, number, array, array, array],
    ".json": [*ANY, leaf, leaf, leaf, json_key, json_key],
    ".txt": TEXT,
    ".bin": [*ANY, number, number, number],
}


def mutant(rng: random.Random, name: str, content: bytes) -> bytes:
    return rng.choice(MUTATIONS[Path(name).suffix])(rng, content)


@contextmanager
def told(what: str, content: bytes) -> Iterator[None]:
    """Whatever fails says which mutant it was."""
    try:
        yield
    except Exception as error:
        error.add_note(f"{what} is {content[:300]!r}")
        raise


@contextmanager
def changed(path: Path, content: bytes) -> Iterator[None]:
    """A file of another content, or a new one, for a while."""
    before = path.read_bytes() if path.is_file() else None
    path.write_bytes(content)
    try:
        yield
    finally:
        path.unlink() if before is None else path.write_bytes(before)


def test_every_mutation_of_the_cameras_ends_in_a_reading_or_a_sentence(good):
    layout, folder = good
    assert check(folder) == []
    refused = 0
    for seed in range(COUNT):
        rng = random.Random(f"{layout} {seed}")
        name = rng.choice(FILES[layout])
        content = mutant(rng, name, (folder / name).read_bytes())
        with changed(folder / name, content), told(f"mutant {seed} of {layout}: {name}", content):
            refused += bool(check(folder, whole=seed % WHOLE == 0))
    assert refused > 0.2 * COUNT
    assert check(folder) == [], "the set was put back"


def test_every_mutation_of_the_region_ends_in_a_reading_or_a_sentence(transforms):
    turn = [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    good = {"centre": list(layouts.CENTRE), "radius": layouts.RADIUS, "rotation": turn}
    good = json.dumps(good).encode()
    with changed(transforms / "region.json", good):
        assert check(transforms) == []
    for seed in range(COUNT // 2):
        rng = random.Random(f"region {seed}")
        content = rng.choice([flip, cut, delete, insert, leaf, leaf, leaf])(rng, good)
        with (
            changed(transforms / "region.json", content),
            told(f"mutant {seed} of the region:", content),
        ):
            check(transforms)


@pytest.mark.parametrize("place", ["train", "masks"])
def test_every_mutation_of_an_image_ends_in_a_reading_or_a_sentence(transforms, place):
    refused = 0
    path = transforms / place / "003.png"
    for seed in range(COUNT // 2):
        rng = random.Random(f"{place} {seed}")
        content = rng.choice([flip, flip, cut, delete, insert])(rng, path.read_bytes())
        with changed(path, content), told(f"mutant {seed} of {path.name} in {place}:", content):
            refused += bool(check(transforms))
    assert refused > 0.2 * COUNT // 2


# Names that lead out of the folder.


@contextmanager
def watched() -> Iterator[list[Path]]:
    """Every path that is looked at or opened meanwhile."""
    seen: list[Path] = []

    def watch(module, name):
        original = getattr(module, name)

        def call(*args, **kwargs):
            if args and isinstance(args[0], str | os.PathLike):
                seen.append(Path(os.path.normpath(args[0])))
            return original(*args, **kwargs)

        patch.setattr(module, name, call)

    with pytest.MonkeyPatch.context() as patch:
        for module, name in (
            *((os, name) for name in ("stat", "open", "listdir", "scandir")),
            *((io, "open"), (builtins, "open"), (Image, "open")),
        ):
            watch(module, name)
        yield seen


def outsiders(seen: list[Path], folder: Path) -> list[Path]:
    """What lies beside the folder of a scene, among paths."""
    assert any(path.is_relative_to(folder) for path in seen), "the watch sees something"
    return [p for p in seen if p.is_relative_to(folder.parent) and not p.is_relative_to(folder)]


def name_in_json(key: str) -> Callable[[bytes, str], bytes]:
    def change(content: bytes, name: str) -> bytes:
        document = json.loads(content)
        document["frames"][3][key] = name
        return json.dumps(document).encode()

    return change


def name_in_file(content: bytes, name: str) -> bytes:
    assert b"003.png" in content
    return content.replace(b"003.png", name.encode())


NAMED = {
    "transforms, photo": ("transforms", "transforms_train.json", name_in_json("file_path")),
    "transforms, mask": ("transforms", "transforms_train.json", name_in_json("mask_path")),
    "colmap": ("colmap", "sparse/0/images.txt", name_in_file),
    "colmap, binary": ("colmap, binary", "sparse/0/images.bin", name_in_file),
    "middlebury": ("middlebury", "ball_par.txt", name_in_file),
}
WAYS_OUT = [
    *("../../outside/003.png", "../outside/003.png", "images/../../outside/003.png", "{}/003.png"),
    *("../../outside/003", "{}/003", "..\\..\\outside\\003.png", "x/../../../outside/003.png"),
    *(".", "./", "x/..", "../scene", "..", "//{}/003.png"),
]


@pytest.mark.parametrize("way", WAYS_OUT)
@pytest.mark.parametrize("kind", NAMED)
def test_no_name_in_a_camera_file_opens_what_is_outside_the_folder(sets, kind, way):
    layout, file, change = NAMED[kind]
    folder = sets(layout)
    outside = folder.parent / "outside"
    outside.mkdir(exist_ok=True)
    for path in (outside / "003.png", *(folder.with_suffix(s) for s in (".png", ".jpg", ".jpeg"))):
        Image.fromarray(PHOTOS.rgb[0]).save(path)
    name = way.format(outside)
    with changed(folder / file, change((folder / file).read_bytes(), name)):
        with watched() as seen, contextlib.suppress(ValueError):
            inspect_scene(folder)
        assert outsiders(seen, folder) == []
        assert check(folder), "and it is not read as if nothing were wrong"


@pytest.mark.parametrize("way", ["../other/{}", "x/../../other/{}", "..\\other\\{}", "/{}", "."])
@pytest.mark.parametrize("layout", sorted({*FILES} - {"transforms", "llff"}))
def test_no_name_of_the_cameras_opens_what_is_outside_the_folder(sets, layout, way):
    """A setting may be copied from another's config. It names a file or a folder of cameras."""
    folder = sets(layout)
    other = folder.with_name("other")
    if not other.exists():
        shutil.copytree(folder, other)
    cameras = Path(FILES[layout][0])
    cameras = cameras if len(cameras.parts) == 1 else cameras.parent
    name = f"{other}/{cameras}" if way == "/{}" else way.format(cameras)
    with watched() as seen:
        said = check(folder, format=layout.partition(",")[0], cameras=name)
    assert outsiders(seen, folder) == []
    assert said
    inner = check(folder, format=layout.partition(",")[0], cameras=str(cameras))
    assert inner == [], "the name itself is right"


# Files made to hurt.


class Bomb:
    """Says so if it is ever unpickled."""

    def __reduce__(self):
        return pytest.fail, ("unpickled",)


def object_array() -> np.ndarray:
    array = np.empty((4, 4), object)
    array[:] = Bomb()
    return array


def header(shape: str, descr: str = "'<f8'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def saved(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def packed(content: bytes, *, method: int = zipfile.ZIP_STORED) -> bytes:
    """An npz whose first matrix has this content."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for i in range(VIEWS):
            archive.writestr(f"world_mat_{i}.npy", saved(np.eye(4)) if i else content)
    return stream.getvalue()


def declaring(size: int, archive: bytes) -> bytes:
    """The archive with another unpacked size of its first member, in both of its places."""
    changed, central = bytearray(archive), archive.index(b"PK\x01\x02")
    changed[22:26] = changed[central + 24 : central + 28] = struct.pack("<I", size)
    return bytes(changed)


def zeros(size: int) -> bytes:
    """An npz whose first matrix is said to be small and unpacks to so many zeros."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("world_mat_0.npy", "w") as member:
            for _ in range(size >> 20):
                member.write(bytes(1 << 20))
        for i in range(1, VIEWS):
            archive.writestr(f"world_mat_{i}.npy", saved(np.eye(4)))
    return declaring(256, stream.getvalue())


def damaged(archive: bytes) -> bytes:
    """The archive with other bytes in its first member."""
    start = 30 + len("world_mat_0.npy") + 4
    return (
        archive[:start]
        + bytes(byte ^ 0x55 for byte in archive[start : start + 60])
        + archive[start + 60 :]
    )


def png(width: int, height: int, data: bytes = b"") -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        code = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + code

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(data or bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


ONE_CAMERA = struct.pack("<QIiQQ3d", 1, 1, 0, 48, 48, 70.0, 24, 24)
ONE_IMAGE = struct.pack("<QI7dI", 1, 1, 1, 0, 0, 0, 0, 0, 4, 1) + b"000.png\0"
ONE_POINT = struct.pack("<QQ3d3Bd", 1, 1, 0, 0, 0, 1, 2, 3, 0.5)
MANY = struct.pack("<Q", 2**60)
LONG = 2_000_000  # bytes
HOSTILE: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    "npz of pickles": ("idr", "cameras.npz", lambda: packed(saved(object_array()))),
    "npz that is a pickle": ("idr", "cameras.npz", lambda: pickle.dumps(Bomb())),
    "npz member that is a pickle": ("idr", "cameras.npz", lambda: packed(pickle.dumps(Bomb()))),
    "npy of pickles": ("llff", "poses_bounds.npy", lambda: saved(object_array())),
    "npy that is a pickle": ("llff", "poses_bounds.npy", lambda: pickle.dumps(Bomb())),
    "npy of a structure with pickles": (
        "llff",
        "poses_bounds.npy",
        lambda: header("(2, 17)", "[('a', '|O')]") + pickle.dumps(Bomb()),
    ),
    "npz that declares a gigabyte": (
        "idr",
        "cameras.npz",
        lambda: declaring(2**30, packed(saved(np.eye(4)))),
    ),
    "npz that hides its size": ("idr", "cameras.npz", lambda: zeros(2**28)),
    "npz with a matrix of 10¹² rows": (
        "idr",
        "cameras.npz",
        lambda: packed(header("(1000000000000, 4)") + bytes(128)),
    ),
    "npz with a matrix of a gigabyte": (
        "idr",
        "cameras.npz",
        lambda: packed(header("(2 ** 0, 4)".replace("2 ** 0", "33554432")) + bytes(128)),
    ),
    "npz whose header has no end": ("idr", "cameras.npz", lambda: packed(header("(4, (4, "))),
    "npz with damaged lzma": (
        "idr",
        "cameras.npz",
        lambda: damaged(packed(saved(np.eye(4)), method=zipfile.ZIP_LZMA)),
    ),
    "npz with damaged bzip2": (
        "idr",
        "cameras.npz",
        lambda: damaged(packed(saved(np.eye(4)), method=zipfile.ZIP_BZIP2)),
    ),
    "npz with damaged deflate": (
        "idr",
        "cameras.npz",
        lambda: damaged(packed(saved(np.eye(4)), method=zipfile.ZIP_DEFLATED)),
    ),
    "npy with 10¹² rows": (
        "llff",
        "poses_bounds.npy",
        lambda: header("(1000000000000, 17)") + bytes(136),
    ),
    "npy with rows below zero": ("llff", "poses_bounds.npy", lambda: header("(-1, 17)")),
    "npy whose header has no end": ("llff", "poses_bounds.npy", lambda: header("(4, (4, ")),
    "npy with a deep header": (
        "llff",
        "poses_bounds.npy",
        lambda: header("(" * 5000 + ")" * 5000),
    ),
    "2⁶⁰ cameras": ("colmap, binary", "sparse/0/cameras.bin", lambda: MANY + ONE_CAMERA[8:]),
    "2⁶⁰ images": ("colmap, binary", "sparse/0/images.bin", lambda: MANY + ONE_IMAGE[8:]),
    "2⁶⁰ observations": ("colmap, binary", "sparse/0/images.bin", lambda: ONE_IMAGE + MANY),
    "2⁶⁰ points": ("colmap, binary", "sparse/0/points3D.bin", lambda: MANY + ONE_POINT[8:]),
    "a point in 2⁶⁰ images": ("colmap, binary", "sparse/0/points3D.bin", lambda: ONE_POINT + MANY),
    "a name without an end": (
        "colmap, binary",
        "sparse/0/images.bin",
        lambda: ONE_IMAGE[:-1] + b"a" * LONG,
    ),
    "deep json": ("transforms", "transforms_train.json", lambda: b"[" * 100_000),
    "deep json in a key": (
        "transforms",
        "transforms_train.json",
        lambda: b'{"frames": ' + b'{"a":' * 100_000,
    ),
    "deep region": ("transforms", "region.json", lambda: b'{"centre": ' + b"[" * 100_000),
    **{
        f"a long line of {what} in {layout}": (layout, name, lambda word=word: word * (LONG // 2))
        for what, word in (("numbers", b"1 "), ("letters", b"ab"), ("empty lines", b"\n\n"))
        for layout, name in (
            ("colmap", "sparse/0/cameras.txt"),
            ("colmap", "sparse/0/images.txt"),
            ("blended_mvs", "cams/000_cam.txt"),
            ("middlebury", "ball_par.txt"),
            ("projections", "txt/003.txt"),
        )
    },
    "a photo of 60000 by 60000": ("transforms", "train/003.png", lambda: png(60000, 60000)),
    "a mask of 60000 by 60000": ("transforms", "masks/003.png", lambda: png(60000, 60000)),
    "a photo of idr of 60000 by 60000": ("idr", "image/003.png", lambda: png(60000, 60000)),
    "a photo without a row": ("transforms", "train/003.png", lambda: png(48, 0)),
}


def resident(key: str) -> int:
    """A line of Linux' account of this process, in bytes; 0 elsewhere."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(key))


@contextmanager
def little_memory(most: int = 200_000_000) -> Iterator[None]:
    """Python's and NumPy's own is counted; Pillow's too where Linux resets its account."""
    reset = Path("/proc/self/clear_refs")
    if reset.is_file():
        reset.write_text("5")
    before = resident("VmRSS")
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most
    if reset.is_file():
        assert resident("VmHWM") - before < most


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_file_made_to_hurt_is_refused_in_little_memory(sets, kind):
    layout, name, content = HOSTILE[kind]
    folder = sets(layout)
    with changed(folder / name, content()), little_memory():
        said = check(folder)
    assert said


def test_a_point_farther_than_any_is_refused_or_left_out(sets):
    """Without masks the region is that of the points."""
    folder = sets("colmap, binary")
    far = struct.pack("<QQ3d3BdQ", 1, 1, 1e300, -1e300, 1e300, 1, 2, 3, 0.5, 0)
    masks = (folder / "masks").rename(folder / "unused")
    try:
        with changed(folder / "sparse/0/points3D.bin", far):
            check(folder)
    finally:
        masks.rename(folder / "masks")


def test_a_camera_file_too_large_is_refused_unread(good):
    """A sparse file takes no place on the disk."""
    layout, folder = good
    for name in FILES[layout]:
        with changed(folder / name, b""), little_memory(20_000_000):
            most = MOST_MODEL_BYTES if "colmap" in layout else MOST_BYTES
            os.truncate(folder / name, most + 1)
            said = check(folder)
            assert any(f"{most + 1} bytes, expected {most} or fewer" in s for s in said)


def test_a_region_too_large_is_refused_unread(transforms):
    path = transforms / "region.json"
    with changed(path, b""), little_memory(20_000_000):
        os.truncate(path, 300_000_000)
        (sentence,) = check(transforms)
    assert "region.json cannot be read (300000000 bytes, expected" in sentence


# Numbers and names that no camera has.


def with_frame(folder: Path, **values: Any) -> bytes:
    """The camera file of a transforms set with other values in one frame."""
    document = json.loads((folder / "transforms_train.json").read_text())
    document["frames"][3].update(values)
    return json.dumps(document).encode()


@pytest.mark.parametrize("width", [100_000, 1e18, 1e30])
def test_a_huge_size_of_one_view_is_told_of_that_view_alone(transforms, width):
    """It says nothing of the others, whose pixels are read at the size that they have."""
    with changed(transforms / "transforms_train.json", with_frame(transforms, w=width, h=48)):
        check(transforms)
        found = inspect_scene(transforms).findings
    assert found[0].code == "wrong-size" or "frame 3" in found[0].message


@pytest.mark.parametrize("size", [1e-300, 1e-30, 1e-6, 1e30, 1e300])
@pytest.mark.parametrize("key", ["fl_x", "fl_y", "camera_angle_x"])
def test_an_absurd_focal_length_makes_no_warning_of_numpy(transforms, key, size):
    values = {"fl_x": None, key: size, "k1": 0.1}
    with changed(transforms / "transforms_train.json", with_frame(transforms, **values)):
        check(transforms)


@pytest.mark.parametrize("size", [1e25, 1e150, 1e200, 1e300, -1e300])
def test_an_absurd_pose_makes_no_warning_of_numpy(transforms, size):
    document = json.loads((transforms / "transforms_train.json").read_text())
    for row, column in ((0, 3), (1, 1)):
        matrix = np.array(document["frames"][3]["transform_matrix"])
        matrix[row, column] = size
        spoilt = with_frame(transforms, transform_matrix=matrix.tolist())
        with changed(transforms / "transforms_train.json", spoilt):
            assert check(transforms)


@pytest.mark.parametrize("size", [1e25, 1e150, 1e300])
@pytest.mark.parametrize("key", ["world_mat_3", "scale_mat_3"])
def test_an_absurd_matrix_makes_no_warning_of_numpy(sets, key, size):
    path = sets("idr") / "cameras.npz"
    with np.load(path) as archive:
        arrays = {"scale_mat_0": np.eye(4), **archive}
    arrays = {**{f"scale_mat_{i}": np.eye(4) for i in range(VIEWS)}, **arrays}
    arrays[key] = arrays[key].copy()
    arrays[key][1, 1] = size
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    with changed(path, stream.getvalue()):
        assert check(sets("idr"))


@pytest.mark.parametrize(
    "region",
    [
        {"centre": [1e300, 0, 0], "radius": 1},
        {"centre": [0, 0, 0], "radius": 1e300},
        {"centre": [0, 0, 0], "radius": 1e-300},
        {"centre": [0, 0, 0], "radius": 5e-324},
        {"centre": [0, 0, 0], "radius": 1, "rotation": [[1e200] * 3] * 3},
    ],
)
def test_an_absurd_region_makes_no_warning_of_numpy(transforms, region):
    with changed(transforms / "region.json", json.dumps(region).encode()):
        assert check(transforms)


@pytest.mark.parametrize(
    "name",
    ["𝔸" * 250, "a" * 254, "\ud800.png", "train/" + "é" * 200 + ".png", "train/a\nb.png"],
    ids=["wide", "long", "half", "accents", "lines"],
)
@pytest.mark.parametrize("key", ["file_path", "mask_path"])
def test_a_name_that_no_file_has_is_told_in_a_line_that_can_be_printed(transforms, key, name):
    with changed(transforms / "transforms_train.json", with_frame(transforms, **{key: name})):
        assert check(transforms)
        with pytest.raises((ValueError, FileNotFoundError)) as error:
            load_scene(transforms)
    str(error.value).encode()
