"""ESPCN (Shi et al., CVPR 2016, arXiv 1609.05158)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore_espcn.options import EspcnOptions

__all__ = ["Espcn", "build", "halo"]

_SIDES = (5, 3, 3)  # of the three layers' filters


class Espcn(nn.Module):
    """All work is done at the input's size; the last layer computes each pixel's ``scale**2`` parts.

    The paper works on luma, this network on RGB. Edges are repeated outwards, so that every size of image
    has a result and no dark frame.

    Args:
        scale: any integer >= 1.
        width: feature maps of the first layer; the second has half as many.
    """

    def __init__(self, scale: int, width: int = 64) -> None:
        super().__init__()
        self.scale = scale
        self.extract, self.map, self.reconstruct = (
            nn.Conv2d(before, after, side, padding=side // 2, padding_mode="replicate")
            for before, after, side in zip(
                (3, width, width // 2), (width, width // 2, 3 * scale**2), _SIDES, strict=True
            )
        )

    def forward(self, degraded: Tensor) -> Tensor:
        """``(B, 3, H, W)`` -> ``(B, 3, scale*H, scale*W)``, not clamped."""
        x = torch.tanh(self.extract(degraded))  # (B, width, H, W)
        x = torch.tanh(self.map(x))  # (B, width/2, H, W)
        return F.pixel_shuffle(self.reconstruct(x), self.scale)


def build(scale: int, options: EspcnOptions) -> nn.Module:
    """ESPCN for one scale."""
    return Espcn(scale, options.width)


def halo(scale: int, options: EspcnOptions) -> int:  # noqa: ARG001
    """Each layer sees half its filter further, in input pixels at any scale: 2 + 1 + 1."""
    return sum(side // 2 for side in _SIDES)
