"""JPEG compression from pixels alone: of pictures that were saved again in another format, or cropped."""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from restore.estimation.blocks import dct, dct_matrix, luma, sampled_windows
from restore.estimation.jpeg_tables import luma_tables, nearest_quality
from restore.estimation.results import JpegEstimate, Subsampling

__all__ = ["grid_votes", "jpeg_from_pixels", "step_evidence", "subsampling_of"]

_MIN_SHARE = 0.2
"""Of the windows, that must agree on a grid. Without JPEG it is at most 0.08; at quality 97, 0.3 to 0.7."""
_FEW, _NO_SHARE = 256, 0.12
"""If no grid has this share of so many windows, which take little time, there is none."""
_MIN_GAIN = 0.2
"""Nats a coefficient by which quantized must be likelier than not. Without JPEG it is at most 0.05; at
quality 97, 0.3 to 0.8, and more below."""

_NOISE = 0.4
"""Standard deviation that rounding to 8 bits, in YCbCr and then RGB, leaves on the luma's coefficients."""
_OUTLIERS = 0.02
"""Share of coefficients that quantization does not explain, as where colors were clipped."""
_CHROMA_DETAIL = 16.0
"""Mean square of third differences, in levels, that rounding does not reach."""
_BIN, _LOWEST, _HIGHEST, _STEPS = 0.125, 2.0, 320.0, 255
"""Magnitudes of coefficients that are counted: smaller ones are zeros and rounding, and say nothing."""


def jpeg_from_pixels(image: Tensor) -> JpegEstimate | None:
    """Find the last JPEG compression of decoded pixels: quality, subsampling and grid offset.

    The grid is the one on which most coefficients are zero (`grid_votes`). On it, the likelihood of each
    quantization step is computed for each frequency (`step_evidence`), and summed for each of libjpeg's 100
    tables. Where other steps are much likelier, the tables are not libjpeg's, and the nearest quality counts.

    Args:
        image: ``(C, H, W)`` with C = 3, or ``(1, 3, H, W)``; float in [0, 1] or uint8 levels, sRGB.

    Returns:
        ``None`` where no compression can be seen: above quality 97, after resizing, with noise added since,
        or in less than about 64x64 pixels.

    Example:
        >>> jpeg_from_pixels(torch.full((3, 64, 64), 0.5)) is None  # no visible compression
        True
    """
    image = image.reshape(image.shape[-3:])
    few = grid_votes(image, count=_FEW)
    if few.sum() > _FEW // 2 and few.max() < _NO_SHARE * few.sum():
        return None
    votes = grid_votes(image)
    if votes.sum() < 16 or votes.max() < _MIN_SHARE * votes.sum():
        return None
    offset = divmod(int(votes.argmax()), 8)
    evidence, coefficients = step_evidence(image, offset)
    steps = torch.from_numpy(luma_tables())[..., None]  # (100, 8, 8, 1)
    of_qualities = evidence.expand(len(steps), -1, -1, -1).gather(3, steps - 1).sum((1, 2, 3))
    best_steps = evidence.max(2)
    gain, any_gain = float(of_qualities.max()), float(best_steps.values.sum())
    needed = _MIN_GAIN * max(coefficients, 1)
    standard = gain >= needed and gain > any_gain / 2
    if standard:
        quality = int(of_qualities.argmax()) + 1
    elif any_gain >= needed:
        gain = any_gain
        sure = (best_steps.values > 10) & (best_steps.indices > 0)
        if sure.sum() < 6:
            return None
        quality = nearest_quality(best_steps.indices.numpy() + 1, used=sure.numpy())
    else:
        return None
    confidence = 1 - math.exp(-2 * gain / max(coefficients, 1))
    return JpegEstimate(quality, standard, subsampling_of(image, offset), offset, "pixels", confidence)


def grid_votes(image: Tensor, *, count: int = 2048) -> Tensor:
    """Let windows vote for the grid on which they have the most DCT coefficients equal to zero.

    After Nikoukhah, Anger, Colom and Morel, "ZERO: a local JPEG grid origin detector based on the number of
    DCT zeros", IPOL 2021.

    Args:
        image: ``(3, H, W)``.
        count: the number of windows.

    Returns:
        ``(64,)`` votes for the offsets (0, 0), (0, 1) ... (7, 7).
    """
    windows = luma(sampled_windows(image, 15, count, multiple=8))
    matrix = dct_matrix()
    basis = torch.einsum("ui,vj->uvij", matrix, matrix).reshape(64, 1, 8, 8)
    # In place: these are the largest tensors of an estimate, and the time is that of passing over them.
    zeros = F.conv2d(windows[:, None], basis).abs_().lt_(0.5).sum(1).flatten(1)  # (N, 64 offsets)
    if not len(zeros):
        return torch.zeros(64, dtype=torch.int64)
    most, place = zeros.max(1)
    decided = (zeros == most[:, None]).sum(1) == 1
    return torch.bincount(place[decided], minlength=64)


