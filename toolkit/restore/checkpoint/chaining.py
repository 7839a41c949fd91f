"""A chain of networks as one network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

__all__ = ["Chain", "Geometry", "chained"]


class Chain(nn.Module):
    """Networks applied one after the other.

    In evaluation mode, values are clamped to [0, 1] between them, because each expects an image. In training
    mode they are not, so that gradients pass.

    Args:
        networks: each keeps the tensor contract.
        conditions: how many numbers each takes beside the image.

    Shape:
        ``(B, 3, H, W)`` and the ``(B,)`` numbers of all networks, in their order -> ``(B, 3, s*H, s*W)``,
        where s is the product of the scales.

    Example:
        >>> import torch
        >>> Chain([nn.Conv2d(3, 3, 3, padding=1), nn.Upsample(scale_factor=2)])(torch.rand(1, 3, 4, 5)).shape
        torch.Size([1, 3, 8, 10])
    """

    def __init__(self, networks: Iterable[nn.Module], conditions: Sequence[int] | None = None) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.conditions = tuple(conditions or [0] * len(self.networks))

    def forward(self, image: Tensor, *numbers: Tensor) -> Tensor:
        """See the shape above."""
        used = 0
        for index, network in enumerate(self.networks):
            if index and not self.training:
                image = image.clamp(0, 1)
            count = self.conditions[index]
            image = network(image, *numbers[used : used + count])
            used += count
        return image


@dataclass(frozen=True)
class Geometry:
    """The fields of `restore.interfaces.ModelSpec` that decide how an image is cut into tiles."""

    scale: int
    halo: int | None
    overlap: int | None = None
    stride: int = 1


def chained(parts: Iterable[Geometry]) -> Geometry:
    """The geometry of networks that work one after the other.

    A pixel of the second network's input lies inside the input pixel of the first that contains it. So `h`
    pixels of it are at most ``ceil(h / scale)`` of those, wherever they begin; and where a tile begins at a
    multiple of ``stride / gcd(stride, scale)`` its first result lies at a multiple of `stride`.

        >>> chained([Geometry(1, halo=25, stride=2), Geometry(4, halo=27)])
        Geometry(scale=4, halo=52, overlap=None, stride=2)
        >>> chained([Geometry(4, halo=27), Geometry(1, halo=25, stride=2)])
        Geometry(scale=4, halo=34, overlap=None, stride=1)
    """
    scale, stride, exact = 1, 1, True
    margin: int | None = 0
    for part in parts:
        reach = part.overlap if part.halo is None else part.halo
        margin = None if margin is None or reach is None else margin + -(-reach // scale)
        exact = exact and part.halo is not None
        stride = math.lcm(stride, part.stride // math.gcd(part.stride, scale))
        scale *= part.scale
    return Geometry(scale, margin if exact else None, None if exact else margin, stride)
