"""Find the squares where pictures differ most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Region", "worst_regions"]

_SHARE = 12  # a region's side is this part of the picture's shorter one ...
_SIDES = (48, 128)  # ... within these bounds: small enough to be shown whole at 2x to 4x
_STEPS = 8  # possible positions per side of a region


@dataclass(frozen=True)
class Region:
    """A square, in pixels of the results.

    >>> Region(left=64, top=0, side=32, difference=12.5).side
    32
    """

    left: int
    top: int
    side: int
    difference: float
    """Root of the mean squared difference inside, in levels of 255."""


def worst_regions(pictures: Sequence[Tensor], target: Tensor | None = None, count: int = 6) -> list[Region]:
    """The squares in which `pictures` differ most, the worst first; no two of them overlap.

    Args:
        pictures: ``(1, 3, H, W)`` uint8 levels, all of one size.
        target: likewise. With it, a pixel's difference is the largest one of any picture to the target,
            without it that between the brightest and the darkest picture; both averaged over the channels.
        count: of the squares, at most.

    >>> first = torch.zeros(1, 3, 256, 256, dtype=torch.uint8)
    >>> second = first.clone()
    >>> second[..., 96:144, 48:96] = 90
    >>> worst_regions([first, second])[0]
    Region(left=48, top=96, side=48, difference=90.0)

    Returns:
        Fewer than `count`, where the others do not differ or there is no room.
    """
    squared = _difference(pictures, target).square()  # (1, 1, H, W)
    height, width = squared.shape[-2:]
    side = min(height, width, max(_SIDES[0], min(_SIDES[1], min(height, width) // _SHARE)))
    step = max(1, side // _STEPS)
    scores = F.avg_pool2d(squared, side, step)[0, 0].sqrt()
    reach = -(-side // step)  # squares whose places are nearer than this overlap
    found: list[Region] = []
    while len(found) < count and scores.max() > 0:
        row, column = divmod(int(scores.argmax()), scores.shape[1])
        found.append(Region(column * step, row * step, side, float(scores[row, column])))
        scores[max(0, row - reach + 1) : row + reach, max(0, column - reach + 1) : column + reach] = 0
    return found


def _difference(pictures: Sequence[Tensor], target: Tensor | None) -> Tensor:
    """``(1, 1, H, W)`` float32 in levels."""
    if target is None:
        high = low = pictures[0]
        for picture in pictures[1:]:
            high, low = torch.maximum(high, picture), torch.minimum(low, picture)
        return (high - low).float().mean(1, keepdim=True)
    worst = torch.zeros(1, 1, *target.shape[-2:])
    for picture in pictures:
        distance = torch.maximum(picture, target) - torch.minimum(picture, target)
        worst = torch.maximum(worst, distance.float().mean(1, keepdim=True))
    return worst
