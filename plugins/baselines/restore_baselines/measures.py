"""PSNR, SSIM and the bicubic degradation of `restore`, as entries."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from restore.degradation import bicubic
from restore.interfaces import Degrade, Metric, Options
from restore.metrics import luma, psnr, shave, ssim
from restore_baselines.options import BicubicDegradationOptions

__all__ = ["build_degradation", "build_psnr", "build_ssim", "degradation_protocol", "luma_protocol"]


def build_psnr(scale: int, options: Options) -> Metric:  # noqa: ARG001
    """PSNR in dB by the protocol of the super-resolution literature."""
    return _on_luma(psnr, scale)


def build_ssim(scale: int, options: Options) -> Metric:  # noqa: ARG001
    """SSIM by the protocol of the super-resolution literature."""
    return _on_luma(ssim, scale)


def luma_protocol(scale: int, options: Options) -> str:  # noqa: ARG001
    """What the two have in common."""
    return f"8-bit result, BT.601 luma 16-235 rounded to 8 bits (a gray file is its own), {scale} px shaved"


def build_degradation(scale: int, options: BicubicDegradationOptions) -> Degrade:
    """MATLAB's `imresize` by 1/scale."""

    def degrade(target: Tensor, generator: torch.Generator | None = None) -> Tensor:  # noqa: ARG001
        return bicubic(target, scale, release=options.release)

    return degrade


def degradation_protocol(scale: int, options: BicubicDegradationOptions) -> str:
    """Which MATLAB, and the scale."""
    return f"MATLAB bicubic 1/{scale}, {options.release} release"


def _on_luma(measure: Callable[..., float], scale: int) -> Metric:
    def metric(restored: Tensor, target: Tensor, *, gray: bool) -> float:
        planes = (shave(luma(image, gray=gray), scale) for image in (restored, target))
        return measure(*planes, data_range=255.0)

    return metric
