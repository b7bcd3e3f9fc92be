"""How good a field is: held-out views against their photos, meshes against a reference."""

from neural_sdf.evaluation.images import (
    comparison,
    mask_iou,
    psnr_masked,
    ssim_masked,
)
from neural_sdf.evaluation.meshes import CHAMFER, MeshMetrics, compare_meshes, doubt_frame
from neural_sdf.evaluation.sparse import PointMetrics, compare_points
from neural_sdf.evaluation.views import evaluate_view

__all__ = [
    "CHAMFER",
    "MeshMetrics",
    "PointMetrics",
    "compare_meshes",
    "compare_points",
    "comparison",
    "doubt_frame",
    "evaluate_view",
    "mask_iou",
    "psnr_masked",
    "ssim_masked",
]
