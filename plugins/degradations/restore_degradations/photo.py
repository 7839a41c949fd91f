"""The degradation of photos from phones and web sites."""

from __future__ import annotations

from torch import Tensor

from restore.interfaces import Degrade
from restore_degradations import coding, kernels
from restore_degradations.draws import Draws
from restore_degradations.elements import each, kernel_side, noisy
from restore_degradations.filtering import filtered
from restore_degradations.options import PhotoOptions
from restore_degradations.resampling import Method, resized

__all__ = ["build_photo", "margin_photo"]

_FILTERS: tuple[Method, ...] = ("bicubic", "area", "lanczos")


def build_photo(scale: int, options: PhotoOptions) -> Degrade:
    """A lens, downscaling, a sensor, and one or two JPEG compressions.

    In this order: mild blur (7 of 10 images); downscaling by an antialiased filter; noise of a sensor or
    normal noise (7 of 10); JPEG (9 of 10), most often with chroma of half the resolution; a second JPEG on
    another grid, as of a web site that compresses again (1 of 4 of these). Some images are only downscaled.
    """

    def run(image: Tensor, draws: Draws) -> tuple[Tensor, dict[str, float | str]]:
        drawn: dict[str, float | str] = {}
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
    """Return the reach of blur and downscaling; adding a JPEG block would halve the speed."""
    return kernel_side(options.blur[1] * scale) // 2 + 4 * scale + 8 * scale
