"""BT.601 luma as a differentiable plane."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["luma"]


def luma(image: Tensor) -> Tensor:
    """Full-range BT.601 luma: ``(B, 3, H, W)`` in [0, 1] -> ``(B, 1, H, W)`` in [0, 1].

    >>> luma(torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)).item()
    0.29899999499320984
    """
    weights = torch.tensor((0.299, 0.587, 0.114), dtype=image.dtype, device=image.device)
    return (image * weights.view(1, 3, 1, 1)).sum(1, keepdim=True)
