"""Gaussian, Poisson and camera noise."""

from __future__ import annotations

import torch
from torch import Tensor

from restore_degradations.draws import Draws

__all__ = ["camera", "from_linear", "gaussian", "poisson", "to_linear"]


def gaussian(image: Tensor, sigma: float, draws: Draws, *, gray: bool = False) -> Tensor:
    """Add normal noise.

    Args:
        image: ``(3, H, W)`` in [0, 1].
        sigma: deviation in levels of 255.
        draws: random numbers.
        gray: the same noise in all channels.

    Returns:
        Not clamped.
    """
    return image + sigma / 255 * _normal(image, draws, gray=gray)


def poisson(image: Tensor, photons: float, draws: Draws, *, gray: bool = False) -> Tensor:
    """Replace each value by a count of photons: its variance is the value itself divided by `photons`.

    Args:
        image: ``(3, H, W)`` in [0, 1].
        photons: expected count of a white pixel, above 0.
        draws: random numbers.
        gray: the noise of the mean of the channels, the same in all.

    Returns:
        Not clamped.
    """
    source = image.clamp(0, 1)
    if gray:
        source = source.mean(0, keepdim=True)
    counts = torch.poisson(source.float() * photons, generator=draws.generator)
    return image + (counts / photons - source).to(image)


def camera(image: Tensor, shot: float, read: float, draws: Draws) -> Tensor:
    """Add shot and read noise of a sensor, before the tone curve (Foi et al. 2008; Brooks et al. 2019).

    In linear light its variance is ``shot * value + read^2``. The sRGB curve then makes it strongest in the
    shadows.

    Args:
        image: ``(3, H, W)`` in [0, 1], sRGB.
        shot: variance of a white pixel, in linear light.
        read: deviation of a black pixel, in linear light.
        draws: random numbers.

    Returns:
        In [0, 1]: a sensor clips.
    """
    linear = to_linear(image.clamp(0, 1))
    deviation = (shot * linear + read**2).sqrt()
    return from_linear((linear + deviation * _normal(image, draws, gray=False)).clamp(0, 1))


def to_linear(image: Tensor) -> Tensor:
    """Convert sRGB to linear light (IEC 61966-2-1)."""
    return torch.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)


def from_linear(image: Tensor) -> Tensor:
    """Convert linear light to sRGB."""
    return torch.where(image <= 0.0031308, image * 12.92, 1.055 * image.clamp_min(1e-8) ** (1 / 2.4) - 0.055)


def _normal(image: Tensor, draws: Draws, *, gray: bool) -> Tensor:
    channels = 1 if gray else image.shape[0]
    return draws.normal(channels, *image.shape[-2:]).to(image)
