"""Pixel losses."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from restore_baselines.luma import luma
from restore_baselines.options import PixelOptions

__all__ = ["PixelLoss", "build_l1", "build_mse"]


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
    return PixelLoss(2, on_luma=options.luma)


def build_l1(options: PixelOptions) -> nn.Module:
    """Mean absolute error."""
    return PixelLoss(1, on_luma=options.luma)
