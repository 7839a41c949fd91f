"""Turns, channel shuffles and mixes of pairs (Yoo, Ahn, Sohn 2020, arXiv 2004.00448)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from restore.interfaces import Augment, AugmentationOptions, Pair
from restore_augmentations.options import CutOptions, MixupOptions, TurnOptions

__all__ = ["build_channel_shuffle", "build_cutblur", "build_cutmix", "build_mixup", "build_turn"]

_DEVIATION = 0.01  # of the share of a side, as in the authors' code


def build_turn(options: TurnOptions) -> Augment:
    """One of the eight flips and rotations by 90 degrees, all equally likely.

    Patches that are not square are not rotated by 90 or 270 degrees. Without `rotate`, patches are only
    mirrored horizontally, half of them.
    """

    def turn(pair: Pair, generator: torch.Generator, partner: Pair | None) -> Pair:  # noqa: ARG001
        number = _integer(8, generator)
        square = pair.target.shape[-1] == pair.target.shape[-2]
        quarters = number % 4 if square else 2 * (number % 2)
        if not options.rotate:
            quarters = 0

        def turned(image: Tensor) -> Tensor:
            flipped = image.flip(-1) if number >= 4 else image
            return flipped.rot90(quarters, (-2, -1)).contiguous()

        return Pair(turned(pair.degraded), turned(pair.target))

    return turn


def build_channel_shuffle(options: AugmentationOptions) -> Augment:  # noqa: ARG001 - the toolkit's
    """Permute the color channels; all permutations are equally likely."""

    def shuffle(pair: Pair, generator: torch.Generator, partner: Pair | None) -> Pair:  # noqa: ARG001
        order = torch.randperm(3, generator=generator)
        return Pair(pair.degraded[order], pair.target[order])

    return shuffle


def build_mixup(options: MixupOptions) -> Augment:
    """The weighted mean of two pairs (Zhang et al. 2018)."""

    def mix(pair: Pair, generator: torch.Generator, partner: Pair | None) -> Pair:
        other = _partner(partner)
        numbers = np.random.default_rng(_integer(2**62, generator))
        weight = float(numbers.beta(options.alpha, options.alpha))
        return Pair(*(torch.lerp(b, a, weight) for a, b in zip(pair, other, strict=True)))

    return mix


def build_cutmix(options: CutOptions) -> Augment:
    """A rectangle of another pair at a random place (Yun et al. 2019)."""

    def mix(pair: Pair, generator: torch.Generator, partner: Pair | None) -> Pair:
        other, scale = _partner(partner), _scale(pair)
        height, width = _rectangle(pair.degraded, options.share, generator)
        there, here = (_place(pair.degraded, height, width, generator) for _ in range(2))
        degraded, target = pair.degraded.clone(), pair.target.clone()
        degraded[_cut(here, height, width)] = other.degraded[_cut(there, height, width)]
        target[_cut(here, height, width, scale)] = other.target[_cut(there, height, width, scale)]
        return Pair(degraded, target)

    return mix


def build_cutblur(options: CutOptions) -> Augment:
    """The target's pixels inside a rectangle of the input, or outside of it; the target stays.

    So a network learns where to restore and where to leave alone. Above scale 1 the input is taken enlarged
    to the size of the target, pixel by pixel, and the exchanged part is downscaled again by the mean of the
    pixels: what was not exchanged comes back as it was.
    """

    def cut(pair: Pair, generator: torch.Generator, partner: Pair | None) -> Pair:  # noqa: ARG001
        height, width = _rectangle(pair.degraded, options.share, generator)
        where = _cut(_place(pair.degraded, height, width, generator), height, width)
        clean = F.avg_pool2d(pair.target, _scale(pair))
        inside = _integer(2, generator) == 0
        result, source = (pair.degraded, clean) if inside else (clean, pair.degraded)
        result = result.clone()
        result[where] = source[where]
        return Pair(result, pair.target)

    return cut


def _partner(partner: Pair | None) -> Pair:
    if partner is None:
        raise ValueError("this augmentation mixes two pairs and was given one")
    return partner


def _scale(pair: Pair) -> int:
    return pair.target.shape[-1] // pair.degraded.shape[-1]


def _integer(below: int, generator: torch.Generator) -> int:
    return int(torch.randint(below, (), generator=generator))


def _rectangle(image: Tensor, share: float, generator: torch.Generator) -> tuple[int, int]:
    """Height and width, at least one pixel."""
    drawn = share + _DEVIATION * float(torch.randn((), generator=generator))
    height, width = (max(1, min(side, round(side * drawn))) for side in image.shape[-2:])
    return height, width


def _place(image: Tensor, height: int, width: int, generator: torch.Generator) -> tuple[int, int]:
    """Top and left of a rectangle that lies inside."""
    rows, columns = image.shape[-2:]
    return _integer(rows - height + 1, generator), _integer(columns - width + 1, generator)


def _cut(place: tuple[int, int], height: int, width: int, scale: int = 1) -> tuple[slice, slice, slice]:
    top, left = place
    rows = slice(top * scale, (top + height) * scale)
    return slice(None), rows, slice(left * scale, (left + width) * scale)
