"""The elementary degradations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from restore.interfaces import Degrade, Degraded, Parameters
from restore.sharpening import unsharp_mask
from restore_degradations import coding, kernels, noise
from restore_degradations.draws import Draws
from restore_degradations.filtering import filtered
from restore_degradations.options import (
    BlurOptions,
    ElementOptions,
    JpegOptions,
    NoiseOptions,
    QuantizeOptions,
    ResizeOptions,
    SharpenOptions,
    SincOptions,
    WebpOptions,
)
from restore_degradations.resampling import METHODS, reach, resized

__all__ = [
    "PerImage",
    "blur_kernel",
    "build_blur",
    "build_jpeg",
    "build_noise",
    "build_quantize",
    "build_resize",
    "build_sharpen",
    "build_sinc",
    "build_webp",
    "each",
    "kernel_side",
    "margin_blur",
    "margin_jpeg",
    "margin_resize",
    "margin_sharpen",
    "margin_sinc",
    "margin_webp",
    "no_margin",
    "noisy",
    "protocol",
]

PerImage = Callable[[Tensor, Draws], tuple[Tensor, dict[str, float | str]]]
"""One image ``(3, H, W)`` and random draws -> the degraded image and what was drawn."""

_SINC_SIDE = 21
_MACROBLOCK = 16  # pixels of a JPEG's unit with subsampled chroma
_LARGEST_BLUR = 4.0  # radius of a kernel in standard deviations


def each(degrade: PerImage, probability: float = 1.0) -> Degrade:
    """Degrade the images of a batch one by one, each with its own draws."""

    def run(target: Tensor, generator: torch.Generator) -> Degraded:
        draws, images, parameters = Draws(generator), [], list[Parameters]()
        for image in target:
            changed, drawn = degrade(image, draws) if draws.chance(probability) else (image, {})
            images.append(changed)
            parameters.append(drawn)
        return Degraded(torch.stack(images), tuple(parameters))

    return run


def build_blur(scale: int, options: BlurOptions) -> Degrade:  # noqa: ARG001 - it keeps the size
    """Blur by a kernel that is drawn for each image."""
    kinds = ("gaussian", "generalized", "plateau", "disk", "line")

    def run(image: Tensor, draws: Draws) -> tuple[Tensor, dict[str, float | str]]:
        kind = draws.choice(kinds) if options.kind == "any" else options.kind
        sigma, ratio, beta = (draws.uniform(span) for span in (options.sigma, options.ratio, options.beta))
        angle = draws.uniform((0.0, math.pi))
        kernel = blur_kernel(kind, sigma, ratio, angle, beta)
        drawn: dict[str, float | str] = {"kind": kind, "blur": sigma, "ratio": ratio, "angle": angle}
        return filtered(image, kernel), drawn | ({"beta": beta} if kind in kinds[1:3] else {})

    return each(run, options.probability)


def blur_kernel(kind: str, sigma: float, ratio: float, angle: float, beta: float) -> Tensor:
    """The kernel of one kind; see `BlurOptions` for its arguments."""
    if kind == "disk":
        return kernels.disk(sigma)
    if kind == "line":
        return kernels.line(max(2 * sigma, 1.0), angle)
    side = kernel_side(sigma)
    if kind == "generalized":
        return kernels.generalized_gaussian(side, sigma, sigma * ratio, angle, beta)
    if kind == "plateau":
        return kernels.plateau(side, sigma, sigma * ratio, angle, beta)
    return kernels.gaussian(side, sigma, sigma * ratio, angle)


def kernel_side(sigma: float) -> int:
    """Side of a kernel that reaches four deviations."""
    return 2 * max(1, math.ceil(_LARGEST_BLUR * sigma)) + 1


def margin_blur(scale: int, options: BlurOptions) -> int:  # noqa: ARG001 - it keeps the size
    """Return half of the largest kernel."""
    return kernel_side(options.sigma[1]) // 2


def build_resize(scale: int, options: ResizeOptions) -> Degrade:
    """Resize to an intermediate size, then to the final one."""

    def run(image: Tensor, draws: Draws) -> tuple[Tensor, dict[str, float | str]]:
        height, width = image.shape[-2:]
        factor = draws.uniform(options.factor)
        methods = [draws.choice(METHODS) if options.method == "any" else options.method for _ in range(2)]
        drawn: dict[str, float | str] = {"method": methods[1]}
        if factor != 1:
            size = (max(1, round(height * factor)), max(1, round(width * factor)))
            image = resized(image, size, methods[0], antialias=options.antialias)
            drawn |= {"factor": factor, "first_method": methods[0]}
        final = (height // scale, width // scale)
        return resized(image, final, methods[1], antialias=options.antialias).clamp(0, 1), drawn

    return each(run, options.probability if scale == 1 else 1.0)


def margin_resize(scale: int, options: ResizeOptions) -> int:
    """Return the reach of the longest filter of both steps, in pixels of the target."""
    method = "lanczos" if options.method == "any" else options.method
    low, high = options.factor
    if low == high == 1:
        return reach(scale, method)
    first = reach(1 / min(low, 1.0), method)
    return first + math.ceil(reach(scale * max(high, 1.0), method) / min(low, 1.0))


def build_noise(scale: int, options: NoiseOptions) -> Degrade:  # noqa: ARG001 - it keeps the size
    """Add noise of a strength that is drawn for each image."""

    def run(image: Tensor, draws: Draws) -> tuple[Tensor, dict[str, float | str]]:
        kind = draws.choice(("gaussian", "poisson", "camera")) if options.kind == "any" else options.kind
        sigma, gray = draws.uniform(options.sigma), draws.chance(options.gray)
        drawn: dict[str, float | str] = {"kind": kind, "sigma": sigma}
        return noisy(image, kind, sigma, draws, gray=gray).clamp(0, 1), drawn | {"gray": float(gray)}

    return each(run, options.probability)


def noisy(image: Tensor, kind: str, sigma: float, draws: Draws, *, gray: bool = False) -> Tensor:
    """Add noise that has the deviation `sigma`, in levels of 255, on a gray of one half.

    The kind ``camera`` is never gray, and splits its variance there evenly into shot and read noise.
    """
    if sigma == 0:
        return image
    if kind == "poisson":
        return noise.poisson(image, 0.5 / (sigma / 255) ** 2, draws, gray=gray)
    if kind == "camera":
        half = torch.tensor(0.5, dtype=torch.float64)
        linear = float(noise.to_linear(half))
        slope = 1.055 / 2.4 * linear ** (1 / 2.4 - 1)  # of the tone curve at a gray of one half
        variance = (sigma / 255 / slope) ** 2 / 2
        return noise.camera(image, variance / linear, math.sqrt(variance), draws)
    return noise.gaussian(image, sigma, draws, gray=gray)


def build_jpeg(scale: int, options: JpegOptions) -> Degrade:  # noqa: ARG001 - it keeps the size
    """Compress as JPEG, once or several times."""

    def run(image: Tensor, draws: Draws) -> tuple[Tensor, dict[str, float | str]]:
        drawn: dict[str, float | str] = {}
        for _ in range(draws.whole(options.rounds)):
            quality = draws.whole(options.quality)
            subsampling = _subsampling(options.subsampling, draws)
            grid = (draws.integer(_MACROBLOCK), draws.integer(_MACROBLOCK))
            grid = grid if options.grid == "random" else (0, 0)
            image = coding.jpeg(image, quality, subsampling, grid)
            drawn = {"quality": float(quality), "subsampling": subsampling}  # the last round shows
        return image, drawn

    return each(run, options.probability)


def _subsampling(wanted: coding.Subsampling | Literal["any"], draws: Draws) -> coding.Subsampling:
    """Draw a chroma subsampling, most often 4:2:0, which is common for cameras and web sites."""
    return draws.choice(coding.SUBSAMPLINGS, (0.25, 0.1, 0.65)) if wanted == "any" else wanted


def margin_jpeg(scale: int, options: JpegOptions) -> int:  # noqa: ARG001 - it keeps the size
    """Return the size of a block plus the reach of the chroma upsampling, for each round."""
    rounds = round(options.rounds[1])
    return rounds * (8 if options.subsampling == "4:4:4" else _MACROBLOCK + 2)


def build_webp(scale: int, options: WebpOptions) -> Degrade:  # noqa: ARG001 - it keeps the size
    """Compress as lossy WebP."""

    def run(image: Tensor, draws: Draws) -> tuple[Tensor, dict[str, float | str]]:
        quality = draws.whole(options.quality)
        return coding.webp(image, quality), {"quality": float(quality)}

    return each(run, options.probability)


def margin_webp(scale: int, options: WebpOptions) -> int:  # noqa: ARG001 - it keeps the size
    """One macroblock: prediction reaches farther, but a patch is compressed as a picture of its own."""
    return _MACROBLOCK


def build_sinc(scale: int, options: SincOptions) -> Degrade:  # noqa: ARG001 - it keeps the size
    """Cut off high frequencies sharply, which leaves ringing."""

    def run(image: Tensor, draws: Draws) -> tuple[Tensor, dict[str, float | str]]:
        cutoff = draws.uniform(options.cutoff)
        return filtered(image, kernels.sinc(_SINC_SIDE, cutoff)).clamp(0, 1), {"cutoff": cutoff}

    return each(run, options.probability)


def margin_sinc(scale: int, options: SincOptions) -> int:  # noqa: ARG001 - it keeps the size
    """Return half of the kernel."""
    return _SINC_SIDE // 2


def build_sharpen(scale: int, options: SharpenOptions) -> Degrade:  # noqa: ARG001 - it keeps the size
    """Sharpen by an unsharp mask: add a fraction of the difference from the blurred image."""

    def run(image: Tensor, draws: Draws) -> tuple[Tensor, dict[str, float | str]]:
        amount, sigma = draws.uniform(options.amount), draws.uniform(options.sigma)
        kernel = kernels.gaussian(kernel_side(sigma), sigma)
        sharp = unsharp_mask(image, lambda image: filtered(image, kernel), amount, options.threshold)
        return sharp, {"amount": amount, "blur": sigma}

    return each(run, options.probability)


def margin_sharpen(scale: int, options: SharpenOptions) -> int:  # noqa: ARG001 - it keeps the size
    """Half of the largest kernel, twice with a threshold, whose mask is blurred too."""
    return kernel_side(options.sigma[1]) // 2 * (2 if options.threshold else 1)


def build_quantize(scale: int, options: QuantizeOptions) -> Degrade:  # noqa: ARG001 - it keeps the size
    """Round to a number of levels."""

    def run(image: Tensor, draws: Draws) -> tuple[Tensor, dict[str, float | str]]:  # noqa: ARG001
        return coding.quantized(image, options.bits), {"bits": float(options.bits)}

    return each(run, options.probability)


def no_margin(scale: int, options: ElementOptions) -> int:  # noqa: ARG001 - the signature of a margin
    """Return 0: each pixel is changed independently."""
    return 0


def protocol(scale: int, options: ElementOptions) -> str:
    """The scale and all options."""
    values = options.model_dump(mode="json")
    listed = ", ".join(f"{name} {value}" for name, value in values.items())
    return listed if scale == 1 else f"1/{scale}, {listed}"
