"""Estimate the blur width of a picture."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from restore.estimation.blocks import luma, sampled_windows
from restore.estimation.results import BlurEstimate

__all__ = ["blur_width"]

_FINE, _COARSE = 1.0, 2.0
"""Sigmas in pixels of the Gaussians at which gradients are measured."""
_MARGIN = 8
_WINDOWS, _SIZE = 160, 64
_STRONGEST = 0.005
"""Share of the pixels that are taken, as the strongest edges."""
_WEAKEST = 4.0
"""Levels a pixel: weaker gradients are no edges."""


def blur_width(image: Tensor) -> BlurEstimate | None:
    """Estimate the sigma of the Gaussian that made step edges as wide as the sharpest edges of `image`.

    At the crest of a step edge blurred by s, the gradient at scale t is proportional to
    ``1 / sqrt(s**2 + t**2)``; the ratio of those at two scales gives s. After Elder and Zucker, "Local scale
    control for edge detection and blur estimation", IEEE TPAMI 1998, and Zhuo and Sim, "Defocus map
    estimation from a single image", Pattern Recognition 2011. The median over the strongest edges counts, so
    that a blurred background does not make a picture blurred.

    Args:
        image: ``(3, H, W)`` or ``(1, 3, H, W)``, float in [0, 1] or uint8 levels.

    Returns:
        Sigma in pixels, or ``None`` where the picture has fewer than 64x64 pixels or no edges.

    Example:
        >>> edge = (torch.arange(128) // 64).float().expand(3, 128, 128)
        >>> blur_width(edge).sigma < 1
        True
    """
    windows = luma(sampled_windows(image.reshape(image.shape[-3:]), _SIZE, _WINDOWS))
    if not len(windows):
        return None
    across, down = _gradient(windows, _FINE)
    fine = torch.hypot(across, down)
    coarse = torch.hypot(*_gradient(windows, _COARSE))
    crest = _crests(fine, horizontal=across.abs() > down.abs())
    crest &= fine > _WEAKEST
    strength, ratio = fine[crest], (fine[crest] / coarse[crest]).square()
    if len(strength) < 8:
        return None
    strongest = strength.topk(min(len(strength), max(32, round(_STRONGEST * fine.numel())))).indices
    ratio = ratio[strongest].clamp(min=1.02)  # a ramp as wide as the window gives 1
    variances = ((_COARSE**2 - ratio * _FINE**2) / (ratio - 1)).clamp(min=0)
    low, middle, high = variances.quantile(torch.tensor([0.25, 0.5, 0.75])).sqrt().tolist()
    agreement = 1 / (1 + (high - low) / (middle + 0.5))
    return BlurEstimate(middle, agreement * min(1.0, len(strongest) / 100))


def _gradient(windows: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Derivatives across and down of `windows` under a Gaussian: ``(N, h, w)`` each, margins cut off."""
    smooth, slope = _filters(windows.shape[-1], sigma)
    return smooth @ windows @ slope.T, slope @ windows @ smooth.T


@cache
def _filters(size: int, sigma: float) -> tuple[Tensor, Tensor]:
    """A Gaussian and its derivative as matrices ``(size - 2 * _MARGIN, size)``: faster than convolutions."""
    distance = torch.arange(size)[None] - torch.arange(_MARGIN, size - _MARGIN)[:, None]
    place = distance.float()
    smooth = torch.where(distance.abs() <= _MARGIN, torch.exp(-place.square() / (2 * sigma**2)), 0)
    smooth /= smooth.sum(1, keepdim=True)
    return smooth, place / sigma**2 * smooth


def _crests(strength: Tensor, *, horizontal: Tensor) -> Tensor:
    """Mark pixels where `strength` is a local maximum along the gradient's main direction."""
    padded = F.pad(strength, (1, 1, 1, 1), value=float("inf"))  # nothing on the border is a crest
    sides = (padded[:, 1:-1, :-2], padded[:, 1:-1, 2:]), (padded[:, :-2, 1:-1], padded[:, 2:, 1:-1])
    across, down = ((strength >= before) & (strength > after) for before, after in sides)
    return torch.where(horizontal, across, down)
