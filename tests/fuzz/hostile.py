"""Files made to hurt: pickles, sizes that are declared and not there, depths, long lines."""

import io
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
import pytest

from tests.fuzz.inspected import VIEWS


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
        f"a long line of {what} in {name}": (layout, name, lambda word=word: word * (LONG // 2))
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
