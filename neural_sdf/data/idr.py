"""The layout of IDR and NeuS: `image/`, `mask/` and `cameras.npz`.

Per view i the npz holds `world_mat_i` = [K [R | t]; 0 0 0 1], world to pixel with OpenCV axes, and
`scale_mat_i`, unit sphere to world. The principal point counts from the centre of the first pixel
(Yariv et al. 2020 lift integer pixel coordinates), so that 0.5 is added to it here.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from neural_sdf.data.capture import Capture, View
from neural_sdf.geometry import Similarity

SUFFIXES = (".png", ".jpg", ".jpeg")
SIMILARITY_TOLERANCE = 1e-4  # relative, of scale_mat from a similarity and between views


def is_idr(folder: Path) -> bool:
    """Whether a folder holds this layout."""
    return (folder / "image").is_dir() and any(folder.glob("*.npz"))


def read_idr(folder: Path, cameras: str) -> Capture:
    """Views of an IDR or NeuS folder; images and masks are paired in sorted order.

    Without a `mask` folder the masks are the photos' alpha channels; without `scale_mat` the region
    of interest is left open.

    Args:
        folder: holds `image` and, mostly, `mask`.
        cameras: name of the npz in the folder, `cameras.npz` or `cameras_sphere.npz`.

    Raises:
        ValueError: if numbers of files do not match, or a matrix is not what it should be.
        FileNotFoundError: if the npz or the photos are missing.
    """
    arrays = _read_npz(folder, cameras)
    images = _sorted_images(folder / "image")
    masks = _sorted_images(folder / "mask") if (folder / "mask").is_dir() else [None] * len(images)
    world_mats = _per_view(arrays, "world_mat", len(images), folder / cameras)
    if len(masks) != len(images):
        raise ValueError(
            f"{folder} holds {len(images)} files in image/ and {len(masks)} in mask/; expected one"
            " mask for each image, in the same sorted order"
        )
    views = []
    for i, (image, mask) in enumerate(zip(images, masks, strict=True)):
        origin = f"world_mat_{i} of {cameras}"
        intrinsics, world_from_camera = decompose_projection(world_mats[i][:3], origin)
        intrinsics[:2, 2] += 0.5
        views.append(View(image.stem, origin, image, mask, intrinsics, world_from_camera))
    return Capture(tuple(views), _world_from_scene(arrays, len(images), folder / cameras))


def decompose_projection(
    projection: Float64[np.ndarray, "3 4"], origin: str
) -> tuple[Float64[np.ndarray, "3 3"], Float64[np.ndarray, "4 4"]]:
    """The camera of a projection matrix P = λ K [R | t] with λ > 0.

    RQ decomposition: QR of the matrix with rows reversed and transposed, signs chosen so that K has
    a positive diagonal (Hartley and Zisserman 2004, A4.1.1).

    Args:
        projection: homogeneous world points to homogeneous pixels, [3, 4].
        origin: where it was written; for messages.

    Returns:
        intrinsics: K with K[2, 2] = 1, pixel origin as in P, [3, 3].
        world_from_camera: rigid pose, [4, 4].

    Raises:
        ValueError: if P is not finite, singular or left-handed.
    """
    left = projection[:, :3]
    if not np.isfinite(projection).all():
        raise ValueError(f"{origin} holds NaN or infinity; expected finite numbers; mend the file")
    volume = np.linalg.det(left)
    if volume <= 1e-12 * np.linalg.norm(left, axis=1).prod():
        raise ValueError(
            f"{origin} has determinant {volume:.4g}; expected a positive one, as K [R | t] with"
            " positive focal lengths and a rotation R has; look for a mirrored axis or a sign"
        )
    orthogonal, triangular = np.linalg.qr(left[::-1].T)
    K = triangular.T[::-1, ::-1]
    signs = np.sign(np.diag(K))
    rotation = signs[:, None] * orthogonal.T[::-1]
    K = K * signs
    world_from_camera = np.eye(4)
    world_from_camera[:3, :3] = rotation.T
    world_from_camera[:3, 3] = -np.linalg.solve(left, projection[:, 3])
    return K / K[2, 2], world_from_camera


def _world_from_scene(arrays: dict[str, np.ndarray], num_views: int, path: Path):
    """The similarity of the scale matrices, which must be one; None where there are none."""
    if not any(key.startswith("scale_mat_") for key in arrays):
        return None
    matrices = np.stack(_per_view(arrays, "scale_mat", num_views, path))
    first = matrices[0]
    linear, scale = first[:3, :3], np.cbrt(np.linalg.det(first[:3, :3]))
    if not (np.isfinite(first).all() and scale > 0):
        raise ValueError(
            f"scale_mat_0 of {path} has scale {scale:.4g}; expected the positive radius of the"
            " region of interest; mend the file"
        )
    gram = linear.T @ linear / scale**2
    spread = max(np.abs(gram - np.eye(3)).max(), np.abs(matrices - first)[:, :3].max() / scale)
    if not spread <= SIMILARITY_TOLERANCE:
        raise ValueError(
            f"the scale_mat of {path} differ between views or along their axes by {spread:.4g} of"
            " the radius; expected one similarity for all views; set it alike in every view"
        )
    return Similarity(np.array(scale), linear / scale, first[:3, 3])


def _read_npz(folder: Path, cameras: str) -> dict[str, np.ndarray]:
    """The matrices of the npz; never unpickles."""
    path = folder / cameras
    if not path.is_file():
        present = sorted(file.name for file in folder.glob("*.npz"))
        raise FileNotFoundError(
            f"camera file {cameras!r} is not in {folder}; expected an npz file, of"
            f" which there are {present or 'none'}; set config.data.cameras"
        )
    try:
        with path.open("rb") as file:  # np.load leaves a file open that it cannot read
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it holds one array, not an archive of them")
            keys = [key for key in archive.files if re.fullmatch(r"(world|scale)_mat_\d+", key)]
            return {key: archive[key] for key in keys}
    except (OSError, ValueError, EOFError, KeyError, MemoryError, NotImplementedError) as error:
        raise ValueError(_unreadable(path, error)) from error
    except (zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(_unreadable(path, error)) from error


def _unreadable(path: Path, error: Exception) -> str:
    return (
        f"camera file {path} cannot be read ({error}); expected an npz of plain arrays world_mat_i"
        " and scale_mat_i; write the file anew"
    )


def _per_view(
    arrays: dict[str, np.ndarray], name: str, num_views: int, path: Path
) -> list[Float64[np.ndarray, "4 4"]]:
    """The matrices `name_0` ... of all views."""
    keys = [f"{name}_{i}" for i in range(num_views)]
    count = sum(key.startswith(name) for key in arrays)
    if count != num_views or not arrays.keys() >= set(keys):
        absent = [key for key in keys if key not in arrays]
        raise ValueError(
            f"{path} holds {count} {name} for {num_views} images, without {absent[:5]}; expected"
            " one for each image, counted from 0 in sorted order; add the missing photo or camera"
        )
    for key in keys:
        if arrays[key].shape != (4, 4) or arrays[key].dtype.kind not in "fiu":
            raise ValueError(
                f"{key} of {path} is {arrays[key].dtype} of shape {arrays[key].shape}; expected"
                " numbers of shape (4, 4); mend the file"
            )
    return [arrays[key].astype(np.float64) for key in keys]


def _sorted_images(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        raise FileNotFoundError(f"{folder} holds no image; expected {', '.join(SUFFIXES)} files")
    return files
