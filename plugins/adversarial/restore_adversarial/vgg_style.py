"""The discriminator of SRGAN and ESRGAN, in the form of VGG."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from restore_adversarial.options import VggStyleOptions

__all__ = ["VggStyleDiscriminator", "build"]

_STAGES = 5
_WIDEST = 8  # times the width of the first stage
_SLOPE = 0.2


class VggStyleDiscriminator(nn.Module):
    """Five stages of a 3x3 and a strided 4x4 convolution with batch normalization, then two linear layers.

    As in ESRGAN (Wang et al. 2018; SRGAN, Ledig et al. 2017, section 2.1.1), with the authors' number of
    hidden units. The first convolution is not normalized.

    Args:
        target_size: side of the images in pixels; 128 become 4x4 positions.
        width: filters of the first stage, doubled in each of the next, up to eight times.
        hidden: units of the first linear layer.

    Shape:
        ``(B, 3, target_size, target_size)`` -> logits ``(B, 1)``.
    """

    def __init__(self, target_size: int, width: int = 64, hidden: int = 100) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for stage in range(_STAGES):
            after = width * min(2**stage, _WIDEST)
            layers.append(nn.Conv2d(before, after, 3, padding=1, bias=stage == 0))
            if stage:
                layers.append(nn.BatchNorm2d(after))
            layers += [nn.LeakyReLU(_SLOPE), nn.Conv2d(after, after, 4, stride=2, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(after), nn.LeakyReLU(_SLOPE)]
            before = after
        self.features = nn.Sequential(*layers)
        side = target_size >> _STAGES
        self.hidden = nn.Linear(before * side * side, hidden)
        self.last = nn.Linear(hidden, 1)

    def forward(self, images: Tensor) -> Tensor:
        """``(B, 3, target_size, target_size)`` -> ``(B, 1)``."""
        x = self.hidden(self.features(images).flatten(1))
        logits: Tensor = self.last(F.leaky_relu(x, _SLOPE))
        return logits


def build(target_size: int, options: VggStyleOptions) -> nn.Module:
    """The discriminator for targets of one size.

    Raises:
        ValueError: the targets are too small to be halved five times.
    """
    if target_size < 2**_STAGES:
        raise ValueError(f"targets of {target_size} pixels are too small: this needs {2**_STAGES}")
    return VggStyleDiscriminator(target_size, options.width, options.hidden)
