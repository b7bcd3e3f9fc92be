"""Scenes as datasets of TensorFlow Datasets (TFDS), one record a view, which `prepare` writes.

`tfds.builder_from_directory` reads them, without TensorFlow and without this package. Conventions
are the project's own: OpenCV axes, half-pixel centres, world_from_camera. The region of interest
and sparse points are in the dataset's metadata.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neural_sdf.geometry import Similarity, SparsePoints
from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.capture import Capture, Format, Stored, View
from neural_sdf.photos.files.folder import MOST_MODEL_BYTES, read_bytes, unreadable
from neural_sdf.photos.files.lens import lens_or_none
from neural_sdf.photos.files.lens_models import LENSES, Lens, OpenCV

INFO, CHECKSUMS = "dataset_info.json", "checksums.json"
EXPECTED = "a dataset as python scripts/prepare_dataset.py writes it"


def is_dataset(folder: Path) -> bool:
    """Whether a folder holds one version of a prepared scene."""
    return (folder / INFO).is_file() and (folder / CHECKSUMS).is_file()


def read_dataset(folder: Path, cameras: str) -> Capture:
    """Views of a prepared scene in the order of the files that it was made of.

    Args:
        folder: of one version, such as `~/tensorflow_datasets/my_scene/1.0.0`.
        cameras: not used.

    Raises:
        Mistake: if a file is not as it was written; it is named.
    """
    del cameras
    check_files(folder)
    # Late, as it takes longer to import than a folder of photos to read.
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(folder)
        raw = dict.fromkeys(("image", "mask"), tfds.decode.SkipDecoding())
        records = [
            record
            for split in builder.info.splits
            for record in builder.as_data_source(split=split, decoders=raw)  # pyright: ignore[reportCallIssue]
        ]
        metadata = dict(builder.info.metadata or {})
        views = [_view(record) for record in sorted(records, key=lambda record: record["view_id"])]
        places = np.array(metadata["points"], np.float64).reshape(-1, 3)
        errors = metadata.get("point_errors", [-1.0] * len(places))  # in those of today
        points = SparsePoints(places, np.array([math.nan if x < 0 else x for x in errors]))
        frame = metadata["world_from_scene"]
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise unreadable(folder / INFO, error, EXPECTED) from error
    return Capture(
        tuple(views),
        None if frame is None else Similarity(*(np.array(part, np.float64) for part in frame)),
        points if len(places) else None,
    )


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a dataset but the list of them, by name."""
    files = sorted(path for path in folder.iterdir() if path.name != CHECKSUMS)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def check_files(folder: Path) -> None:
    """Stops if a file is not as it was written; ArrayRecord's own checksums leave gaps in it.

    Raises:
        Mistake: names every file that is missing or differs.
    """
    try:
        written = json.loads(read_bytes(folder / CHECKSUMS, EXPECTED, MOST_MODEL_BYTES))
    except (ValueError, RecursionError) as error:
        raise unreadable(folder / CHECKSUMS, error, EXPECTED) from error
    now = checksums(folder)
    if not isinstance(written, dict) or not written:
        raise unreadable(folder / CHECKSUMS, "it lists no files", EXPECTED)
    bad = [name for name in sorted(written) if now.get(name) != written[name]]
    bad += sorted(now.keys() - written.keys())
    if bad:
        raise Mistake(
            f"dataset {folder} is damaged: {', '.join(bad)}; expected the files as they were"
            f" written ({CHECKSUMS}); copy them again, or prepare the dataset anew"
        )


def _view(record: Mapping[str, Any]) -> View:
    name = record["file"].decode()
    has_mask = record["mask_from"].decode() == "file"
    height, width = record["size"].tolist()
    return View(
        record["name"].decode(),
        f"record {record['view_id']}, {record['origin'].decode()}",
        Stored(name, record["image"]),
        Stored(f"mask of {name}", record["mask"]) if has_mask else None,
        np.array(record["intrinsics"], np.float64),
        np.array(record["world_from_camera"], np.float64),
        (height, width) if height else None,
        bool(record["is_test"]),
        _lens(record),
    )


def _lens(record: Mapping[str, Any]) -> Lens | None:
    """OpenCV's where the dataset is of before there were others."""
    model = LENSES[record["lens_model"].decode()] if "lens_model" in record else OpenCV
    return lens_or_none(model(*record["lens"].tolist()[: len(model._fields)]))


DATASET = Format("dataset_info.json and checksums.json", is_dataset, read_dataset)
