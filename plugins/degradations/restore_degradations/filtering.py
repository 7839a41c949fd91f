"""Applying a kernel to an image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["filtered"]

_DIRECT = 7  # up to this side a direct convolution is faster than one in the frequency domain


def filtered(image: Tensor, kernel: Tensor) -> Tensor:
    """Convolve `image` with `kernel`, with reflection padding at the edge pixels.

    Args:
        image: ``(C, H, W)``.
        kernel: ``(k, k)``, k odd.

    Returns:
        ``(C, H, W)`` of the type of the image.
    """
    reach = kernel.shape[-1] // 2
    if reach == 0:
        return image * kernel[0, 0].to(image)
    padded = _mirrored(image, reach)
    if kernel.shape[-1] <= _DIRECT:
        weights = kernel.flip(0, 1).to(image)[None, None]  # PyTorch's convolution is a correlation
        direct: Tensor = F.conv2d(padded[:, None], weights)
        return direct[:, 0]
    size = [_fast(side) for side in padded.shape[-2:]]
    spectrum = torch.fft.rfft2(padded, s=size) * torch.fft.rfft2(kernel.to(image), s=size)
    whole: Tensor = torch.fft.irfft2(spectrum, s=size)
    height, width = image.shape[-2:]
    return whole[:, 2 * reach : 2 * reach + height, 2 * reach : 2 * reach + width].contiguous()


def _mirrored(image: Tensor, reach: int) -> Tensor:
    """Mirror the image at its edges, as often as it takes for images that are smaller than `reach`."""
    while reach > 0:
        step = min(reach, *(side - 1 for side in image.shape[-2:]))
        if step < 1:
            return F.pad(image[None], [reach] * 4, mode="replicate")[0]
        image = F.pad(image[None], [step] * 4, mode="reflect")[0]
        reach -= step
    return image


def _fast(length: int) -> int:
    """Return the next length without a prime factor above 5, for which FFTs are fast."""
    while True:
        rest = length
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return length
        length += 1