def step_evidence(image: Tensor, offset: tuple[int, int], *, count: int = 4096) -> tuple[Tensor, int]:
    """Compare, for each frequency, quantization by each step with no quantization.

    A coefficient that was quantized by q is k q plus rounding noise. Its likelihood is that of its level k,
    geometric with the mean of the data, times that of the remainder, Gaussian with a share of outliers; not
    quantized, its integer part is geometric and its remainder uniform. After Fan and de Queiroz,
    "Identification of bitmap compression history", IEEE TIP 2003; the term of the levels is what prefers q
    to its divisors.

    Args:
        image: ``(3, H, W)``.
        offset: row and column of the grid.
        count: the number of blocks; those with saturated pixels are left out.

    Returns:
        ``(8, 8, 255)`` log-likelihood ratios in nats for the steps 1, 2 ... 255 (0 for step 1 and for the
        mean), and the number of coefficients that they rest on.
    """
    magnitudes = dct(luma(_unclipped_blocks(image, offset, count))).abs().flatten(1)  # (N, 64)
    magnitudes[:, 0] = 0  # the mean is not counted
    levels, remainders = _step_models()
    # One histogram of all frequencies, each with bins of its own, is faster than one for each.
    bins = (magnitudes / _BIN).long() + len(levels) * torch.arange(64)
    counted = bins[(magnitudes > _LOWEST) & (magnitudes < _HIGHEST)]
    counts = torch.bincount(counted, minlength=64 * len(levels)).float().reshape(64, -1)
    total = counts.sum(1, keepdim=True)
    mean = (counts @ levels / total.clamp(min=1)).clamp(min=1 + 1e-6)  # (64, 255)
    likelihood = counts @ remainders + total * ((mean - 1) * torch.log1p(-1 / mean) - torch.log(mean))
    return (likelihood - likelihood[:, :1]).reshape(8, 8, _STEPS), int(total.sum())


def subsampling_of(image: Tensor, offset: tuple[int, int], *, count: int = 4096) -> Subsampling | None:
    """Find in which directions the chroma planes were interpolated from half the samples.

    Of two pixels that share a chroma sample, repetition makes the first difference zero, and libjpeg's
    interpolation by (3, 1)/4 the third difference [-1, 3, -3, 1]; across two samples neither vanishes.

    Args:
        image: ``(3, H, W)``.
        offset: row and column of the grid.
        count: the number of blocks; the fiftieth part with the most chroma detail decides.

    Returns:
        "4:4:4", "4:2:2", "4:4:0" or "4:2:0"; ``None`` where there is too little chroma detail.
    """
    blocks = _unclipped_blocks(image, offset, count)
    chroma = blocks[:, [2, 0]] - luma(blocks)[:, None]  # multiples of Cb and Cr
    if not len(chroma):
        return None
    across, down = _halved(chroma), _halved(chroma.mT)
    if across is None or down is None:
        return None
    names: dict[tuple[bool, bool], Subsampling] = {
        (False, False): "4:4:4",
        (True, False): "4:2:2",
        (False, True): "4:4:0",
        (True, True): "4:2:0",
    }
    return names[across, down]


def _halved(chroma: Tensor) -> bool | None:
    """Return whether the rows of `chroma`, ``(N, 2, 8, 8)``, were interpolated from half the samples."""
    first = chroma.diff(dim=-1)  # at 0: of pixels 0 and 1, within one sample; at 1: across two
    third = chroma.diff(n=3, dim=-1)  # at 0: of pixels 0 to 3, across two samples; at 1: within one
    ratios = []
    for within, across in ((first[..., 2:6:2], first[..., 1:7:2]), (third[..., 1::2], third[..., 0::2])):
        inner, outer = within.square().mean((1, 2, 3)), across.square().mean((1, 2, 3))
        detailed = (inner + outer).topk(max(1, len(inner) // 50)).indices
        ratios.append(float(inner[detailed].mean() / outer[detailed].mean().clamp(min=_CHROMA_DETAIL)))
    if min(ratios) < 0.3 and outer[detailed].mean() > _CHROMA_DETAIL:
        return True
    return False if min(ratios) > 0.5 and inner[detailed].mean() > 2 * _CHROMA_DETAIL else None


def _unclipped_blocks(image: Tensor, offset: tuple[int, int], count: int) -> Tensor:
    """Blocks on the grid without saturated pixels, whose colors were not clipped: ``(N, 3, 8, 8)`` levels."""
    blocks = sampled_windows(image, 8, count, multiple=8, offset=offset)
    return blocks[(blocks.amin((1, 2, 3)) > 0) & (blocks.amax((1, 2, 3)) < 255)]


@cache
def _step_models() -> tuple[Tensor, Tensor]:
    """Level and log-likelihood of the remainder for each magnitude and step: ``(bins, 255)`` each."""
    magnitude = (torch.arange(round(_HIGHEST / _BIN)) + 0.5)[:, None] * _BIN
    step = torch.arange(1, _STEPS + 1).float()
    level = (magnitude / step).round().clamp(min=1)
    remainder = (magnitude - level * step) / _NOISE
    gaussian = torch.exp(-remainder.square() / 2) / (_NOISE * math.sqrt(2 * math.pi))
    likelihood = torch.log((1 - _OUTLIERS) * gaussian + _OUTLIERS / step)
    likelihood[:, 0] = 0  # step 1: the remainder is uniform
    return level, likelihood
