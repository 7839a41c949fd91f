"""Bicubic enlargement, and SRCNN (Dong, Loy, He, Tang, TPAMI 2015, arXiv 1501.00092)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore.interfaces import Options
from restore.resizing import cubic_reach, imresize
from restore_baselines.luma import luma
from restore_baselines.options import SrcnnOptions

__all__ = ["Bicubic", "Srcnn", "build_bicubic", "build_srcnn", "halo_bicubic", "halo_srcnn"]


_SHARE = 0.1
"""Factor of the last layer's initial weights, except for the filter that passes the luma through."""


class Bicubic(nn.Module):
    """Bicubic enlargement with a = -0.5, as in MATLAB's `imresize`. It has no parameters."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, degraded: Tensor) -> Tensor:
        """``(B, 3, H, W)`` -> ``(B, 3, scale*H, scale*W)``, not clamped."""
        height, width = degraded.shape[-2:]
        return imresize(degraded, (self.scale * height, self.scale * width))


class Srcnn(nn.Module):
    """Three convolutions on the luma of the bicubic enlargement; chroma stays bicubic.

    9-1-5, 9-3-5 and 9-5-5 have 8,032, 24,416 and 57,184 weights, biases not counted. Edges are replicated,
    where the paper's network shrinks the image.

    Args:
        scale: any integer >= 1.
        middle: side of the second layer's filters in pixels.
        paper_initialization: N(0, 0.001) instead of weights that pass the luma through.
    """

    def __init__(self, scale: int, middle: int = 5, *, paper_initialization: bool = False) -> None:
        super().__init__()
        self.scale = scale
        self.extract = nn.Conv2d(1, 64, 9, padding=4, padding_mode="replicate")
        self.map = nn.Conv2d(64, 32, middle, padding=middle // 2, padding_mode="replicate")
        self.reconstruct = nn.Conv2d(32, 1, 5, padding=2, padding_mode="replicate")
        for layer in (self.extract, self.map, self.reconstruct):
            nn.init.normal_(layer.weight, std=0.001)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        if not paper_initialization:
            self._begin_as_bicubic()

    @torch.no_grad()
    def _begin_as_bicubic(self) -> None:
        """Initialize the first filter of each layer to the identity, and the others to differences."""
        for layer in (self.extract, self.map, self.reconstruct):
            _vary(layer)
        self.reconstruct.weight.mul_(_SHARE)
        self.extract.weight[0] = self.map.weight[0] = self.map.weight[:, 0] = 0
        for layer in (self.extract, self.map, self.reconstruct):
            middle = layer.kernel_size[0] // 2
            layer.weight[0, 0] = 0
            layer.weight[0, 0, middle, middle] = 1

    def forward(self, degraded: Tensor) -> Tensor:
        """``(B, 3, H, W)`` -> ``(B, 3, scale*H, scale*W)``, not clamped."""
        height, width = degraded.shape[-2:]
        bicubic = imresize(degraded, (self.scale * height, self.scale * width))
        before = luma(bicubic)
        x = F.relu(self.extract(before.to(self.extract.weight.dtype)))
        x = F.relu(self.map(x))
        # The luma passes through this layer: in half precision it would be coarser than 8 bits.
        with torch.autocast(x.device.type, enabled=False):
            after: Tensor = self.reconstruct(x.to(self.reconstruct.weight.dtype)).to(before.dtype)
        # Adding one difference to R, G and B changes the luma by it and leaves the chroma.
        return bicubic + (after - before)


def _vary(layer: nn.Conv2d) -> None:
    """Initialize filters with a sum of zero.

    Photos are almost constant within a filter's support. A filter with another sum responds everywhere or,
    after the ReLU, nowhere, and then gets no gradient: with Kaiming's initialization, two thirds of the
    second layer stay dead.
    """
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    layer.weight.sub_(layer.weight.mean((1, 2, 3), keepdim=True))


def build_bicubic(scale: int, options: Options) -> nn.Module:  # noqa: ARG001
    """Bicubic enlargement, which has no options."""
    return Bicubic(scale)


def halo_bicubic(scale: int, options: Options) -> int:  # noqa: ARG001
    """Radius of the cubic kernel: two input pixels, or none at scale 1."""
    return cubic_reach(scale)


def build_srcnn(scale: int, options: SrcnnOptions) -> nn.Module:
    """SRCNN 9-N-5 for one scale."""
    return Srcnn(scale, options.middle, paper_initialization=options.initialization == "paper")


def halo_srcnn(scale: int, options: SrcnnOptions) -> int:
    """Receptive-field radius in input pixels: the filters work on output pixels, then the cubic kernel."""
    radius = 4 + options.middle // 2 + 2
    if scale == 1:
        return radius
    lows, highs = zip(*(_cubic_taps(pixel, radius, scale) for pixel in range(scale)), strict=True)
    reach: int = max(-min(lows), *highs)
    return reach


def _cubic_taps(pixel: int, radius: int, scale: int) -> tuple[int, int]:
    """First and last input pixel with a nonzero weight for the enlarged pixels within `radius` of `pixel`."""
    taps = []
    for enlarged in range(pixel - radius, pixel + radius + 1):
        twice = 2 * enlarged + 1 - scale  # position on the input grid, in 1/(2*scale) pixels
        left, off_grid = divmod(twice, 2 * scale)
        # On a grid point the kernel is interpolating: its neighbors have no weight.
        taps += [left - 1, left + 2] if off_grid else [left]
    return min(taps), max(taps)
