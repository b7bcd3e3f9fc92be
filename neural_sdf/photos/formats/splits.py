"""Lists of file names in a transforms file that say what each frame is for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.findings import Finding, listed
from neural_sdf.photos.files.folder import inner_path
from neural_sdf.photos.files.names import closest, stem
from neural_sdf.photos.formats.entries import json_frames

SPLITS = ("test", "val", "train")  # a frame in several lists is the first's


def read_splits(
    folder: Path, name: str, document: Mapping[str, Any], frames: Sequence[Path]
) -> tuple[list[str], list[Finding]]:
    """What each frame is for, "train", "test" or "unused", and what is strange in the lists.

    Frames of `val_filenames` are not used. Those in no list are trained on, unless there is a list
    of those to train on.

    Args:
        folder: of the set.
        name: of the json file, for messages.
        document: the file's.
        frames: paths of the frames' photos, as written.

    Raises:
        Mistake: if a list is none, or names what no frame has.
    """
    lists = {split: _listed(folder, name, document, split, frames) for split in SPLITS}
    usual = "unused" if document.get("train_filenames") else "train"
    splits = [next((s for s in SPLITS if frame in lists[s]), usual) for frame in frames]
    findings = list(_strange(name, lists, frames))
    return ["unused" if split == "val" else split for split in splits], findings


def unread_files(folder: Path, train: str) -> tuple[list[Path], list[Finding]]:
    """Photos of the validation split, and what is said of a single file that is not read.

    Args:
        folder: of the set.
        train: name of the file of the training split.
    """
    findings = []
    whole = train.replace("_train", "")
    if (folder / whole).is_file():
        findings.append(
            Finding(
                "unread-cameras",
                "note",
                f"the folder has {whole} and {train}, and the latter is read",
                f"remove or rename {train} if {whole} is meant",
            )
        )
    path = folder / train.replace("_train", "_val")
    try:
        frames = json_frames(path)["frames"] if path.is_file() else []
        named = [inner_path(folder, f.get("file_path"), f"a file_path of {path}") for f in frames]
    except Mistake:  # nothing of it is used
        named = []
    return named, findings


def _listed(
    folder: Path, name: str, document: Mapping[str, Any], split: str, frames: Sequence[Path]
) -> set[Path]:
    """The frames of one list."""
    key = f"{split}_filenames"
    given = document.get(key) or []
    if not isinstance(given, list):
        raise Mistake(f"{key} is {given!r:.40}; expected a list of file names; mend the json")
    known, by_stem = set(frames), defaultdict(list)
    for frame in known:
        by_stem[stem(frame)].append(frame)
    found, strange = set(), []
    for entry in given:
        path = inner_path(folder, entry, f"{key} of {name}")
        frame = path if path in known else closest(path, sorted(by_stem[stem(path)]))
        if frame is None:
            strange.append(f"{entry!r:.80}")
        else:
            found.add(frame)
    if strange:
        raise Mistake(
            f"{key} of {name} in {folder} names what no frame has, or more than one: "
            f"{listed(strange)}; expected file_path of frames, such as {str(frames[0])!r:.80};"
            " mend the list"
        )
    return found


def _strange(
    name: str, lists: Mapping[str, set[Path]], frames: Sequence[Path]
) -> Iterator[Finding]:
    """Frames in several lists, or in none where all should be in one."""
    twice = lists["train"] & (lists["test"] | lists["val"])
    if twice:
        yield Finding(
            "listed-twice",
            "warning",
            f"{len(twice)} frames of {name} are in train_filenames and in test_filenames or"
            f" val_filenames: {listed(sorted(map(str, twice)))}; expected each in one list, and"
            " left them out of training",
            "remove them from one of the lists",
        )
    none = [str(frame) for frame in frames if not any(frame in these for these in lists.values())]
    if none and lists["train"]:
        yield Finding(
            "unlisted-frames",
            "warning",
            f"{len(none)} of {len(frames)} frames of {name} are in none of its lists and are not"
            f" used: {listed(none)}",
            "add them to train_filenames if they should be",
        )
