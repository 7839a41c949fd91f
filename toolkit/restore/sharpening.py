"""Unsharp masking, and losses that compare with a sharpened target."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["SharpenedTarget", "gaussian_blur", "unsharp_mask"]

_SIGMA, _AMOUNT, _THRESHOLD = 8.0, 0.5, 10.0  # of Real-ESRGAN's targets
_REACH = 25 / 8  # standard deviations that a kernel reaches: 51x51 pixels for those targets


def unsharp_mask(
    image: Tensor, blur: Callable[[Tensor], Tensor], amount: float, threshold: float = 0.0
) -> Tensor:
    """Add a share of what a blur removes, where that is more than a threshold.

    ``m * (x + amount * d) + (1 - m) * x`` with ``d = x - blur(x)`` and ``m = blur(|d| > threshold)``, where
    the sum ``x + amount * d`` is clamped to [0, 1]. Without a threshold m is 1.

    Args:
        image: ``(..., H, W)`` in [0, 1].
        blur: keeps the shape.
        amount: weight of the difference.
        threshold: in levels of 255.

    Returns:
        The sharpened image, of the same shape.

    Example:
        >>> flat = torch.full((1, 3, 8, 8), 0.5)
        >>> torch.equal(unsharp_mask(flat, lambda image: image, amount=0.5), flat)
        True
    """
    difference = image - blur(image)
    sharp = (image + amount * difference).clamp(0, 1)
    if threshold <= 0:
        return sharp
    mask = blur((difference.abs() * 255 > threshold).to(image))
    return mask * sharp + (1 - mask) * image


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """Blur with a Gaussian kernel that reaches 25/8 standard deviations.

    Args:
        image: ``(B, C, H, W)``, mirrored at its edge pixels; one that is smaller than the kernel's reach
            continues with its edge pixels.
        sigma: standard deviation in pixels, above 0.

    Returns:
        ``(B, C, H, W)``.

    Example:
        >>> gaussian_blur(torch.ones(1, 1, 4, 4), sigma=1.0).sum().round().item()
        16.0
    """
    reach = max(1, math.ceil(_REACH * sigma))
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float64, device=image.device)
    kernel = torch.exp(-0.5 * (offsets / sigma).square())
    kernel = (kernel / kernel.sum()).to(image.dtype).view(1, 1, -1)
    batch, channels, height, width = image.shape
    mode = "reflect" if reach < min(height, width) else "replicate"
    x = F.pad(image, (reach,) * 4, mode=mode)
    x = F.conv1d(x.reshape(-1, 1, width + 2 * reach), kernel)  # along the rows
    x = x.reshape(batch, channels, height + 2 * reach, width).mT.reshape(-1, 1, height + 2 * reach)
    return F.conv1d(x, kernel).reshape(batch, channels, width, height).mT


class SharpenedTarget(nn.Module):
    """A loss that compares the restored image with the target as Real-ESRGAN sharpens it.

    An unsharp mask of sigma 8 and amount 0.5 sharpens where the difference from the blurred image exceeds
    10/255 (Wang et al. 2021, section 3.4; the values are those of the authors' code). The loss is called
    with images, so it does not share features with others.

    Args:
        loss: called with restored images and targets.

    Example:
        >>> loss, flat = SharpenedTarget(nn.L1Loss()), torch.full((1, 3, 64, 64), 0.5)
        >>> loss(flat, flat).item()
        0.0
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, restored: Tensor, target: Tensor) -> Tensor:
        """``(B, 3, H, W)`` twice -> a scalar."""
        with torch.no_grad(), torch.autocast(target.device.type, enabled=False):
            sharp = unsharp_mask(target, lambda image: gaussian_blur(image, _SIGMA), _AMOUNT, _THRESHOLD)
        value: Tensor = self.loss(restored, sharp)
        return value
