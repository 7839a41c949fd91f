"""The discriminator of EnhanceNet, Table 1 of the supplement."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from restore_enhancenet.options import DiscriminatorOptions

__all__ = ["Discriminator", "build"]

_STAGES = 5

_MEAN, _SPREAD = 0.5, 0.25
"""Approximately those of photographs: the weights are initialized for inputs of variance one. On images in
[0, 1], it takes several times as many steps to tell restored from real ones."""


class Discriminator(nn.Module):
    """Five times two convolutions, the second of stride 2, then two fully connected layers.

    No batch normalization and no dropout. The paper's sigmoid is part of the loss, which works on logits.

    Args:
        target_size: side of the images in pixels; the paper's 128 give 4x4 positions.
        width: filters of the first stage; each further stage has twice as many.
        hidden: units of the fully connected layer.
        slope: negative slope of the leaky ReLU.
    """

    def __init__(self, target_size: int, width: int = 32, hidden: int = 1024, slope: float = 0.2) -> None:
        super().__init__()
        widths = [3, *(width * 2**stage for stage in range(_STAGES))]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.LeakyReLU(slope)]
            layers += [nn.Conv2d(after, after, 3, stride=2, padding=1), nn.LeakyReLU(slope)]
        side = -(-target_size // 2**_STAGES)  # each stride of 2 rounds up
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(side * side * widths[-1], hidden),
            nn.LeakyReLU(slope),
            nn.Linear(hidden, 1),
        )
        self._initialize(slope)

    def forward(self, images: Tensor) -> Tensor:
        """``(B, 3, target_size, target_size)`` -> logits ``(B, 1)``."""
        x = self.features((images - _MEAN) / _SPREAD)  # (B, 512, 4, 4) for 128 pixels
        logits: Tensor = self.classifier(x)
        return logits

    def _initialize(self, slope: float) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, a=slope, nonlinearity="leaky_relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)


def build(target_size: int, options: DiscriminatorOptions) -> nn.Module:
    """Build the discriminator for targets of one size."""
    return Discriminator(target_size, options.width, options.hidden, options.slope)
