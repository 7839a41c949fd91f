"""Convert between integer pixel levels and floating-point values in [0, 1].

>>> to_values(torch.tensor([0, 51, 255], dtype=torch.uint8))
tensor([0.0000, 0.2000, 1.0000])
>>> to_levels(torch.tensor([-0.1, 0.2, 1.0]), torch.uint16)
tensor([    0, 13107, 65535], dtype=torch.uint16)
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["FULL", "to_levels", "to_values"]

FULL = {torch.uint8: 255, torch.uint16: 65535}
"""The level of white, by the type of the pixels."""


def to_values(pixels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Convert levels to values; values are passed through.

    Args:
        pixels: of any shape, uint8 or uint16 levels, or floating-point values in [0, 1].
        dtype: of the result, a floating-point type.

    Returns:
        The same shape; `pixels` itself if it has the type already.
    """
    full = FULL.get(pixels.dtype)
    return pixels.to(dtype) if full is None else pixels.to(dtype) / full


def to_levels(values: Tensor, dtype: torch.dtype = torch.uint8) -> Tensor:
    """Convert values to levels, clamped to [0, 1] and rounded half up; levels are passed through.

    Args:
        values: of any shape, floating point, or levels of the type `dtype`.
        dtype: uint8 or uint16.

    Returns:
        The same shape; `values` itself if it has the type already.

    Example:
        >>> to_levels(torch.tensor([0.0, 0.5, 1.0, 1.5]))
        tensor([  0, 128, 255, 255], dtype=torch.uint8)
    """
    if values.dtype == dtype:
        return values
    exact = values if values.dtype == torch.float64 else values.float()
    return exact.clamp(0, 1).mul_(FULL[dtype]).add_(0.5).to(dtype)
