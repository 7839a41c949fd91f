"""Noise level of a picture, and how it depends on the intensity."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from restore.estimation.blocks import dct, dct_matrix, luma, sampled_windows
from restore.estimation.jpeg_tables import standard_table
from restore.estimation.results import JpegEstimate, NoiseEstimate

__all__ = ["luma_noise_before_jpeg", "noise_level"]

_PATCHES = 16_000
_BINS = 8
_FEWEST = 64
"""Patches that an estimate rests on at least."""
_SATURATED = 2
"""Pixels at 0 or 255 that a patch may have: clipping reduces the noise."""
_ORDER = torch.arange(8)[:, None] + torch.arange(8)
"""Sum of the two frequencies of each DCT coefficient."""


def noise_level(image: Tensor, *, jpeg: JpegEstimate | None = None) -> NoiseEstimate | None:
    """Estimate the standard deviation of white noise in each channel, and an affine model of its variance.

    In the DCT of 8x8 patches, those with the least energy at low frequencies are taken as flat, and the
    median over the high frequencies of their variance is that of the noise: the frequencies used for
    selection are independent of those measured. After Ponomarenko, Lukin, Zriakhov, Kaarna and Astola 2007,
    as analyzed by Colom and Buades, "Analysis and Extension of the Ponomarenko et al. Method", IPOL 2013. The
    model is fitted to the estimates of patches of similar mean intensity.

    JPEG compression removes noise at high frequencies: this measures the remaining noise, and
    `luma_noise_before_jpeg` the original one.

    Args:
        image: ``(3, H, W)`` or ``(1, 3, H, W)``, float in [0, 1] or uint8 levels.
        jpeg: the compression of the picture, if any, for `before_jpeg` of the result.

    Returns:
        Values in levels of 255, or ``None`` for pictures of fewer than about 16x16 pixels.

    >>> gray = 128 + 10 * torch.randn(3, 128, 128, generator=torch.Generator().manual_seed(1))
    >>> [round(sigma) for sigma in noise_level(gray / 255).sigma]
    [10, 10, 10]
    """
    image = image.reshape(image.shape[-3:])
    patches = sampled_windows(image, 8, _PATCHES)
    if len(patches) < _FEWEST:
        return None
    channels = patches.transpose(0, 1).flatten(2).contiguous()  # (3, N, 64)
    sigmas, slopes, intercepts = zip(*map(_of_channel, channels), strict=True)
    before = luma_noise_before_jpeg(image, jpeg) if jpeg is not None else None
    return NoiseEstimate(sigmas, slopes, intercepts, before)


def luma_noise_before_jpeg(image: Tensor, jpeg: JpegEstimate) -> float | None:
    """Estimate the standard deviation of noise that a JPEG compression has quantized.

    White noise of standard deviation s makes a coefficient with the quantization step q differ from zero with
    the probability ``erfc(q / (2 sqrt(2) s))``. The s of maximum likelihood is taken for the coefficients,
    except the lowest, of the blocks that are flattest by the lowest.

    Args:
        image: ``(3, H, W)`` or ``(1, 3, H, W)``, float in [0, 1] or uint8 levels.
        jpeg: where the grid is, and the quality; of tables that are not libjpeg's, the nearest.

    Returns:
        Levels of 255, in luma: 0.67 times that of independent noise of one strength in red, green and blue.
        ``None`` where there are too few blocks.
    """
    blocks = sampled_windows(image.reshape(image.shape[-3:]), 8, 20_000, multiple=8, offset=jpeg.offset)
    saturated = ((blocks <= 0) | (blocks >= 255)).sum((1, 2, 3))
    coefficients = dct(luma(blocks[saturated <= 2 * _SATURATED]))
    if len(coefficients) < _FEWEST:
        return None
    low, high = coefficients[:, (_ORDER > 0) & (_ORDER < 4)], coefficients[:, _ORDER >= 4]
    count = max(_FEWEST, len(low) // 100)
    flat = low.square().sum(1).topk(count, largest=False).indices
    steps = torch.from_numpy(standard_table(jpeg.quality))[_ORDER >= 4].float()
    differ = (high[flat].abs() > steps / 2).sum(0).float()
    sigmas = torch.logspace(-0.5, 2, 200)
    chance = torch.erfc(steps / (2 * math.sqrt(2) * sigmas[:, None])).clamp(1e-9, 1 - 1e-6)
    likelihood = (differ * chance.log() + (count - differ) * (1 - chance).log()).sum(1)
    return float(sigmas[likelihood.argmax()])


def _of_channel(patches: Tensor) -> tuple[float, float, float]:
    """Sigma, slope and intercept from patches ``(N, 64)`` of one channel."""
    patches = _unsaturated(patches)
    # The high frequencies are those of a few patches: only these are transformed to them.
    mean_and_low, high_basis = _bases()
    coefficients = patches @ mean_and_low.T
    intensity, low = coefficients[:, 0] / 8, coefficients[:, 1:].square().sum(1)

    def flat_variance(members: Tensor, share: float) -> Tensor:
        """Median over the high frequencies of the variance in the `share` with the least low energy."""
        count = min(len(members), max(_FEWEST, round(share * len(members))))
        flat = members[low[members].topk(count, largest=False).indices]
        return (patches[flat] @ high_basis.T).square().mean(0).median()

    order = intensity.argsort()
    bins = order.tensor_split(_BINS if len(low) >= _BINS * _FEWEST else 1)
    means = torch.stack([intensity[members].mean() for members in bins])
    slope, intercept = _affine(means, torch.stack([flat_variance(members, 0.02) for members in bins]))
    return float(flat_variance(order, 0.005).sqrt()), slope, intercept


def _unsaturated(patches: Tensor) -> Tensor:
    """Those of ``(N, 64)`` with few saturated pixels, or the best where there are not enough."""
    darkest, brightest = patches.aminmax()
    if darkest > 0 and brightest < 255:
        return patches
    saturated = (patches - 127.5).abs_().ge_(127.5).sum(1)  # in floats, which are faster to sum than bools
    usable = saturated <= _SATURATED
    if usable.sum() < _FEWEST:
        usable = saturated <= saturated.kthvalue(_FEWEST).values
    return patches[usable]


@cache
def _bases() -> tuple[Tensor, Tensor]:
    """The mean times 8 and the low frequencies of an 8x8 DCT, ``(36, 64)``, and the high: ``(28, 64)``."""
    basis, order = torch.kron(dct_matrix(), dct_matrix()), _ORDER.flatten()
    return basis[order < 8], basis[order >= 8]


def _affine(intensity: Tensor, variance: Tensor) -> tuple[float, float]:
    """Slope and intercept, by least squares of relative errors."""
    weights = 1 / variance.clamp(min=0.1)
    if len(intensity) < 3 or intensity.max() - intensity.min() < 16:
        return 0.0, float(variance.median())
    design = torch.stack([intensity, torch.ones_like(intensity)], 1) * weights[:, None]
    slope, intercept = torch.linalg.lstsq(design, variance * weights).solution.tolist()
    return slope, intercept
