"""Noise level of a picture, and how it depends on the intensity."""

from __future__ import annotations

import torch
from torch import Tensor

from restore.estimation.blocks import dct, sampled_windows
from restore.estimation.results import NoiseEstimate

__all__ = ["noise_level"]

_PATCHES = 40_000
_BINS = 8
_FEWEST = 64
"""Patches that an estimate rests on at least."""
_SATURATED = 2
"""Pixels at 0 or 255 that a patch may have: clipping reduces the noise."""


def noise_level(image: Tensor) -> NoiseEstimate | None:
    """Estimate the standard deviation of white noise in each channel, and an affine model of its variance.

    In the DCT of 8x8 patches, those with the least energy at low frequencies are taken for flat, and the
    median over the high frequencies of their variance is that of the noise: what selects is independent of
    what is measured. After Ponomarenko, Lukin, Zriakhov, Kaarna and Astola 2007, as analyzed by Colom and
    Buades, "Analysis and Extension of the Ponomarenko et al. Method", IPOL 2013. The model is fitted to the
    estimates of patches of similar mean intensity.

    JPEG compression removes noise at high frequencies: what is left of it is measured.

    Args:
        image: ``(3, H, W)`` or ``(1, 3, H, W)``, float in [0, 1] or uint8 levels.

    Returns:
        Values in levels of 255, or ``None`` for pictures of fewer than about 16x16 pixels.

    >>> gray = 128 + 10 * torch.randn(3, 128, 128, generator=torch.Generator().manual_seed(1))
    >>> [round(sigma) for sigma in noise_level(gray / 255).sigma]
    [10, 10, 10]
    """
    patches = sampled_windows(image.reshape(image.shape[-3:]), 8, _PATCHES)
    if len(patches) < _FEWEST:
        return None
    sigmas, slopes, intercepts = zip(*(_of_channel(patches[:, channel]) for channel in range(3)), strict=True)
    return NoiseEstimate(sigmas, slopes, intercepts)


def _of_channel(patches: Tensor) -> tuple[float, float, float]:
    """Sigma, slope and intercept from patches ``(N, 8, 8)`` of one channel."""
    saturated = ((patches <= 0) | (patches >= 255)).sum((1, 2))
    usable = saturated <= _SATURATED
    if usable.sum() < _FEWEST:
        usable = saturated <= saturated.kthvalue(_FEWEST).values
    energy = dct(patches[usable]).square()
    intensity = patches[usable].mean((1, 2))
    order = torch.arange(8)[:, None] + torch.arange(8)
    low = energy[:, (order > 0) & (order < 8)].sum(1)
    high = energy[:, order >= 8]
    variance = _flat_variance(low, high, 0.005)
    bins = intensity.argsort().tensor_split(_BINS if len(low) >= _BINS * _FEWEST else 1)
    means = torch.stack([intensity[members].mean() for members in bins])
    variances = torch.stack([_flat_variance(low[members], high[members], 0.02) for members in bins])
    slope, intercept = _affine(means, variances)
    return float(variance.sqrt()), slope, intercept


def _flat_variance(low: Tensor, high: Tensor, share: float) -> Tensor:
    """Median over the frequencies of the variance in the `share` of patches with the least `low` energy."""
    count = min(len(low), max(_FEWEST, round(share * len(low))))
    flat = low.topk(count, largest=False).indices
    return high[flat].mean(0).median()


def _affine(intensity: Tensor, variance: Tensor) -> tuple[float, float]:
    """Slope and intercept, by least squares of relative errors."""
    weights = 1 / variance.clamp(min=0.1)
    if len(intensity) < 3 or intensity.max() - intensity.min() < 16:
        return 0.0, float(variance.median())
    design = torch.stack([intensity, torch.ones_like(intensity)], 1) * weights[:, None]
    slope, intercept = torch.linalg.lstsq(design, variance * weights).solution.tolist()
    return slope, intercept
