"""The colors that a network sees: those of sRGB, also in transparent pixels."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from restore.images import Conversion
from restore.inference.torch_network import Network
from restore.levels import to_values
from restore.resizing import imresize

__all__ = ["in_srgb", "without_bleeding"]


def in_srgb(network: Network, conversion: Conversion) -> Network:
    """Wrap a network, which works in sRGB, for the colors of another profile.

    The difference between its result and a bicubic enlargement is added to the bicubic enlargement in the
    colors of the profile, so that colors beyond sRGB are preserved.
    """

    def run(tile: Tensor) -> Tensor:
        tile = tile.cpu()
        seen = conversion.to_srgb(tile).clamp(0, 1)
        restored = network(seen).cpu()
        size = (restored.shape[-2], restored.shape[-1])
        return conversion.with_detail(imresize(tile, size), restored - imresize(seen, size))

    return run


def without_bleeding(color: Tensor, alpha: Tensor | None) -> Tensor:
    """Fill fully transparent pixels with the colors of the visible ones around them.

    Each becomes the mean, weighted by alpha, of the smallest square of 2, 4, 8, ... pixels on a grid that
    contains anything visible. Visible pixels are unchanged.

    Args:
        color: ``(1, 3, H, W)``, float in [0, 1] or levels.
        alpha: ``(1, 1, H, W)``, the same.

    Returns:
        `color` itself, if there is nothing to fill or nothing visible.
    """
    if alpha is None:
        return color
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return color
    weight = to_values(alpha)
    values = to_values(color)
    return values.where(~hidden, _spread(values * weight, weight))


def _spread(weighted: Tensor, weight: Tensor) -> Tensor:
    """The mean color where the weight is positive, and that of a coarser copy elsewhere."""
    mean = weighted / weight.clamp(min=1e-12)
    if bool((weight > 0).all()) or max(weight.shape[-2:]) == 1:
        return mean
    height, width = weight.shape[-2:]
    odd = (0, width % 2, 0, height % 2)
    coarse = _spread(F.avg_pool2d(F.pad(weighted, odd), 2), F.avg_pool2d(F.pad(weight, odd), 2))
    return mean.where(weight > 0, F.interpolate(coarse, scale_factor=2)[..., :height, :width])
