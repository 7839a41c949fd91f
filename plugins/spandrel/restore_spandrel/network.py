"""Adapter from spandrel's networks to the tensor contract."""

from __future__ import annotations

import torch.nn.functional as F
from spandrel import ImageModelDescriptor, SizeRequirements
from torch import Tensor, nn

__all__ = ["Network"]


class Network(nn.Module):
    """Pads the image to a size that the network accepts, as spandrel does, and crops the result.

    Args:
        descriptor: a network that maps RGB images to RGB images.
    """

    def __init__(self, descriptor: ImageModelDescriptor[nn.Module]) -> None:
        super().__init__()
        self.scale = descriptor.scale
        self.model = descriptor.model
        self._requirements = descriptor.size_requirements
        # Not descriptor(image), which clamps, and which can neither be differentiated nor traced.
        self._call = descriptor._call_fn

    def forward(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` -> ``(B, 3, scale*H, scale*W)``, not clamped."""
        height, width = image.shape[-2:]
        restored: Tensor = self._call(self.model, _padded(image, self._requirements))
        return restored[..., : height * self.scale, : width * self.scale]


def _padded(image: Tensor, requirements: SizeRequirements) -> Tensor:
    """Pad at the right and the bottom by reflection, or by replication if the image is too small."""
    if requirements.none:
        return image
    height, width = image.shape[-2:]
    right, bottom = requirements.get_padding(width, height)
    if not (right or bottom):
        return image
    mirrored = min(right, width - 1), min(bottom, height - 1)
    image = F.pad(image, (0, mirrored[0], 0, mirrored[1]), "reflect")
    return F.pad(image, (0, right - mirrored[0], 0, bottom - mirrored[1]), "replicate")
