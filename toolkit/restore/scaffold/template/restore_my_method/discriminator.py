"""The discriminator: is each part of an image that of a photograph, or was it made?"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from restore_my_method.options import DiscriminatorOptions

__all__ = ["Discriminator", "build"]


class Discriminator(nn.Module):
    """Three convolutions of stride 2, then one logit for each position: images of any size.

    Args:
        width: feature maps of the first layer, doubled in each of the others.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in pairwise((3, width, 2 * width, 4 * width)):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(4 * width, 1, 3, padding=1))

    def forward(self, images: Tensor) -> Tensor:
        """``(B, 3, H, W)`` -> logits ``(B, 1, h, w)``: the larger, the more real."""
        logits: Tensor = self.layers(images - 0.5)
        return logits


def build(target_size: int, options: DiscriminatorOptions) -> nn.Module:  # noqa: ARG001
    """The discriminator; it takes targets of any size."""
    return Discriminator(options.width)
