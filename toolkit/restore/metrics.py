"""PSNR and SSIM as pure functions, and the luma on which the super-resolution literature measures them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from restore.resizing import quantize

__all__ = ["luma", "psnr", "shave", "ssim", "window_means"]

_STUDIO = (65.481, 128.553, 24.966)  # ITU-R BT.601: luma from 16 to 235


def luma(image: Tensor, *, gray: bool) -> Tensor:
    """Luma as the literature measures it: studio range, rounded to 8 bits like MATLAB's `rgb2ycbcr`.

    Args:
        image: ``(B, 3, H, W)`` in [0, 1]; rounded to 8 bits first.
        gray: the file has one channel, which is then its own luma (0 to 255).

    Returns:
        ``(B, 1, H, W)`` float64, whole numbers in [0, 255].

    Example:
        >>> white = torch.ones(1, 3, 2, 2)
        >>> luma(white, gray=False)[0, 0]
        tensor([[235., 235.],
                [235., 235.]], dtype=torch.float64)
    """
    levels = quantize(image.double()) * 255
    if gray:
        return levels[:, :1].round()
    weights = torch.tensor(_STUDIO, dtype=torch.float64, device=image.device).view(1, 3, 1, 1)
    # The weights are exact to three decimals; without the nudge a half can fall either way.
    return (16 + (levels / 255 * weights).sum(1, keepdim=True) + 0.5 + 1e-9).floor()


def shave(image: Tensor, border: int) -> Tensor:
    """Cut `border` pixels from each side; an image without anything inside the border is left whole.

    Example:
        >>> shave(torch.zeros(1, 3, 10, 12), 4).shape
        torch.Size([1, 3, 2, 4])
    """
    if min(image.shape[-2:]) <= 2 * border:
        return image
    return image[..., border : image.shape[-2] - border, border : image.shape[-1] - border]


def psnr(restored: Tensor, target: Tensor, *, data_range: float) -> float:
    """Peak signal-to-noise ratio in dB: ``10 log10(data_range^2 / mean((restored - target)^2))``.

    Args:
        restored: any shape.
        target: the same shape.
        data_range: largest minus smallest possible value: 1 for the tensor contract, 255 for `luma`.

    Returns:
        dB; infinite for equal images.

    Example:
        >>> round(psnr(torch.full((4, 4), 0.5), torch.full((4, 4), 0.6), data_range=1), 2)
        20.0
    """
    error = (restored.double() - target.double()).square().mean().item()
    return 10 * math.log10(data_range**2 / error) if error else math.inf


def ssim(restored: Tensor, target: Tensor, *, data_range: float) -> float:
    """Structural similarity, averaged over the windows that lie wholly inside the image.

    Gaussian windows of 11x11 with a standard deviation of 1.5, K1 = 0.01, K2 = 0.03; on images smaller
    than 11 pixels the window is cut to the image.

    Args:
        restored: ``(B, C, H, W)``.
        target: the same shape.
        data_range: largest minus smallest possible value: 1 for the tensor contract, 255 for `luma`.

    Source: Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to
    structural similarity", 2004.

    Example:
        >>> image = torch.rand(1, 1, 16, 16)
        >>> round(ssim(image, image, data_range=1), 4)
        1.0
    """
    x, y = restored.double(), target.double()
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_x, mean_y = window_means(x), window_means(y)
    var_x = window_means(x * x) - mean_x**2
    var_y = window_means(y * y) - mean_y**2
    covariance = window_means(x * y) - mean_x * mean_y
    similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    )
    return similarity.mean().item()


def window_means(image: Tensor) -> Tensor:
    """Weighted means of the windows of `ssim` that lie inside the image, one axis after the other.

    Args:
        image: ``(B, C, H, W)``.

    Returns:
        ``(B, C, H - 10, W - 10)`` of the type of the image; 1 for a side shorter than 11 pixels.

    Example:
        >>> window_means(torch.ones(1, 1, 11, 12)).shape
        torch.Size([1, 1, 1, 2])
    """
    channels, height, width = image.shape[-3:]
    rows = _gaussian(min(11, height)).to(image).view(1, 1, -1, 1).expand(channels, -1, -1, -1)
    columns = _gaussian(min(11, width)).to(image).view(1, 1, 1, -1).expand(channels, -1, -1, -1)
    return F.conv2d(F.conv2d(image, rows, groups=channels), columns, groups=channels)


def _gaussian(size: int) -> Tensor:
    x = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    weights = torch.exp(-(x**2) / (2 * 1.5**2))
    return weights / weights.sum()
