"""A patch discriminator on the cosine transform of small blocks, which sees periodic patterns at once."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore_adversarial.options import DctOptions

__all__ = ["BlockDct", "DctDiscriminator", "build"]

_SLOPE = 0.2

_MEAN, _SPREAD = 0.5, 0.25
"""Approximately those of photographs in [0, 1]."""

_LOWEST, _EXPONENT = 0.15, 1.5
"""Approximately the standard deviation of the lowest frequency that a block of 4x4 pixels has in photographs
of much detail, and its decay with the frequency."""


class BlockDct(nn.Module):
    """The orthonormal cosine transform (DCT-II) of each block, its coefficients divided by typical ones.

    In a photograph high frequencies have a hundredth of the power of low ones. Divided by what they usually
    are, all have a variance of about one, so that a network that is trained for a short time sees them.

    Args:
        block: side of the blocks in pixels.

    Shape:
        ``(B, 3, H, W)`` -> ``(B, 3 * block**2, H / block, W / block)``.

    Example:
        >>> BlockDct(4)(torch.rand(1, 3, 32, 32)).shape
        torch.Size([1, 48, 8, 8])
    """

    weight: Tensor

    def __init__(self, block: int) -> None:
        super().__init__()
        self.block = block
        steps = torch.arange(block, dtype=torch.float64)
        basis = torch.cos(math.pi / block * (steps + 0.5) * steps[:, None]) * math.sqrt(2 / block)
        basis[0] /= math.sqrt(2)
        waves = torch.einsum("ux,vy->uvxy", basis, basis).flatten(0, 1)
        radius = torch.hypot(steps[:, None], steps).flatten()
        typical = _LOWEST * (block / (4 * radius)) ** _EXPONENT
        typical[0] = _SPREAD * block
        self.register_buffer("weight", (waves / typical[:, None, None])[:, None].float(), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """The coefficients of a color are beside each other."""
        planes = (images - _MEAN).flatten(0, 1)[:, None]
        coefficients = F.conv2d(planes, self.weight.to(images.dtype), stride=self.block)
        return coefficients.view(len(images), -1, *coefficients.shape[2:])


class DctDiscriminator(nn.Sequential):
    """One logit for each patch, from the cosine transform of its blocks.

    A network that enlarges by 4 makes what it adds to the image periodic, by 2 and by 4 pixels, and a
    discriminator that sees pixels takes long to notice. Here the pattern is an offset of a few channels of
    the first layer.

    3x3 convolutions, the third of stride 2, leaky ReLU between them, and no normalization.

    Args:
        block: side of the blocks in pixels: the enlargement, or a multiple.
        width: filters of the first two layers; the next two have twice as many.

    Shape:
        ``(B, 3, H, W)`` -> logits ``(B, 1, H / (2 * block), W / (2 * block))``.
    """

    def __init__(self, block: int = 4, width: int = 128) -> None:
        widths = [3 * block**2, width, width, 2 * width, 2 * width]
        layers: list[nn.Module] = [BlockDct(block)]
        for layer in range(4):
            stride = 2 if layer == 2 else 1
            layers.append(nn.Conv2d(widths[layer], widths[layer + 1], 3, stride=stride, padding=1))
            layers.append(nn.LeakyReLU(_SLOPE))
        super().__init__(*layers, nn.Conv2d(widths[-1], 1, 3, padding=1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=_SLOPE, nonlinearity="leaky_relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


def build(target_size: int, options: DctOptions) -> nn.Module:
    """The discriminator for targets of one size.

    Raises:
        ValueError: the targets are smaller than two blocks, or no multiple of a block.
    """
    if target_size % options.block or target_size < 2 * options.block:
        raise ValueError(
            f"targets of {target_size} pixels are not divided into blocks of {options.block} pixels; "
            "choose a multiple of the block as the patch size"
        )
    return DctDiscriminator(options.block, options.width)
