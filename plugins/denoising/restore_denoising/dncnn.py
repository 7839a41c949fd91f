"""DnCNN (Zhang et al. 2017, arXiv 1608.03981)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from restore_denoising.options import DncnnOptions

__all__ = ["Dncnn", "build"]

_SMALLEST = 0.025  # magnitude of a scale of batch normalization before the training


class Dncnn(nn.Module):
    """Convolutions with batch normalization that predict the noise, which is taken off the image.

    Args:
        layers: convolutions.
        width: feature maps of each hidden layer.

    Shape:
        ``(B, 3, H, W)`` in [0, 1] -> the same shape, not clamped.
    """

    def __init__(self, layers: int = 20, width: int = 64) -> None:
        super().__init__()
        modules: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1), nn.ReLU()]
        for _ in range(layers - 2):
            modules += [
                nn.Conv2d(width, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
        self.noise = nn.Sequential(*modules, nn.Conv2d(width, 3, 3, padding=1))
        for layer in self.noise:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            elif isinstance(layer, nn.BatchNorm2d):
                # As the authors' program does. With 1, the first noise is larger than the image, and the
                # training is spent on shrinking it.
                nn.init.normal_(layer.weight, std=math.sqrt(2 / (9 * width)))
                with torch.no_grad():
                    smallest = torch.where(layer.weight < 0, -_SMALLEST, _SMALLEST)
                    layer.weight.copy_(torch.where(layer.weight.abs() < _SMALLEST, smallest, layer.weight))

    def forward(self, degraded: Tensor) -> Tensor:
        """``(B, 3, H, W)`` -> ``(B, 3, H, W)``."""
        noise: Tensor = self.noise(degraded)
        return degraded - noise


def build(scale: int, options: DncnnOptions) -> nn.Module:  # noqa: ARG001 - scale 1 is the only one
    """The network."""
    return Dncnn(options.layers, options.width)
