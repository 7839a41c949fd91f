"""PSNR, SSIM and the degradations of the literature, as entries."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from restore.degradation import bicubic
from restore.interfaces import Degrade, Degraded, Metric, Options
from restore.levels import to_levels
from restore.metrics import luma, psnr, shave, ssim
from restore.resizing import quantize
from restore_baselines.niqe import niqe
from restore_baselines.options import BicubicDegradationOptions, FidelityOptions

__all__ = [
    "build_degradation",
    "build_lanczos",
    "build_niqe",
    "build_psnr",
    "build_ssim",
    "degradation_protocol",
    "fidelity_protocol",
    "lanczos_protocol",
]


def build_psnr(scale: int, options: FidelityOptions) -> Metric:
    """PSNR in dB by the protocol of the super-resolution or of the denoising literature."""
    return _fidelity(psnr, scale, options)


def build_ssim(scale: int, options: FidelityOptions) -> Metric:
    """SSIM by the protocol of the super-resolution literature, or the mean of that of the color channels."""
    return _fidelity(ssim, scale, options)


def fidelity_protocol(scale: int, options: FidelityOptions) -> str:
    """The protocol of PSNR and SSIM."""
    luma_of_file = "BT.601 luma 16-235 rounded to 8 bits (a gray file is its own)"
    values = luma_of_file if options.channels == "luma" else "RGB"
    return f"8-bit result, {values}, {options.shaved(scale)} px shaved"


def build_niqe(scale: int, options: Options) -> Metric:  # noqa: ARG001
    """NIQE of the restored image alone."""

    def metric(restored: Tensor, target: Tensor, *, gray: bool) -> float:  # noqa: ARG001 - see the spec
        return niqe(restored, gray=gray)

    return metric


def niqe_protocol(scale: int, options: Options) -> str:  # noqa: ARG001
    """Which of the variants of NIQE."""
    return "authors' release (pristine parameters, blocks of 96), 8-bit result, luma 16-235, whole image"


def build_degradation(scale: int, options: BicubicDegradationOptions) -> Degrade:
    """MATLAB's `imresize` by 1/scale."""

    def degrade(target: Tensor, generator: torch.Generator) -> Degraded:  # noqa: ARG001 - nothing is drawn
        return Degraded(bicubic(target, scale, release=options.release), ({},) * len(target))

    return degrade


def degradation_protocol(scale: int, options: BicubicDegradationOptions) -> str:
    """The release of MATLAB, and the scale."""
    return f"MATLAB bicubic 1/{scale}, {options.release} release"


def build_lanczos(scale: int, options: Options) -> Degrade:  # noqa: ARG001
    """Pillow's Lanczos filter on 8-bit images, which it called ANTIALIAS before version 10."""

    def degrade(target: Tensor, generator: torch.Generator) -> Degraded:  # noqa: ARG001 - nothing is drawn
        size = (target.shape[-1] // scale, target.shape[-2] // scale)
        levels = to_levels(quantize(target)).cpu()
        reduced = [
            np.asarray(Image.fromarray(image.permute(1, 2, 0).numpy()).resize(size, Image.Resampling.LANCZOS))
            for image in levels
        ]
        result = torch.from_numpy(np.stack(reduced)).permute(0, 3, 1, 2)
        return Degraded(result.to(target) / 255, ({},) * len(target))

    return degrade


def degradation_margin(scale: int, options: Options) -> int:  # noqa: ARG001 - all filters are as long or shorter
    """Of a filter that reaches four pixels of the result."""
    return 4 * scale


def lanczos_protocol(scale: int, options: Options) -> str:  # noqa: ARG001
    """The filter, and the scale."""
    return f"Pillow Lanczos 1/{scale}, 8 bits"


def _fidelity(measure: Callable[..., float], scale: int, options: FidelityOptions) -> Metric:
    border = options.shaved(scale)

    def metric(restored: Tensor, target: Tensor, *, gray: bool) -> float:
        if options.channels == "luma":
            planes = [luma(image, gray=gray) for image in (restored, target)]
        else:
            planes = [quantize(image.double()) * 255 for image in (restored, target)]
        return measure(*(shave(plane, border) for plane in planes), data_range=255.0)

    return metric
