"""Detect an earlier enlargement by interpolation and its factor."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from restore.estimation.blocks import luma
from restore.estimation.results import EnlargementEstimate

__all__ = ["enlargement_factor"]

_LINES = 256
_BINS = 8192
_LOWEST = 0.1
"""Cycles a pixel: the traces of factors up to 10."""
_MIN_PEAK = 12.0
"""How many times the median of the spectrum a trace must reach."""
_MAX_MISFIT = 0.4
"""Nats by which the power above the original Nyquist frequency may differ from what the kernel predicts."""
_ROUNDING = 0.1
"""Power that rounding to 8 bits adds at every frequency, about."""
_PLACES = (torch.arange(-192, 192) + 0.5) / 64


def enlargement_factor(image: Tensor, *, jpeg_grid: bool = False) -> EnlargementEstimate | None:
    """Find the factor by which `image` was enlarged by bilinear, bicubic or Lanczos interpolation.

    Interpolated pixels are smoother the farther they lie from the original ones, so that the strength of a
    high derivative repeats with the period of the factor along rows and columns, as a peak in its spectrum:
    Gallagher, "Detection of linear and cubic interpolation in JPEG compressed images", CRV 2005. The third
    derivative is used because even orders show no peak at factor 2. A peak may belong to several factors: the
    largest is right for which an interpolation kernel explains the power above the Nyquist frequency of the
    original by that below it.

    Args:
        image: ``(3, H, W)`` or ``(1, 3, H, W)``, float in [0, 1] or uint8 levels.
        jpeg_grid: JPEG blocks are in the picture: their own traces, of period 8, are ignored, so that
            factors 2, 4 and 8 may be missed.

    Returns:
        ``None`` where there is no trace, or the picture has fewer than 96 rows or columns.

    Example:
        >>> from restore.resizing import imresize
        >>> small = torch.rand(1, 3, 120, 120, generator=torch.Generator().manual_seed(0))
        >>> enlargement_factor(imresize(small, (240, 240)).clamp(0, 1)).factor
        2.0
    """
    image = image.reshape(image.shape[-3:])
    height, width = image.shape[-2:]
    if min(height, width) < 96:
        return None
    rows, columns = _lines(image), _lines(image.mT)
    spectrum = _trace(rows) + _trace(columns)
    frequency = torch.arange(len(spectrum)) / _BINS
    usable = frequency > _LOWEST
    if jpeg_grid:
        resolution = 3 / min(height, width)
        usable &= (frequency * 8 - (frequency * 8).round()).abs() > 8 * resolution
    spectrum = spectrum / spectrum[usable].median().clamp(min=1e-6) * usable
    if spectrum.max() < _MIN_PEAK:
        return None
    power = _power(rows) + _power(columns)
    misfits = {factor: _misfit(power, factor) for factor in _candidates(spectrum, frequency)}
    # At factors below the right one nearly all the compared power is missing, which any kernel explains.
    factor = max((factor for factor, misfit in misfits.items() if misfit < _MAX_MISFIT), default=None)
    if factor is None:
        return None
    peak = float(spectrum.max())
    return EnlargementEstimate(factor, 1 - (_MIN_PEAK / 2 / peak))


def _lines(image: Tensor) -> Tensor:
    """Luma in levels of some rows of `image`, evenly spread: ``(L, W)``."""
    rows = image[:, :: max(1, image.shape[1] // _LINES)]
    levels = rows.float() if rows.dtype == torch.uint8 else rows.float() * 255
    return luma(levels[None])[0]


def _trace(lines: Tensor) -> Tensor:
    """Magnitude spectrum of how strong the third derivative is at each place along `lines`."""
    strength = torch.log(lines.diff(n=3, dim=1).abs().clamp(max=30).mean(0) + 0.05)
    mean = F.avg_pool1d(F.pad(strength[None], (9, 9), mode="replicate"), 19, 1)[0]
    detail = (strength - mean) * torch.hann_window(len(strength))
    magnitude = torch.fft.rfft(detail, max(_BINS, len(detail))).abs()
    if len(detail) > _BINS:  # very long lines: onto the same frequencies
        magnitude = F.interpolate(magnitude[None, None], _BINS // 2 + 1, mode="linear", align_corners=True)[
            0, 0
        ]
    relative: Tensor = magnitude / magnitude.median().clamp(min=1e-6)
    return relative


def _candidates(spectrum: Tensor, frequency: Tensor) -> set[float]:
    """Factors whose traces are the peaks: 1/f, and 1/(1 - f) below 2."""
    found, remaining = set[float](), spectrum.clone()
    for _ in range(6):
        peak = remaining.argmax()
        if remaining[peak] < max(_MIN_PEAK / 2, 0.04 * float(spectrum.max())):
            break
        place = float(frequency[peak])
        found |= {_rounded(1 / place), _rounded(1 / (1 - place))}
        remaining[(frequency - place).abs() < 0.03] = 0
    return found


def _rounded(factor: float) -> float:
    """Two decimals, or the multiple of 1/2 within one percent."""
    return round(2 * factor) / 2 if abs(round(2 * factor) / 2 - factor) < 0.01 * factor else round(factor, 2)


def _power(lines: Tensor) -> Tensor:
    """Mean power spectrum of pieces of 128 pixels, or 64, along `lines`: ``(65,)``, white noise is flat."""
    size = 128 if lines.shape[1] >= 128 else 64
    pieces = lines.unfold(1, size, size // 2).reshape(-1, size)
    pieces = (pieces - pieces.mean(1, keepdim=True)) * torch.hann_window(size)
    power: Tensor = torch.fft.rfft(pieces, 128).abs().square().mean(0) / size
    return power


def _misfit(power: Tensor, factor: float) -> float:
    """Mean absolute error, in nats of power, of the best kernel's prediction above the original Nyquist.

    Enlarging mirrors the spectrum at ``0.5 / factor`` and multiplies it by the kernel's: whatever the
    picture, the power at ``u / factor`` is that at ``(1 - u) / factor`` times the ratio of the kernel's.
    """
    u = torch.linspace(0.55, 0.9, 15)
    u = u[u / factor < 0.49]
    if factor < 1.1 or len(u) < 3:
        return math.inf
    mirrored, seen = (_at(power, place / factor) for place in (1 - u, u))
    if mirrored.log().mean() < math.log(10 * _ROUNDING):
        return math.inf  # nothing to compare
    errors = [
        (torch.log(mirrored * ratio + _ROUNDING) - torch.log(seen + _ROUNDING)).abs().mean()
        for ratio in (_response(kernel, u) / _response(kernel, 1 - u) for kernel in _kernels())
    ]
    return float(min(errors))


def _at(power: Tensor, frequency: Tensor) -> Tensor:
    """`power` at frequencies in cycles a pixel, by linear interpolation of the logarithm."""
    place = frequency * 128
    left = place.floor().long().clamp(max=63)
    logs = power.clamp(min=1e-9).log()
    return torch.lerp(logs[left], logs[left + 1], place - left).exp()


def _kernels() -> tuple[Tensor, ...]:
    """Bilinear, bicubic of a = -0.5 and -0.75, and Lanczos-3, sampled at `_PLACES`."""
    x = _PLACES.abs()
    cubics = (
        torch.where(
            x < 1,
            (a + 2) * x**3 - (a + 3) * x**2 + 1,
            torch.where(x < 2, a * (x**3 - 5 * x**2 + 8 * x - 4), 0.0),
        )
        for a in (-0.5, -0.75)
    )
    return (1 - x).clamp(min=0), *cubics, torch.sinc(x) * torch.sinc(x / 3)


def _response(kernel: Tensor, frequency: Tensor) -> Tensor:
    """Squared magnitude of the Fourier transform of a `kernel` that is even."""
    return (torch.cos(2 * math.pi * frequency[:, None] * _PLACES) @ kernel / 64).square()
