"""The network: residual blocks at the resolution of the input, then a pixel shuffle."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from restore_my_method.options import NetworkOptions

__all__ = ["Network", "build", "halo"]


def _convolution(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1, padding_mode="replicate")


class Block(nn.Module):
    """A residual block with two convolutions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = _convolution(width, width), _convolution(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, width, H, W)`` -> the same shape."""
        residual: Tensor = self.second(F.relu(self.first(x)))
        return x + residual


class Network(nn.Module):
    """Adds a residual to nearest-neighbor upscaling.

    Args:
        scale: any integer >= 1.
        width: feature maps of each hidden layer.
        blocks: number of residual blocks.
    """

    def __init__(self, scale: int, width: int = 32, blocks: int = 4) -> None:
        super().__init__()
        self.scale = scale
        self.enter = _convolution(3, width)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(blocks)))
        self.leave = _convolution(width, 3 * scale**2)

    def forward(self, degraded: Tensor) -> Tensor:
        """``(B, 3, H, W)`` -> ``(B, 3, scale*H, scale*W)``, not clamped."""
        x = F.relu(self.enter(degraded))  # (B, width, H, W)
        detail = F.pixel_shuffle(self.leave(self.blocks(x)), self.scale)
        return F.interpolate(degraded, scale_factor=float(self.scale), mode="nearest") + detail


def build(scale: int, options: NetworkOptions) -> nn.Module:
    """Build the network for one scale."""
    return Network(scale, options.width, options.blocks)


def halo(scale: int, options: NetworkOptions) -> int:  # noqa: ARG001
    """Return the radius of the receptive field in input pixels: one for each 3x3 convolution."""
    return 2 + 2 * options.blocks


# Other kinds of networks declare more in `plugin.py`:
#
# - Every output depends on every input (attention, global pooling): `halo` returns None, and
#   `overlap(scale, options)` the margin in input pixels with which tiles are nearly equal to the whole image.
# - Squares of 2x2 pixels are merged into one (pixel unshuffle, stride 2): `stride(scale, options)` returns 2,
#   so that tiles begin at even rows and columns.
# - Numbers beside the image: with `conditions=lambda options: ("sigma",)`, the network is called as
#   `forward(degraded, sigma)`, where sigma is the `(B,)` strength of the noise in levels of 255.
