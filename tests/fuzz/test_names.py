"""Names in camera files and settings that lead out of the folder open nothing there."""

import builtins
import contextlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from neural_sdf.photos.doctor import inspect_scene
from tests.fuzz.inspected import PHOTOS, changed, check
from tests.photos.layouts import LAYOUTS


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
FIXED = {"transforms", "llff", "sdfstudio", "nsvf"}  # layouts that leave no choice of cameras
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
@pytest.mark.parametrize(
    "layout", sorted(set(LAYOUTS) - {"transforms", "llff", "sdfstudio", "nsvf"})
)
def test_no_name_of_the_cameras_opens_what_is_outside_the_folder(sets, layout, way):
    """A setting may be copied from another's config. It names a file or a folder of cameras."""
    folder = sets(layout)
    other = folder.with_name("other")
    if not other.exists():
        shutil.copytree(folder, other)
    cameras = Path(LAYOUTS[layout].files[0])
    cameras = cameras if len(cameras.parts) == 1 else cameras.parent
    name = f"{other}/{cameras}" if way == "/{}" else way.format(cameras)
    with watched() as seen:
        said = check(folder, format=layout.partition(",")[0], cameras=name)
    assert outsiders(seen, folder) == []
    assert said
    inner = check(folder, format=layout.partition(",")[0], cameras=str(cameras))
    assert inner == [], "the name itself is right"
