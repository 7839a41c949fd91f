"""The compact network of Real-ESRGAN."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore_realesrgan.options import CompactOptions

__all__ = ["Compact", "build", "halo", "memory"]

_SLOPE = 0.25  # of PReLU in the beginning
_NOISE = 0.1  # share of random weights in the beginning


class Compact(nn.Module):
    """Convolutions with PReLU at the resolution of the input, a pixel shuffle, and the nearest pixels added.

    Names and shapes of the parameters are those of the authors' ``SRVGGNetCompact``, so programs that read
    their files, such as chaiNNer, read those of this network.

    Args:
        scale: any integer >= 1.
        features: feature maps of each hidden layer.
        convolutions: hidden convolutions between the first and the last.
    """

    def __init__(self, scale: int, features: int = 64, convolutions: int = 32) -> None:
        super().__init__()
        self.scale = scale
        layers: list[nn.Module] = [nn.Conv2d(3, features, 3, padding=1), nn.PReLU(features)]
        for _ in range(convolutions):
            layers += [nn.Conv2d(features, features, 3, padding=1), nn.PReLU(features)]
        self.body = nn.Sequential(*layers, nn.Conv2d(features, 3 * scale**2, 3, padding=1))
        self._initialize()

    def forward(self, degraded: Tensor) -> Tensor:
        """``(B, 3, H, W)`` -> ``(B, 3, scale*H, scale*W)``, not clamped."""
        detail = F.pixel_shuffle(self.body(degraded), self.scale)
        return F.interpolate(degraded, scale_factor=float(self.scale), mode="nearest") + detail

    def _initialize(self) -> None:
        """Start hidden layers near the identity and the result near the nearest pixels.

        With PyTorch's initialization, so many layers without skip connections forget what they are given: the
        network learns to add nothing, and needs very long to leave this state.
        """
        first, *hidden, last = (layer for layer in self.body if isinstance(layer, nn.Conv2d))
        for layer in (first, *hidden, last):
            nn.init.kaiming_normal_(layer.weight, a=_SLOPE)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        with torch.no_grad():
            for layer in hidden:
                identity = nn.init.dirac_(torch.empty_like(layer.weight))
                layer.weight.mul_(_NOISE).add_(identity)
            last.weight.mul_(_NOISE)


def build(scale: int, options: CompactOptions) -> nn.Module:
    """Build the network for one scale."""
    return Compact(scale, options.features, options.convolutions)


def halo(scale: int, options: CompactOptions) -> int:  # noqa: ARG001
    """Return the radius of the receptive field in input pixels: one for each 3x3 convolution."""
    return options.convolutions + 2


def memory(scale: int, options: CompactOptions) -> int:
    """Return the values per input pixel that are held at once: two hidden layers, or the result twice."""
    return max(2 * options.features, options.features + 6 * scale**2)
