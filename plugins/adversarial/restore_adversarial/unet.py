"""The U-Net discriminator of Real-ESRGAN, with spectral normalization."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from restore_adversarial.options import UNetOptions

__all__ = ["UNetDiscriminator", "build"]

_LEVELS = 3
_SLOPE = 0.2


class UNetDiscriminator(nn.Module):
    """One logit for each pixel, from features of four sizes (Wang et al. 2021, section 3.3).

    A convolution, three levels down by strides of 2, three up by bilinear enlargement, three convolutions.
    Every convolution but the first and the last is spectrally normalized (Miyato et al. 2018). With the
    default width and skips the tensors are those of the authors' ``UNetDiscriminatorSN``.

    Args:
        width: filters of the first level.
        skip: add the features of each level to those of the same size on the way up.

    Shape:
        ``(B, 3, H, W)`` in [0, 1] -> logits ``(B, 1, H, W)``. Sides that are no multiples of 8 are extended
        by reflection for the network and cut off again.
    """

    def __init__(self, width: int = 64, *, skip: bool = True) -> None:
        super().__init__()
        self.skip = skip
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.down = nn.ModuleList(
            _normalized(width * 2**level, width * 2 ** (level + 1), 4, stride=2) for level in range(_LEVELS)
        )
        self.up = nn.ModuleList(
            _normalized(width * 2 ** (level + 1), width * 2**level, 3) for level in reversed(range(_LEVELS))
        )
        self.tail = nn.ModuleList(_normalized(width, width, 3) for _ in range(2))
        self.last = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """``(B, 3, H, W)`` -> ``(B, 1, H, W)``."""
        height, width = images.shape[-2:]
        multiple = 2**_LEVELS
        missing = (0, -width % multiple, 0, -height % multiple)
        mode = "reflect" if missing[1] < width and missing[3] < height else "replicate"
        x = F.leaky_relu(self.first(F.pad(images, missing, mode=mode)), _SLOPE)
        levels = [x]
        for convolution in self.down:
            levels.append(F.leaky_relu(convolution(levels[-1]), _SLOPE))
        x = levels.pop()
        for convolution in self.up:
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = F.leaky_relu(convolution(x), _SLOPE)
            same_size = levels.pop()
            if self.skip:
                x = x + same_size
        for convolution in self.tail:
            x = F.leaky_relu(convolution(x), _SLOPE)
        logits: Tensor = self.last(x)
        return logits[..., :height, :width]


def build(target_size: int, options: UNetOptions) -> nn.Module:  # noqa: ARG001 - it takes any size
    """The discriminator for targets of any size."""
    return UNetDiscriminator(options.width, skip=options.skip)


def _normalized(before: int, after: int, side: int, stride: int = 1) -> nn.Module:
    return spectral_norm(nn.Conv2d(before, after, side, stride=stride, padding=1, bias=False))
