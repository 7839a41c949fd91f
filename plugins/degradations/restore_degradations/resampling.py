"""Resizing by the filters that cameras, programs and web sites use."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Literal, get_args

import torch
from torch import Tensor

__all__ = ["METHODS", "Method", "reach", "resized"]

Method = Literal["area", "bilinear", "bicubic", "lanczos"]
METHODS: tuple[Method, ...] = get_args(Method)


def _triangle(x: Tensor) -> Tensor:
    return (1 - x.abs()).clamp_min(0)


def _cubic(x: Tensor) -> Tensor:
    """Keys 1981 with a = -0.5."""
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x <= 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


def _lanczos(x: Tensor) -> Tensor:
    """Three lobes."""
    return torch.where(x.abs() < 3, torch.special.sinc(x) * torch.special.sinc(x / 3), torch.zeros_like(x))


_KERNELS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "bilinear": (_triangle, 1.0),
    "bicubic": (_cubic, 2.0),
    "lanczos": (_lanczos, 3.0),
}
"""Each filter with its radius."""


def resized(image: Tensor, size: tuple[int, int], method: Method, *, antialias: bool = True) -> Tensor:
    """Resize with half-pixel centers and symmetric padding (the edge is repeated).

    Args:
        image: ``(C, H, W)``.
        size: height and width of the result.
        method: ``area`` is the mean over the pixels that a result covers.
        antialias: widen the filter by the ratio when shrinking; ``area`` always does.

    Returns:
        ``(C, *size)``, which can overshoot [0, 1] with ``bicubic`` and ``lanczos``.
    """
    height, width = image.shape[-2:]
    rows = _weights(height, size[0], method, antialias).to(image)
    columns = _weights(width, size[1], method, antialias).to(image)
    return rows @ image @ columns.T


def reach(ratio: float, method: Method) -> int:
    """Return the radius in input pixels that a result depends on when downscaling by `ratio` >= 1."""
    radius = 0.5 if method == "area" else _KERNELS[method][1]
    return math.ceil(radius * max(ratio, 1.0) + 0.5)


@lru_cache(maxsize=256)
def _weights(length: int, target: int, method: Method, antialias: bool) -> Tensor:
    """``(target, length)``, rows that add up to one."""
    ratio = length / target
    if method == "area":
        edges = torch.arange(target + 1, dtype=torch.float64) * ratio
        pixels = torch.arange(length, dtype=torch.float64)
        covered = torch.minimum(edges[1:, None], pixels + 1) - torch.maximum(edges[:-1, None], pixels)
        weights = covered.clamp_min(0)
        return (weights / weights.sum(1, keepdim=True)).float()
    kernel, radius = _KERNELS[method]
    stretch = max(ratio, 1.0) if antialias else 1.0
    centers = (torch.arange(target, dtype=torch.float64) + 0.5) * ratio - 0.5
    count = 2 * math.ceil(radius * stretch) + 1
    taps = centers.floor()[:, None] + torch.arange(count) - count // 2
    values = kernel((taps - centers[:, None]) / stretch)
    values = values / values.sum(1, keepdim=True)
    inside = taps.long() % (2 * length)  # reflected at both ends, repeatedly if necessary
    inside = torch.where(inside >= length, 2 * length - 1 - inside, inside)
    return torch.zeros(target, length, dtype=torch.float64).scatter_add_(1, inside, values).float()
