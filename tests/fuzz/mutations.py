"""Random changes of a file's content, by the kind of the file."""

import io
import json
import math
import random
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

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
