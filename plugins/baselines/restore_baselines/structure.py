"""Multi-scale structural similarity as a loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore.interfaces import Options
from restore.metrics import window_means

__all__ = ["MsSsimLoss", "build", "ms_ssim"]

_EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, of the finest scale first
_WINDOW = 11
_C1, _C2 = 0.01**2, 0.03**2
_LEAST = 1e-6  # similarities can be negative, and a power of them would be no number


def ms_ssim(restored: Tensor, target: Tensor) -> Tensor:
    """Multi-scale structural similarity (Wang, Simoncelli, Bovik 2003), Eq. 7, of each image.

    Gaussian windows of 11x11 pixels that lie inside the image, on up to five scales, each the mean of 2x2
    pixels of the one before. Images that are too small for five use as many as they have room for, with the
    exponents divided by their sum.

    Args:
        restored: ``(B, C, H, W)`` in [0, 1].
        target: of the same shape.

    Returns:
        ``(B,)``, the mean over the channels; 1 for equal images.

    Raises:
        ValueError: a side is shorter than 11 pixels.

    Example:
        >>> image = torch.rand(1, 3, 32, 32)
        >>> float(ms_ssim(image, image))
        1.0
    """
    shortest = min(restored.shape[-2:])
    if shortest < _WINDOW:
        raise ValueError(f"the images have {shortest} pixels on a side, and the window needs {_WINDOW}")
    scales = min(len(_EXPONENTS), (shortest // _WINDOW).bit_length())
    exponents = torch.tensor(_EXPONENTS[:scales], dtype=restored.dtype) / sum(_EXPONENTS[:scales])
    result = torch.ones(restored.shape[:2], dtype=restored.dtype, device=restored.device)
    for scale, exponent in enumerate(exponents.tolist()):
        luminance, structure = _similarities(restored, target)
        similarity = luminance * structure if scale == scales - 1 else structure
        result = result * similarity.mean((-2, -1)).clamp_min(_LEAST) ** exponent
        restored, target = F.avg_pool2d(restored, 2), F.avg_pool2d(target, 2)
    return result.mean(1)


class MsSsimLoss(nn.Module):
    """``1 - ms_ssim``, the mean over the batch (Zhao et al. 2017, Eq. 8), in float32."""

    def forward(self, restored: Tensor, target: Tensor) -> Tensor:
        """``(B, 3, H, W)`` twice -> one scalar."""
        with torch.autocast(restored.device.type, enabled=False):
            return 1 - ms_ssim(restored.float(), target.float()).mean()


def build(options: Options) -> nn.Module:  # noqa: ARG001 - it has none
    """The loss."""
    return MsSsimLoss()


def _similarities(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance, and contrast times structure, at each position of the window: ``(B, C, h, w)``."""
    mean_a, mean_b = window_means(a), window_means(b)
    variance_a = window_means(a * a) - mean_a**2
    variance_b = window_means(b * b) - mean_b**2
    covariance = window_means(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    return luminance, (2 * covariance + _C2) / (variance_a + variance_b + _C2)
