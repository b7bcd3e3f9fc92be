"""Cameras out of projection matrices, which several layouts write."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from neural_sdf.photos.files.findings import DataError, Finding


def decompose_projection(
    projection: Float64[np.ndarray, "3 4"], origin: str
) -> tuple[Float64[np.ndarray, "3 3"], Float64[np.ndarray, "4 4"]]:
    """The camera of a projection matrix P = λ K [R | t] with λ ≠ 0.

    P and −P are one camera; the sign is the one that makes a rotation of R, so that what the camera
    sees lies before it.

    RQ decomposition: QR of the matrix with rows reversed and transposed, signs chosen so that K has
    a positive diagonal (Hartley and Zisserman 2004, A4.1.1).

    Args:
        projection: homogeneous world points to homogeneous pixels, [3, 4].
        origin: where it was written; for messages.

    Returns:
        intrinsics: K with K[2, 2] = 1, pixel origin as in P, [3, 3].
        world_from_camera: rigid pose, [4, 4].

    Raises:
        Mistake: if P is not finite, or singular.
    """
    left = projection[:, :3]
    if not np.isfinite(projection).all():
        raise DataError(
            Finding(
                "not-rigid",
                "error",
                f"{origin} holds NaN or infinity, expected finite numbers",
                "mend the file",
            )
        )
    volume = np.linalg.det(left)
    if abs(volume) <= 1e-12 * np.linalg.norm(left, axis=1).prod():
        raise DataError(
            Finding(
                "not-rigid",
                "error",
                f"{origin} has determinant {volume:.4g}, expected another than 0, as K [R | t] with"
                " focal lengths and a rotation R has",
                "mend the file",
            )
        )
    left = left * np.sign(volume)
    orthogonal, triangular = np.linalg.qr(left[::-1].T)
    K = triangular.T[::-1, ::-1]
    signs = np.sign(np.diag(K))
    rotation = signs[:, None] * orthogonal.T[::-1]
    K = K * signs
    world_from_camera = np.eye(4)
    world_from_camera[:3, :3] = rotation.T
    world_from_camera[:3, 3] = -np.linalg.solve(projection[:, :3], projection[:, 3])
    return K / K[2, 2], world_from_camera
