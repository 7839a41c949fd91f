"""Pixel losses."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from restore_baselines.luma import luma
from restore_baselines.options import PixelOptions

__all__ = ["PixelLoss", "build_l1", "build_mse"]


class PixelLoss(nn.Module):
    """Mean absolute (power 1) or mean squared (power 2) difference over all entries.

    Args:
        power: 1 or 2.
        on_luma: compare luma instead of RGB.
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
