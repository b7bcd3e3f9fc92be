"""Any photo set as a dataset of TensorFlow Datasets: versioned, checksummed, one record a view."""

from __future__ import annotations

import contextlib
import io
import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import example_serializer, registered

from neural_sdf.machine.files import as_png
from neural_sdf.mistake import Mistake
from neural_sdf.photos.files.capture import View
from neural_sdf.photos.files.findings import settle_but_masks
from neural_sdf.photos.files.folder import find_set
from neural_sdf.photos.files.images import ImageError, photo_file
from neural_sdf.photos.files.lens_models import OpenCV
from neural_sdf.photos.files.views import mask_file
from neural_sdf.photos.formats.dataset import CHECKSUMS, check_files, checksums
from neural_sdf.photos.layouts import read_capture
from neural_sdf.photos.outlines.region import written_region
from neural_sdf.photos.views import usable_views

VERSION = (
    "1.0.0"  # of what a record holds; the first number changes when old readers cannot read it
)

COEFFICIENTS = len(OpenCV._fields)  # of a lens; no model has more


class PosedScene(tfds.core.GeneratorBasedBuilder):
    """Photos of one object, with masks and cameras."""

    VERSION = tfds.core.Version(VERSION)

    def __init__(
        self, views: Sequence[View], *, metadata: dict[str, Any], mask_shows: str, **settings: Any
    ) -> None:
        """Takes the views from memory and their images from their files."""
        self._views, self._metadata, self._mask_shows = views, metadata, mask_shows
        self.error: ImageError | None = None  # TFDS wraps what a generator raises
        super().__init__(file_format="array_record", **settings)

    def _info(self) -> tfds.core.DatasetInfo:
        exact = tfds.features.Encoding.BYTES  # the default keeps 32 of 64 bits

        def numbers(*shape: int) -> tfds.features.Tensor:
            return tfds.features.Tensor(shape=shape, dtype=np.float64, encoding=exact)

        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "view_id": np.int64,
                    "name": tfds.features.Text(),
                    "file": tfds.features.Text(),
                    "origin": tfds.features.Text(),
                    "image": tfds.features.Image(shape=(None, None, None)),
                    "mask": tfds.features.Image(shape=(None, None, 1)),
                    "mask_from": tfds.features.Text(),  # "file", "alpha" or "none"
                    "intrinsics": numbers(3, 3),
                    "world_from_camera": numbers(4, 4),
                    "lens": numbers(COEFFICIENTS),
                    "lens_model": tfds.features.Text(),
                    "size": tfds.features.Tensor(shape=(2,), dtype=np.int64),
                    "is_test": np.bool_,
                }
            ),
            metadata=tfds.core.MetadataDict(self._metadata),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        del dl_manager
        parts = {"train": False, "test": True}
        have = {name for name, held in parts.items() if any(v.is_test == held for v in self._views)}
        return {name: self._generate_examples(held) for name, held in parts.items() if name in have}

    def _generate_examples(self, is_test: bool) -> Iterator[tuple[int, dict[str, Any]]]:
        for i, view in enumerate(self._views):
            if view.is_test == is_test:
                try:
                    yield i, record(i, view, mask_shows=self._mask_shows)
                except ImageError as error:
                    self.error = error
                    raise


def record(view_id: int, view: View, *, mask_shows: str) -> dict[str, Any]:
    """What a dataset holds of a view; images as files, which plain TFDS decodes."""
    mask = mask_file(view, mask_shows=mask_shows)
    blank = np.full((1, 1), 255, np.uint8)
    lens = view.lens or OpenCV()
    coefficients = tuple(lens)
    kind = "none" if mask is None else "alpha" if view.mask is None else "file"
    return {
        "view_id": view_id,
        "name": view.name,
        "file": view.image.name,
        "origin": view.origin,
        "image": photo_file(view.image, view.is_turned),
        "mask": as_png(blank) if mask is None else mask,
        "mask_from": kind,
        "intrinsics": view.intrinsics,
        "world_from_camera": view.world_from_camera,
        "lens": np.array([*coefficients, *[0.0] * (COEFFICIENTS - len(coefficients))], np.float64),
        "lens_model": type(lens).__name__,
        "size": np.array(view.size or (0, 0)),
        "is_test": view.is_test,
    }


