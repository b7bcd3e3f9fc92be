"""A rendered view against its photo: numbers and a picture.

Colours are as stored in the photos, in [0, 1]; `mask` is the photo's, true on the object. Every
measure is a plain float, finite, fit for JSON.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, UInt8
from skimage.metrics import structural_similarity

from neural_sdf.mistake import Mistake

PSNR_CAP = 100.0  # dB; equal images would give infinity, which JSON cannot hold
ERROR_WHITE = 0.25  # the error that the comparison paints white


def psnr_masked(
    rgb: Float[np.ndarray, "H W 3"],
    reference: Float[np.ndarray, "H W 3"],
    mask: Bool[np.ndarray, "H W"],
) -> float:
    """Peak signal-to-noise ratio over all pixels of the mask and three channels, in dB.

    −10 log₁₀ of the mean squared difference, at most `PSNR_CAP`. What `rgb` holds where its ray
    missed counts like any other colour.

    Raises:
        Mistake: if the mask is empty.
    """
    _require_mask(mask)
    difference = rgb[mask].astype(np.float64) - reference[mask]
    error = np.mean(np.square(difference))
    return float(-10 * np.log10(max(error, 10 ** (-PSNR_CAP / 10))))


def ssim_masked(
    rgb: Float[np.ndarray, "H W 3"],
    reference: Float[np.ndarray, "H W 3"],
    mask: Bool[np.ndarray, "H W"],
) -> float:
    """Structural similarity, averaged over the mask and three channels, in [−1, 1].

    Rule: outside the mask both images are made white, then the full map of Wang et al. (2004), with
    Gaussian windows of σ = 1.5 pixels (11 × 11), population covariance and data range 1, is
    averaged over the mask. Pixels near the mask's border therefore see some equal white.

    Raises:
        Mistake: if the mask is empty or a side of the image is under 11 pixels.
    """
    _require_mask(mask)
    if min(mask.shape) < 11:
        height, width = mask.shape
        raise Mistake(
            f"the photo has {width}x{height} pixels; expected at least 11 a side, the window of "
            "structural similarity; train on larger ones"
        )
    similarity = structural_similarity(
        np.where(mask[..., None], rgb, 1.0).astype(np.float64),
        np.where(mask[..., None], reference, 1.0).astype(np.float64),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
        channel_axis=-1,
        full=True,
    )[1]
    return float(np.mean(similarity[mask]))


def mask_iou(first: Bool[np.ndarray, "H W"], second: Bool[np.ndarray, "H W"]) -> float:
    """Intersection over union, in [0, 1]; of two empty masks 1."""
    union = np.count_nonzero(first | second)
    return float(np.count_nonzero(first & second) / union) if union else 1.0


def comparison(
    photo: Float[np.ndarray, "H W 3"],
    render: Float[np.ndarray, "H W 3"],
    normals: Float[np.ndarray, "H W 3"],
    depth: Float[np.ndarray, "H W"],
    hit: Bool[np.ndarray, "H W"],
) -> UInt8[np.ndarray, "H 5*W 3"]:
    """One strip: photo | render | error | normals | depth.

    The error is the mean absolute difference of the channels, black for none, white for a quarter
    (`ERROR_WHITE`) and more. Normals are (n + 1) / 2 in the frame they are given in. Depth is grey
    over this view's own range, the nearest point white. Where `hit` is false normals and depth are
    black.
    """
    error = np.mean(np.abs(photo - render), axis=-1) / ERROR_WHITE
    panels = [
        photo,
        render,
        _grey(error),
        np.where(hit[..., None], (normals + 1) / 2, 0.0),
        _grey(_nearness(depth, hit)),
    ]
    return np.round(255 * np.clip(np.concatenate(panels, axis=1), 0, 1)).astype(np.uint8)


def _require_mask(mask: np.ndarray) -> None:
    if not mask.any():
        raise Mistake(
            "the mask is empty; expected at least one pixel on the object; leave the view out"
        )


def _grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=-1)


def _nearness(depth: np.ndarray, hit: np.ndarray) -> np.ndarray:
    """1 at the nearest hit, 0.2 at the farthest, 0 where nothing is hit."""
    if not hit.any():
        return np.zeros_like(depth)
    near, far = depth[hit].min(), depth[hit].max()
    return np.where(hit, 1 - 0.8 * (depth - near) / max(far - near, 1e-12), 0.0)
