"""The discriminator: predicts for each patch of an image whether it is real."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from restore_my_method.options import DiscriminatorOptions

__all__ = ["Discriminator", "build"]


class Discriminator(nn.Module):
    """A PatchGAN: three convolutions of stride 2, then one logit per patch. Accepts images of any size.

    Args:
        width: feature maps of the first layer; each further layer has twice as many.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in pairwise((3, width, 2 * width, 4 * width)):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(4 * width, 1, 3, padding=1))

    def forward(self, images: Tensor) -> Tensor:
        """``(B, 3, H, W)`` -> logits ``(B, 1, h, w)``, larger for real images."""
        logits: Tensor = self.layers(images - 0.5)
        return logits


def build(target_size: int, options: DiscriminatorOptions) -> nn.Module:  # noqa: ARG001
    """Build the discriminator. It does not depend on the size of the targets."""
    return Discriminator(options.width)
