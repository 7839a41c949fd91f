"""The generator of EnhanceNet, Table 1 of the paper."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore.resizing import cubic_reach, imresize
from restore_enhancenet.options import GeneratorOptions

__all__ = ["UPSAMPLING", "Generator", "ResidualBlock", "Upsampling", "build", "halo", "tail_reach"]

UPSAMPLING = {2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}
"""Scale -> factors of the upsampling blocks. The paper describes 4; 3 is one nearest-neighbor 3x block."""

_MEAN = (0.47614917, 0.45001204, 0.40904046)  # of the training images, from the authors' release
_RESIDUAL_GAIN = 0.1  # small initial residual branches allow a learning rate five times as high


class ResidualBlock(nn.Module):
    """``x + conv(ReLU(conv(x)))``: no batch normalization, no ReLU after the sum."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, width, H, W)`` -> the same shape."""
        residual: Tensor = self.conv2(F.relu(self.conv1(x)))
        return x + residual


class Upsampling(nn.Module):
    """Nearest-neighbor enlargement, convolution, ReLU: without checkerboard artifacts."""

    def __init__(self, width: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, width, H, W)`` -> ``(B, width, factor*H, factor*W)``."""
        return F.relu(self.conv(F.interpolate(x, scale_factor=self.factor, mode="nearest")))


class Generator(nn.Module):
    """Predicts a residual on top of bicubic upscaling; 852,867 parameters at 4x.

    Args:
        scale: one of `UPSAMPLING`.
        width: feature maps of each hidden layer.
        blocks: number of residual blocks.
    """

    mean: Tensor

    def __init__(self, scale: int, width: int = 64, blocks: int = 10) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.head = nn.Conv2d(3, width, 3, padding=1)
        self.trunk = nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))
        self.upsampling = nn.Sequential(*(Upsampling(width, factor) for factor in UPSAMPLING[scale]))
        self.refine = nn.Conv2d(width, width, 3, padding=1)
        self.tail = nn.Conv2d(width, 3, 3, padding=1)
        self._initialize()

    def forward(self, degraded: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [0, 1] -> ``(B, 3, scale*H, scale*W)``, not clamped."""
        height, width = degraded.shape[-2:]
        x = (degraded - self.mean).to(self.head.weight.dtype)
        x = F.relu(self.head(x))  # (B, 64, H, W)
        x = self.trunk(x)
        x = self.upsampling(x)  # (B, 64, scale*H, scale*W)
        residual: Tensor = self.tail(F.relu(self.refine(x)))
        bicubic = imresize(degraded, (self.scale * height, self.scale * width))
        return bicubic + residual.to(bicubic.dtype)

    def _initialize(self) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        with torch.no_grad():
            for layer in self.modules():
                if isinstance(layer, ResidualBlock):
                    layer.conv2.weight.mul_(_RESIDUAL_GAIN)
            self.tail.weight.mul_(_RESIDUAL_GAIN)  # start near the bicubic enlargement


def build(scale: int, options: GeneratorOptions) -> nn.Module:
    """Build the generator for one scale."""
    return Generator(scale, options.width, options.blocks)


def halo(scale: int, options: GeneratorOptions) -> int:
    """Return the radius of the receptive field in input pixels: 23 at 4x."""
    return max(tail_reach(scale) + 1 + 2 * options.blocks, cubic_reach(scale))


def tail_reach(scale: int) -> int:
    """Receptive-field radius of the layers behind the trunk, in input pixels: 2 at 4x.

    Traced back from each of the output pixels within one input pixel.
    """
    reach = 0
    for pixel in range(scale):
        low, high = pixel - 2, pixel + 2  # refine and tail
        for factor in reversed(UPSAMPLING[scale]):
            low, high = (low - 1) // factor, (high + 1) // factor
        reach = max(reach, -low, high)
    return reach
