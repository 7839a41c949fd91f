"""The patch discriminator of pix2pix, on one scale or several."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from restore_adversarial.options import PatchOptions

__all__ = ["MultiScale", "PatchDiscriminator", "build"]

_SLOPE = 0.2
_WIDEST = 8  # times the width of the first layer


class PatchDiscriminator(nn.Sequential):
    """One logit for each patch of the image (Isola et al. 2017, section 6.1.2); 70x70 pixels by default.

    4x4 convolutions, leaky ReLU between them. There is no normalization unless `spectral` asks for it:
    batch normalization would couple the images of a batch.

    Args:
        width: filters of the first layer, doubled in each of the next, up to eight times.
        layers: convolutions of stride 2. Two of stride 1 follow.
        spectral: normalize the spectral norm of each convolution.

    Shape:
        ``(B, 3, H, W)`` -> logits ``(B, 1, h, w)``; h is about ``H / 2**layers - 2``.
    """

    def __init__(self, width: int = 64, layers: int = 3, *, spectral: bool = False) -> None:
        widths = [3, *(width * min(2**layer, _WIDEST) for layer in range(layers + 1)), 1]
        modules: list[nn.Module] = []
        for layer in range(layers + 2):
            stride = 2 if layer < layers else 1
            convolution: nn.Module = nn.Conv2d(widths[layer], widths[layer + 1], 4, stride=stride, padding=1)
            modules += [spectral_norm(convolution) if spectral else convolution, nn.LeakyReLU(_SLOPE)]
        super().__init__(*modules[:-1])


class MultiScale(nn.Module):
    """Equal discriminators, each on images of half the size of the one before (Wang et al. 2018).

    Args:
        discriminators: their number is that of the scales.

    Shape:
        ``(B, 3, H, W)`` -> a list of logits, one of each scale.
    """

    def __init__(self, discriminators: list[nn.Module]) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(discriminators)

    def forward(self, images: Tensor) -> list[Tensor]:
        """The finest scale first."""
        logits = []
        for discriminator in self.discriminators:
            logits.append(discriminator(images))
            images = F.avg_pool2d(images, 3, stride=2, padding=1, count_include_pad=False)
        return logits


def build(target_size: int, options: PatchOptions) -> nn.Module:
    """The discriminator for targets of one size.

    Raises:
        ValueError: the smallest scale of such targets leaves no position for a logit.
    """
    smallest = target_size >> (options.scales - 1)
    least = 3 * 2**options.layers
    if smallest < least:
        raise ValueError(
            f"targets of {target_size} pixels are {smallest} pixels at scale {options.scales}, and a patch "
            f"discriminator of {options.layers} layers needs {least}"
        )
    networks = [
        PatchDiscriminator(options.width, options.layers, spectral=options.spectral)
        for _ in range(options.scales)
    ]
    return networks[0] if options.scales == 1 else MultiScale(list(networks))