def prepare_dataset(
    path: str | Path,
    data_dir: str | Path,
    *,
    name: str = "",
    format: str = "auto",
    cameras: str = "",
    mask_shows: str = "object",
    skip_missing: bool = False,
) -> Path:
    """Writes a photo set as a dataset, whole or not at all; the same set gives the same bytes.

    Photos keep their full size and their lens, so that training from the dataset is training from
    the folder. Two processes may prepare at once: one writes, the other finds it written.

    Args:
        path: of the photo set.
        data_dir: the folder of datasets; this one goes to `<name>/<version>` in it.
        name: of the dataset; if empty, that of the photo set's folder.
        format: as for `load_scene`.
        cameras: as for `load_scene`.
        mask_shows: as for `load_scene`; in the dataset masks are bright on the object.
        skip_missing: as for `load_scene`.

    Returns:
        The folder of the dataset's version.

    Raises:
        Mistake: if the set cannot be used, or the name is taken by another, or
            if the set or its camera file is missing.
    """
    folder, data_dir = find_set(path), Path(data_dir).expanduser()
    capture = read_capture(path, format=format, cameras=cameras)
    usable = usable_views(folder, capture, skip_missing=skip_missing, report=settle_but_masks)
    name = name or dataset_name(folder)
    if dataset_name(Path(name)) != name:
        raise Mistake(
            f"dataset name {name!r}: expected lower-case letters, digits and _, such as"
            f" {dataset_name(Path(name))!r}; set <name>"
        )
    frame, points = written_region(folder) or capture.world_from_scene, capture.points
    metadata = {
        "world_from_scene": None if frame is None else [np.asarray(x).tolist() for x in frame],
        "points": [] if points is None else points.places.tolist(),
        "point_errors": [] if points is None else np.nan_to_num(points.errors, nan=-1.0).tolist(),
    }
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=data_dir, prefix=f".{name}.") as scratch:
            settings = {"metadata": metadata, "mask_shows": mask_shows, "data_dir": scratch}
            with registered.skip_registration():
                builder = type(name, (PosedScene,), {"name": name, "__module__": __name__})
            return publish(_write(builder(usable.views, **settings)), data_dir / name / VERSION)
    except (OSError, RuntimeError) as error:  # ArrayRecord's writer makes the latter
        reason = " ".join(str(error).split())[:200]
        raise Mistake(
            f"dataset {name} cannot be written to {data_dir} ({reason}); expected a folder with"
            " room for the photos; choose another by <data_dir>"
        ) from error


def publish(made: Path, target: Path) -> Path:
    """Puts a dataset in its place in one step; one that is there already must be the same.

    Raises:
        Mistake: if it is not.
    """
    target.parent.mkdir(exist_ok=True)
    try:
        made.rename(target)
    except OSError as error:
        if not (target / CHECKSUMS).is_file():
            raise
        check_files(target)
        if (made / CHECKSUMS).read_bytes() != (target / CHECKSUMS).read_bytes():
            raise Mistake(
                f"{target} holds another scene; expected the same one, or none; set <name>, or"
                " delete that folder"
            ) from error
    return target


def dataset_name(folder: Path) -> str:
    """A name that TFDS takes, after a folder's: lower-case letters, digits and _."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", folder.resolve().name)
    name = re.sub(r"[^a-z0-9]+", "_", words.lower())
    name = name.strip("_") or "scene"
    return name if name[0].isalpha() else f"scene_{name}"


def _write(builder: PosedScene) -> Path:
    """The finished folder of a builder, with the list of its files."""
    try:
        with _sorted_fields(), contextlib.redirect_stdout(io.StringIO()):  # of a download
            builder.download_and_prepare()
    except Exception:
        if builder.error is not None:
            raise builder.error from None
        raise
    made = Path(builder.data_dir)
    (made / CHECKSUMS).write_text(json.dumps(checksums(made), indent=1) + "\n")
    return made


@contextlib.contextmanager
def _sorted_fields() -> Iterator[None]:
    """Lets TFDS write the fields of a record in sorted order.

    It leaves their order to the process (a map of protobuf's), so that the same scene would give
    other bytes each time. Delete when `ExampleSerializer` asks for `deterministic=True` itself.
    """
    serializer = example_serializer.ExampleSerializer
    unsorted = serializer.serialize_example
    serializer.serialize_example = lambda self, example: self.get_tf_example(
        example
    ).SerializeToString(deterministic=True)
    try:
        yield
    finally:
        serializer.serialize_example = unsorted
