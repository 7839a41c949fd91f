"""Blur kernels: odd squares of weights, nonnegative but for `sinc`, that add up to one."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["disk", "gaussian", "generalized_gaussian", "line", "plateau", "sinc"]

_FINE = 8  # samples along a pixel's side, for shapes with an edge


def gaussian(size: int, sigma: float, sigma_y: float | None = None, angle: float = 0.0) -> Tensor:
    """``exp(-d/2)``, where d is the squared distance in units of the deviations.

    Args:
        size: side in pixels, odd.
        sigma: deviation along the first axis of the ellipse, in pixels.
        sigma_y: along the second; left out: the same (isotropic).
        angle: of the first axis to the horizontal, in radians.

    Returns:
        ``(size, size)``, float32.

    Example:
        >>> gaussian(3, 0.5).sum().item()
        1.0
    """
    return _normalized(torch.exp(-0.5 * _distance(size, sigma, sigma_y, angle)))


def generalized_gaussian(
    size: int, sigma: float, sigma_y: float | None = None, angle: float = 0.0, beta: float = 1.0
) -> Tensor:
    """``exp(-d^beta / 2)`` (Liu et al. 2020, arXiv 2001.05498): `beta` 1 is a Gaussian, 0.5 has a peak.

    For the arguments see `gaussian`.
    """
    return _normalized(torch.exp(-0.5 * _distance(size, sigma, sigma_y, angle) ** beta))


def plateau(
    size: int, sigma: float, sigma_y: float | None = None, angle: float = 0.0, beta: float = 1.0
) -> Tensor:
    """``1 / (1 + d^beta)``: flatter at the top than a Gaussian, with longer tails.

    For the arguments see `gaussian`.
    """
    return _normalized(1 / (1 + _distance(size, sigma, sigma_y, angle) ** beta))


def disk(radius: float) -> Tensor:
    """Uniform disk, the blur of an out-of-focus lens; pixels at its edge have partial weight.

    Args:
        radius: in pixels, above 0.
    """
    reach = math.ceil(radius - 0.5) if radius > 0.5 else 0
    x, y = _fine_grid(reach)
    return _coarse((x.square() + y.square() <= radius**2).double(), reach)


def line(length: float, angle: float) -> Tensor:
    """Uniform line of one pixel width, the blur of a moving camera.

    Args:
        length: in pixels, at least 1.
        angle: to the horizontal, in radians.
    """
    reach = math.ceil(length / 2)
    x, y = _fine_grid(reach)
    along = x * math.cos(angle) + y * math.sin(angle)
    across = y * math.cos(angle) - x * math.sin(angle)
    return _coarse(((along.abs() <= length / 2) & (across.abs() <= 0.5)).double(), reach)


def sinc(size: int, cutoff: float) -> Tensor:
    """The circular low-pass filter, which rings (Wang et al. 2021, Real-ESRGAN, Eq. 6).

    ``cutoff / (2 pi r) J1(cutoff r)`` with the Bessel function J1 of the first kind.

    Args:
        size: side in pixels, odd.
        cutoff: highest frequency that passes, in radians per pixel, up to pi.
    """
    x, y = _grid(size)
    radius = (x.square() + y.square()).sqrt()
    middle = size // 2
    radius[middle, middle] = 1.0  # any number: its value is the limit, below
    kernel = cutoff * torch.special.bessel_j1(cutoff * radius) / (2 * math.pi * radius)
    kernel[middle, middle] = cutoff**2 / (4 * math.pi)
    return _normalized(kernel)


def _grid(size: int) -> tuple[Tensor, Tensor]:
    """Columns and rows from the center, in pixels."""
    if size < 1 or size % 2 == 0:
        raise ValueError(f"a kernel has an odd side, but got {size}")
    position = torch.arange(size, dtype=torch.float64) - size // 2
    rows, columns = torch.meshgrid(position, position, indexing="ij")
    return columns, rows


def _distance(size: int, sigma: float, sigma_y: float | None, angle: float) -> Tensor:
    """Squared distance from the center in units of the deviations."""
    x, y = _grid(size)
    along = x * math.cos(angle) + y * math.sin(angle)
    across = y * math.cos(angle) - x * math.sin(angle)
    return (along / sigma).square() + (across / (sigma if sigma_y is None else sigma_y)).square()


def _fine_grid(reach: int) -> tuple[Tensor, Tensor]:
    """Columns and rows of the samples of ``(2 * reach + 1)^2`` pixels."""
    count = (2 * reach + 1) * _FINE
    position = (torch.arange(count, dtype=torch.float64) + 0.5) / _FINE - (reach + 0.5)
    rows, columns = torch.meshgrid(position, position, indexing="ij")
    return columns, rows


def _coarse(fine: Tensor, reach: int) -> Tensor:
    side = 2 * reach + 1
    return _normalized(fine.view(side, _FINE, side, _FINE).mean((1, 3)))


def _normalized(kernel: Tensor) -> Tensor:
    return (kernel / kernel.sum()).float()
