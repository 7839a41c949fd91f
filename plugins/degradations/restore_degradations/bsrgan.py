"""The degradation of BSRGAN: blurs, downscaling, noise and compression in random order."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from restore.interfaces import Degrade, Options
from restore_degradations import coding, kernels, noise
from restore_degradations.draws import Draws
from restore_degradations.elements import each, kernel_side, noisy
from restore_degradations.filtering import filtered
from restore_degradations.resampling import Method, resized

__all__ = ["build_bsrgan", "margin_bsrgan"]

_METHODS: tuple[Method, ...] = ("bilinear", "bicubic", "area")
_QUALITY = (30, 95)


def build_bsrgan(scale: int, options: Options) -> Degrade:  # noqa: ARG001 - it has none
    """Shuffled blurs, downscaling, noise and compression (Zhang et al. 2021, arXiv 2103.14006, section 3).

    Two blurs, isotropic (deviation 0.1 to 2.8) and anisotropic (eigenvalues of the covariance 0.5 to 8; at
    scale 2 up to 2.4 and 6); downscaling in one step, or at random in two; normal noise of independent or
    equal channels (deviations 1 to 25); JPEG of quality 30 to 95 (3 of 4 images); sensor noise (1 of 4); in
    random order. A last JPEG always comes at the end. Two parts differ from the paper: a camera model with
    shot and read noise takes the place of its learned processing of raw images, and no noise is correlated
    between channels.
    """

    def run(image: Tensor, draws: Draws) -> tuple[Tensor, dict[str, float | str]]:
        recipe = _Recipe(image, scale, draws)
        for step in recipe.order():
            image = step(image)
        return coding.random_jpeg(image, _QUALITY, draws, recipe.drawn), recipe.drawn

    return each(run)


class _Recipe:
    """The steps for one image, which draw their parameters when they are called."""

    def __init__(self, image: Tensor, scale: int, draws: Draws) -> None:
        self.drawn: dict[str, float | str] = {}
        self._scale, self._draws = scale, draws
        self._size = (image.shape[-2] // scale, image.shape[-1] // scale)
        self._middle = draws.uniform((1.0, float(scale)))  # the factor of the first of two downscaling steps

    def order(self) -> list[Callable[[Tensor], Tensor]]:
        """All steps in random order, except that downscaling to the final size comes second."""
        steps = [
            self._isotropic,
            self._anisotropic,
            self._downscale_first,
            self._downscale,
            self._add_noise,
            self._compress,
            self._sense,
        ]
        shares = [self._draws.share() for _ in steps]
        ranked = sorted(range(len(steps)), key=shares.__getitem__)
        first, second = sorted((ranked.index(2), ranked.index(3)))
        ranked[first], ranked[second] = 2, 3
        return [steps[index] for index in ranked]

    def _isotropic(self, image: Tensor) -> Tensor:
        sigma = self._draws.uniform((0.1, 2.4 if self._scale < 4 else 2.8))
        return filtered(image, kernels.gaussian(kernel_side(sigma), sigma))

    def _anisotropic(self, image: Tensor) -> Tensor:
        # The ranges are of the eigenvalues of the covariance, as in the authors' code.
        widest = 6.0 if self._scale < 4 else 8.0
        long, short = (math.sqrt(self._draws.uniform((0.5, widest))) for _ in range(2))
        side, angle = 2 * self._draws.integer(8) + 7, self._draws.uniform((0.0, math.pi))
        return filtered(image, kernels.gaussian(side, long, short, angle))

    def _downscale_first(self, image: Tensor) -> Tensor:
        if self._scale == 1 or self._draws.chance(0.75):
            return image
        height, width = (max(1, round(side / self._middle)) for side in image.shape[-2:])
        return resized(image, (height, width), self._draws.choice(_METHODS)).clamp(0, 1)

    def _downscale(self, image: Tensor) -> Tensor:
        return resized(image, self._size, self._draws.choice(_METHODS)).clamp(0, 1)

    def _add_noise(self, image: Tensor) -> Tensor:
        sigma = self.drawn["sigma"] = self._draws.uniform((1.0, 25.0))
        return noise.gaussian(image, sigma, self._draws, gray=self._draws.chance(0.4)).clamp(0, 1)

    def _compress(self, image: Tensor) -> Tensor:
        if not self._draws.chance(0.75):
            return image
        return coding.random_jpeg(image, _QUALITY, self._draws, self.drawn)

    def _sense(self, image: Tensor) -> Tensor:
        sigma = self._draws.uniform((2.0, 15.0))
        return noisy(image, "camera", sigma, self._draws) if self._draws.chance(0.25) else image


def margin_bsrgan(scale: int, options: Options) -> int:  # noqa: ARG001 - it has none
    """Return the reach of both blurs, if they follow the downscaling."""
    return scale * (12 + 11)
