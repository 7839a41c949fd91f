"""ESPCN (Shi et al., CVPR 2016, arXiv 1609.05158)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore_espcn.options import EspcnOptions

__all__ = ["Espcn", "build", "halo"]

_KERNEL_SIZES = (5, 3, 3)


class Espcn(nn.Module):
    """Three convolutions at the resolution of the input, then a pixel shuffle.

    The paper works on luma, this network on RGB. Padding replicates the border, so that images of any size
    work and have no dark frame.

    Args:
        scale: any integer >= 1.
        width: feature maps of the first layer; the second has half as many.
    """

    def __init__(self, scale: int, width: int = 64) -> None:
        super().__init__()
        self.scale = scale
        self.extract, self.map, self.reconstruct = (
            nn.Conv2d(before, after, size, padding=size // 2, padding_mode="replicate")
            for before, after, size in zip(
                (3, width, width // 2), (width, width // 2, 3 * scale**2), _KERNEL_SIZES, strict=True
            )
        )

    def forward(self, degraded: Tensor) -> Tensor:
        """``(B, 3, H, W)`` -> ``(B, 3, scale*H, scale*W)``, not clamped."""
        x = torch.tanh(self.extract(degraded))  # (B, width, H, W)
        x = torch.tanh(self.map(x))  # (B, width/2, H, W)
        return F.pixel_shuffle(self.reconstruct(x), self.scale)


def build(scale: int, options: EspcnOptions) -> nn.Module:
    """Build the network for one scale."""
    return Espcn(scale, options.width)


def halo(scale: int, options: EspcnOptions) -> int:  # noqa: ARG001
    """Return the radius of the receptive field in input pixels: 2 + 1 + 1 at every scale."""
    return sum(size // 2 for size in _KERNEL_SIZES)
