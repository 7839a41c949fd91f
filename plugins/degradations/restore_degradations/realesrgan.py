"""The degradation of Real-ESRGAN: blur, resizing, noise and compression, twice."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from restore.interfaces import Degrade
from restore_degradations import coding, kernels, noise
from restore_degradations.draws import Draws
from restore_degradations.elements import each
from restore_degradations.filtering import filtered
from restore_degradations.options import Interval, RealEsrganOptions

__all__ = ["build_realesrgan", "margin_realesrgan"]

Drawn = dict[str, float | str]


@dataclass(frozen=True)
class _Order:
    """Values of one of the two degradations; those of the authors' published configuration."""

    blur: float
    sigma: Interval
    resize: tuple[float, float, float]
    """Probabilities of enlarging, shrinking and keeping the size."""
    factor: Interval
    noise: Interval
    poisson: Interval
    quality: Interval = (30, 95)


_FIRST = _Order(1.0, (0.2, 3.0), (0.2, 0.7, 0.1), (0.15, 1.5), (1, 30), (0.05, 3.0))
_SECOND = _Order(0.8, (0.2, 1.5), (0.3, 0.4, 0.3), (0.3, 1.2), (1, 25), (0.05, 2.5))
_KINDS: tuple[tuple[str, bool], ...] = (
    ("gaussian", True),
    ("gaussian", False),
    ("generalized", True),
    ("generalized", False),
    ("plateau", True),
    ("plateau", False),
)
"""Kernels, and whether they are isotropic."""
_KIND_WEIGHTS = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
_FAST_METHODS = ("area", "bilinear", "bicubic")


def build_realesrgan(scale: int, options: RealEsrganOptions) -> Degrade:
    """Blur, resizing, noise and JPEG, twice, with ringing (Wang et al. 2021, arXiv 2107.10833, section 3).

    All ranges are those of the authors' configuration of Real-ESRGAN x4plus (section 4.1 and appendix). As
    there, resizing is by PyTorch's interpolation without antialiasing, and a last sinc filter comes before
    or after the last JPEG.
    """

    def run(image: Tensor, draws: Draws) -> tuple[Tensor, Drawn]:
        drawn: Drawn = {}
        size = (image.shape[-2] // scale, image.shape[-1] // scale)
        whole = (image.shape[-2], image.shape[-1])
        image = _noise(_resize(_blur(image, _FIRST, draws), whole, _FIRST, draws), _FIRST, draws, drawn)
        image = coding.random_jpeg(image, _FIRST.quality, draws, drawn)
        if options.order == 2:
            image = _blur(image, _SECOND, draws)
            image = _noise(_resize(image, size, _SECOND, draws), _SECOND, draws, drawn)
        ring = (
            kernels.sinc(_side(draws), draws.uniform((math.pi / 3, math.pi))) if draws.chance(0.8) else None
        )

        def finish(image: Tensor) -> Tensor:
            image = _interpolated(image, size, draws.choice(_FAST_METHODS))
            return image.clamp(0, 1) if ring is None else filtered(image, ring).clamp(0, 1)

        if draws.chance(0.5):
            return coding.random_jpeg(finish(image), _SECOND.quality, draws, drawn), drawn
        image = coding.random_jpeg(image, _SECOND.quality, draws, drawn)
        return coding.quantized(finish(image)), drawn

    return each(run)


def margin_realesrgan(scale: int, options: RealEsrganOptions) -> int:
    """Return the reach of the kernels of all steps, the later ones at the final resolution."""
    return 10 + scale * (10 if options.order == 1 else 20)


def _side(draws: Draws) -> int:
    return 7 + 2 * draws.integer(8)  # 7 to 21


def _blur(image: Tensor, order: _Order, draws: Draws) -> Tensor:
    if not draws.chance(order.blur):
        return image
    side = _side(draws)
    if draws.chance(0.1):
        cutoff = draws.uniform((math.pi / 3 if side < 13 else math.pi / 5, math.pi))
        return filtered(image, kernels.sinc(side, cutoff))
    kind, isotropic = draws.choice(_KINDS, _KIND_WEIGHTS)
    sigma = draws.uniform(order.sigma)
    other = sigma if isotropic else draws.uniform(order.sigma)
    angle = 0.0 if isotropic else draws.uniform((-math.pi, math.pi))
    return filtered(image, _kernel(kind, side, sigma, other, angle, draws))


def _kernel(kind: str, side: int, sigma: float, other: float, angle: float, draws: Draws) -> Tensor:
    if kind == "gaussian":
        return kernels.gaussian(side, sigma, other, angle)
    most = {"generalized": 4.0, "plateau": 2.0}[kind]
    least = {"generalized": 0.5, "plateau": 1.0}[kind]
    # Half of the exponents lie below 1, as in the authors' code.
    beta = draws.uniform((least, 1.0)) if draws.chance(0.5) else draws.uniform((1.0, most))
    shape: Callable[..., Tensor] = {
        "generalized": kernels.generalized_gaussian,
        "plateau": kernels.plateau,
    }[kind]
    return shape(side, sigma, other, angle, beta)


def _resize(image: Tensor, size: tuple[int, int], order: _Order, draws: Draws) -> Tensor:
    """Resize by a random factor, relative to `size`."""
    direction = draws.choice(("up", "down", "keep"), order.resize)
    factor = {
        "up": draws.uniform((1.0, order.factor[1])),
        "down": draws.uniform((order.factor[0], 1.0)),
        "keep": 1.0,
    }[direction]
    height, width = (max(1, int(side * factor)) for side in size)
    return _interpolated(image, (height, width), draws.choice(_FAST_METHODS))


def _interpolated(image: Tensor, size: tuple[int, int], method: str) -> Tensor:
    if tuple(image.shape[-2:]) == size:
        return image
    align = None if method == "area" else False
    return F.interpolate(image[None], size=size, mode=method, align_corners=align)[0]


def _noise(image: Tensor, order: _Order, draws: Draws, drawn: Drawn) -> Tensor:
    gray = draws.chance(0.4)
    if draws.chance(0.5):
        sigma = drawn["sigma"] = draws.uniform(order.noise)
        return noise.gaussian(image, sigma, draws, gray=gray).clamp(0, 1)
    # The authors scale the noise of as many photons as the image has levels, rounded up to a power of 2.
    strength = draws.uniform(order.poisson)
    used = len(np.unique(coding.levels(image))) if not gray else 256
    photons = 2.0 ** math.ceil(math.log2(max(used, 2)))
    counted = noise.poisson(image, photons, draws, gray=gray)
    return (image + strength * (counted - image)).clamp(0, 1)
