"""Losses on pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore.interfaces import Options
from restore.resizing import imresize
from restore.sharpening import SharpenedTarget
from restore_baselines.luma import luma
from restore_baselines.options import CharbonnierOptions, PixelOptions

__all__ = [
    "Charbonnier",
    "Consistency",
    "PixelLoss",
    "build_charbonnier",
    "build_consistency",
    "build_l1",
    "build_mse",
]


class PixelLoss(nn.Module):
    """Mean absolute or mean squared difference over all values.

    Args:
        power: 1 for the absolute, 2 for the squared difference.
        on_luma: compare BT.601 luma instead of RGB.

        >>> import torch
        >>> PixelLoss(2)(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.5)).item()
        0.25
    """

    def __init__(self, power: int, *, on_luma: bool = False) -> None:
        super().__init__()
        self.on_luma = on_luma
        self.distance = {1: F.l1_loss, 2: F.mse_loss}[power]

    def forward(self, restored: Tensor, target: Tensor) -> Tensor:
        """``(B, 3, H, W)`` twice -> one scalar."""
        if self.on_luma:
            restored, target = luma(restored), luma(target)
        return self.distance(restored, target)


def build_mse(options: PixelOptions) -> nn.Module:
    """Mean squared error; EnhanceNet's Eq. 3."""
    return _pixel_loss(2, options)


def build_l1(options: PixelOptions) -> nn.Module:
    """Mean absolute error."""
    return _pixel_loss(1, options)


class Charbonnier(nn.Module):
    """``sqrt(d^2 + epsilon^2)`` of the differences d, the mean over all values: L1 with a smooth minimum.

    Args:
        epsilon: below which differences count quadratically.

    Source: Charbonnier et al., "Two deterministic half-quadratic regularization algorithms for computed
    imaging", ICIP 1994; in super-resolution LapSRN, 2017, Eq. 2.
    """

    def __init__(self, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, restored: Tensor, target: Tensor) -> Tensor:
        """``(B, C, H, W)`` twice -> one scalar, in float32."""
        difference = restored.float() - target.float()
        return torch.sqrt(difference.square() + self.epsilon**2).mean()


class Consistency(nn.Module):
    """How far the restored image, downscaled to the size of its input, is from that input: L1 over RGB.

    It is downscaled with MATLAB's bicubic, whatever the degradation was.
    """

    def forward(self, restored: Tensor, *, degraded: Tensor) -> Tensor:
        """``(B, 3, scale*H, scale*W)`` and ``(B, 3, H, W)`` -> one scalar."""
        height, width = degraded.shape[-2:]
        return F.l1_loss(imresize(restored, (height, width)), degraded)


def build_charbonnier(options: CharbonnierOptions) -> nn.Module:
    """The Charbonnier loss."""
    return Charbonnier(options.epsilon)


def build_consistency(options: Options) -> nn.Module:  # noqa: ARG001 - it has none
    """The consistency with the input."""
    return Consistency()


def _pixel_loss(power: int, options: PixelOptions) -> nn.Module:
    loss = PixelLoss(power, on_luma=options.luma)
    return SharpenedTarget(loss) if options.sharpen else loss
