"""Whole degradations of papers and of everyday life."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from restore.interfaces import Degrade, Options
from restore_degradations import coding, kernels, noise
from restore_degradations.draws import Draws
from restore_degradations.elements import each, kernel_side, noisy
from restore_degradations.filtering import filtered
from restore_degradations.options import Interval, PhotoOptions, RealEsrganOptions
from restore_degradations.resampling import Method, resized

__all__ = [
    "build_bsrgan",
    "build_photo",
    "build_realesrgan",
    "margin_bsrgan",
    "margin_photo",
    "margin_realesrgan",
]

Drawn = dict[str, float | str]


# --- photo: what phones and web sites do ----------------------------------------------------------------


_FILTERS: tuple[Method, ...] = ("bicubic", "area", "lanczos")


def build_photo(scale: int, options: PhotoOptions) -> Degrade:
    """A lens, downscaling, a sensor, and one or two JPEG compressions.

    In this order: mild blur (7 of 10 images); downscaling by an antialiased filter; noise of a sensor or
    normal noise (7 of 10); JPEG (9 of 10), most often with chroma of half the resolution; a second JPEG on
    another grid, as of a web site that compresses again (1 of 4 of these). Some images are only downscaled.
    """

    def run(image: Tensor, draws: Draws) -> tuple[Tensor, Drawn]:
        drawn: Drawn = {}
        size = (image.shape[-2] // scale, image.shape[-1] // scale)
        if draws.chance(options.clean):
            return coding.quantized(resized(image, size, "bicubic")), drawn
        if draws.chance(0.7) and (blur := draws.uniform(options.blur) * scale) > 0.1:
            image = filtered(image, kernels.gaussian(kernel_side(blur), blur))
            drawn["blur"] = blur / scale
        method = draws.choice(_FILTERS, (0.6, 0.2, 0.2))
        image = resized(image, size, method).clamp(0, 1)
        if draws.chance(0.7):
            kind, sigma = draws.choice(("camera", "gaussian")), draws.uniform(options.noise)
            image = noisy(image, kind, sigma, draws).clamp(0, 1)
            drawn["sigma"] = sigma
        if draws.chance(0.9):
            for _ in range(2 if draws.chance(0.25) else 1):
                quality = draws.whole(options.quality)
                subsampling = draws.choice(coding.SUBSAMPLINGS, (0.25, 0.1, 0.65))
                image = coding.jpeg(image, quality, subsampling, (draws.integer(16), draws.integer(16)))
                drawn["quality"] = float(quality)
        return coding.quantized(image), drawn

    return each(run)


def margin_photo(scale: int, options: PhotoOptions) -> int:
    """Blur and downscaling; a block of the compression more would cost half of the speed."""
    return kernel_side(options.blur[1] * scale) // 2 + 4 * scale + 8 * scale


# --- BSRGAN ---------------------------------------------------------------------------------------------


def build_bsrgan(scale: int, options: Options) -> Degrade:  # noqa: ARG001 - it has none
    """Shuffled blurs, downscaling, noise and compression (Zhang et al. 2021, arXiv 2103.14006, section 3).

    Two blurs, isotropic (deviation 0.1 to 2.8) and anisotropic (eigenvalues of the covariance 0.5 to 8; at
    scale 2 up to 2.4 and 6); downscaling in one step, or at random in two; normal noise of independent or
    equal channels (deviations 1 to 25); JPEG of quality 30 to 95 (3 of 4 images); sensor noise (1 of 4); in
    random order. A last JPEG always comes at the end. Two parts differ from the paper: a camera model with
    shot and read noise takes the place of its learned processing of raw images, and no noise is correlated
    between channels.
    """

    def run(image: Tensor, draws: Draws) -> tuple[Tensor, Drawn]:
        size = (image.shape[-2] // scale, image.shape[-1] // scale)
        drawn: Drawn = {}
        middle = draws.uniform((1.0, float(scale)))  # the factor of the first of two downscaling steps

        def isotropic(image: Tensor) -> Tensor:
            sigma = draws.uniform((0.1, 2.4 if scale < 4 else 2.8))
            return filtered(image, kernels.gaussian(kernel_side(sigma), sigma))

        def anisotropic(image: Tensor) -> Tensor:
            # The ranges are of the eigenvalues of the covariance, as in the authors' code.
            long, short = (math.sqrt(draws.uniform((0.5, 6.0 if scale < 4 else 8.0))) for _ in range(2))
            side, angle = 2 * draws.integer(8) + 7, draws.uniform((0.0, math.pi))
            return filtered(image, kernels.gaussian(side, long, short, angle))

        def reduce_first(image: Tensor) -> Tensor:
            if scale == 1 or draws.chance(0.75):
                return image
            height, width = (max(1, round(side / middle)) for side in image.shape[-2:])
            return resized(image, (height, width), draws.choice(("bilinear", "bicubic", "area"))).clamp(0, 1)

        def reduce(image: Tensor) -> Tensor:
            return resized(image, size, draws.choice(("bilinear", "bicubic", "area"))).clamp(0, 1)

        def add_noise(image: Tensor) -> Tensor:
            sigma = drawn["sigma"] = draws.uniform((1.0, 25.0))
            return noise.gaussian(image, sigma, draws, gray=draws.chance(0.4)).clamp(0, 1)

        def compress(image: Tensor) -> Tensor:
            return _jpeg(image, (30, 95), draws, drawn) if draws.chance(0.75) else image

        def sense(image: Tensor) -> Tensor:
            sigma = draws.uniform((2.0, 15.0))
            return noisy(image, "camera", sigma, draws) if draws.chance(0.25) else image

        steps = [isotropic, anisotropic, reduce_first, reduce, add_noise, compress, sense]
        order = [draws.share() for _ in steps]
        ranked = sorted(range(len(steps)), key=order.__getitem__)
        first, second = sorted((ranked.index(2), ranked.index(3)))
        ranked[first], ranked[second] = 2, 3  # downscaling to the final size comes second
        for index in ranked:
            image = steps[index](image)
        return _jpeg(image, (30, 95), draws, drawn), drawn

    return each(run)


def margin_bsrgan(scale: int, options: Options) -> int:  # noqa: ARG001 - it has none
    """Both blurs, if they come after the downscaling."""
    return scale * (12 + 11)


# --- Real-ESRGAN ----------------------------------------------------------------------------------------


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
        image = _jpeg(image, _FIRST.quality, draws, drawn)
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
            return _jpeg(finish(image), _SECOND.quality, draws, drawn), drawn
        image = _jpeg(image, _SECOND.quality, draws, drawn)
        return coding.quantized(finish(image)), drawn

    return each(run)


def margin_realesrgan(scale: int, options: RealEsrganOptions) -> int:
    """The kernels of all steps, the later ones at the final resolution."""
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
    """By a random factor, relative to `size`."""
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


def _jpeg(image: Tensor, quality: Interval, draws: Draws, drawn: Drawn) -> Tensor:
    chosen = draws.whole(quality)
    drawn["quality"] = float(chosen)
    return coding.jpeg(image, chosen, "4:2:0", (draws.integer(16), draws.integer(16)))
