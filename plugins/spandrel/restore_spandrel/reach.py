"""Measurement of a network's receptive field."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["LIMIT", "measured_reach"]

LIMIT = 64
"""Largest radius in input pixels: with a wider margin, most of a tile would be margin."""

_THICKNESS = 2  # of the test strips, which are run in both directions
_SHIFTS = (1, 6)
_TOLERANCE = 1e-4


def measured_reach(network: nn.Module, scale: int) -> int | None:
    """The margin in input pixels with which the results of tiles equal that of the whole image.

    A NaN pixel makes every output that depends on it NaN, whatever the weights are. A second test checks that
    tiles may begin at any pixel, which attention windows on a fixed grid do not allow.

    Returns:
        The margin, or ``None`` if the receptive field is larger than `LIMIT`, or depends on a grid.
    """
    # One matrix product for each convolution: other algorithms mix neighboring results.
    with torch.inference_mode(), torch.backends.mkldnn.flags(enabled=False):
        try:
            reaches = [_along(network, scale, across=across) for across in (False, True)]
        except RuntimeError:  # for example, the strip is too thin
            return None
        if None in reaches:
            return None
        reach = max(found for found in reaches if found is not None)
        exact = all(
            _may_begin_at(network, scale, reach, shift, across=across)
            for shift in _SHIFTS
            for across in (False, True)
        )
    return reach if exact else None


def _strip(length: int) -> Tensor:
    generator = torch.Generator().manual_seed(length)
    return torch.rand(1, 3, _THICKNESS, length, generator=generator)


def _run(network: nn.Module, strip: Tensor, *, across: bool) -> Tensor:
    """Run the network on a horizontal strip, or on a vertical one if `across`; the result is horizontal."""
    restored: Tensor = network(strip.mT).mT if across else network(strip)
    return restored


def _along(network: nn.Module, scale: int, *, across: bool) -> int | None:
    strip = _strip(2 * LIMIT + 1)
    strip[..., LIMIT] = torch.nan
    restored = _run(network, strip, across=across)
    touched = restored.isnan().flatten(0, 2).any(0).nonzero()
    if not touched.numel():
        return None
    reach = int((touched // scale - LIMIT).abs().max())
    return reach if reach < LIMIT else None


def _may_begin_at(network: nn.Module, scale: int, reach: int, shift: int, *, across: bool) -> bool:
    strip = _strip(shift + reach + 48)
    whole, part = (_run(network, image, across=across) for image in (strip, strip[..., shift:]))
    expected, found = whole[..., (shift + reach) * scale :], part[..., reach * scale :]
    limit = _TOLERANCE * max(1.0, float(expected.abs().max()))
    return bool((expected - found).abs().max() <= limit)
