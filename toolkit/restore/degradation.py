"""The standard degradation of the super-resolution literature: MATLAB's bicubic downscaling."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from restore.resizing import imresize, quantize

__all__ = ["Release", "bicubic", "crop_to_multiple"]

Release = Literal["current", "older"]
"""Of MATLAB: older releases repeat the edge pixels, and round uint8 images after each of the two passes."""


def bicubic(target: Tensor, scale: int, *, release: Release = "current") -> Tensor:
    """Shrink by `scale` as MATLAB's ``imresize(target, 1/scale)`` does with uint8 images.

    Args:
        target: ``(B, C, H, W)`` in [0, 1], H and W multiples of `scale` (`crop_to_multiple`).
        scale: integer >= 1.
        release: which MATLAB.

    Returns:
        ``(B, C, H/scale, W/scale)``, multiples of 1/255 in [0, 1].

    Raises:
        ValueError: H or W is not a multiple of `scale`.

    Example:
        >>> import torch
        >>> bicubic(torch.rand(1, 3, 40, 60), 4).shape
        torch.Size([1, 3, 10, 15])
    """
    height, width = target.shape[-2:]
    if height % scale or width % scale:
        raise ValueError(f"{height}x{width} is not a multiple of the scale {scale}: crop it first")
    size = (height // scale, width // scale)
    if release == "older":
        return imresize(target, size, edges="replicate", round_passes=True)
    return quantize(imresize(target, size))


def crop_to_multiple(image: Tensor, scale: int) -> Tensor:
    """Cut rows at the bottom and columns at the right until H and W are multiples of `scale`.

    Raises:
        ValueError: the image is smaller than `scale` in one direction.

    Example:
        >>> import torch
        >>> crop_to_multiple(torch.rand(1, 3, 41, 63), 4).shape
        torch.Size([1, 3, 40, 60])
    """
    height, width = (side // scale * scale for side in image.shape[-2:])
    if not height or not width:
        raise ValueError(f"{image.shape[-1]}x{image.shape[-2]} pixels are too few for a scale of {scale}")
    return image[..., :height, :width]
