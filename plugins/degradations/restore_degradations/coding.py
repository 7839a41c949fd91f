"""Compression by the real encoders, and rounding."""

from __future__ import annotations

import io
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image, ImageFile
from torch import Tensor

from restore.levels import to_levels
from restore_degradations.draws import Draws
from restore_degradations.options import Interval

__all__ = ["SUBSAMPLINGS", "Subsampling", "jpeg", "levels", "quantized", "random_jpeg", "webp"]

Subsampling = Literal["4:4:4", "4:2:2", "4:2:0"]
SUBSAMPLINGS: tuple[Subsampling, ...] = get_args(Subsampling)

# Pillow's buffer for an encoded image is too small for detailed ones of high quality otherwise.
ImageFile.MAXBLOCK = max(ImageFile.MAXBLOCK, 2**24)


def jpeg(
    image: Tensor, quality: int, subsampling: Subsampling = "4:2:0", grid: tuple[int, int] = (0, 0)
) -> Tensor:
    """Compress as JPEG, by libjpeg.

    Args:
        image: ``(3, H, W)`` in [0, 1].
        quality: 1 to 100.
        subsampling: of the chroma.
        grid: rows and columns by which the image is shifted on the grid of blocks, less than 16 each. The
            blocks beyond the image are filled by reflection.

    Returns:
        ``(3, H, W)``, multiples of 1/255.
    """
    top, left = grid
    pixels = np.pad(levels(image), ((top, 0), (left, 0), (0, 0)), mode="symmetric")
    return _back(_coded(pixels, "JPEG", quality=quality, subsampling=subsampling)[top:, left:], image)


def random_jpeg(image: Tensor, quality: Interval, draws: Draws, drawn: dict[str, float | str]) -> Tensor:
    """Compress as JPEG of a random quality on a random grid, with chroma of half the resolution.

    Args:
        image: ``(3, H, W)`` in [0, 1].
        quality: the lowest and the highest.
        draws: the random numbers.
        drawn: gets the quality.
    """
    chosen = draws.whole(quality)
    drawn["quality"] = float(chosen)
    return jpeg(image, chosen, "4:2:0", (draws.integer(16), draws.integer(16)))


def webp(image: Tensor, quality: int) -> Tensor:
    """Compress as lossy WebP, by libwebp.

    Args:
        image: ``(3, H, W)`` in [0, 1].
        quality: 1 to 100.

    Returns:
        ``(3, H, W)``, multiples of 1/255.
    """
    return _back(_coded(levels(image), "WEBP", quality=quality, method=2), image)


def quantized(image: Tensor, bits: int = 8) -> Tensor:
    """Round to ``2^bits`` levels."""
    steps = 2**bits - 1
    rounded: Tensor = (image.clamp(0, 1) * steps).round() / steps
    return rounded


def levels(image: Tensor) -> np.ndarray:
    """``(3, H, W)`` in [0, 1] -> ``(H, W, 3)`` uint8, rounded half up."""
    return to_levels(image).permute(1, 2, 0).contiguous().numpy()


def _coded(pixels: np.ndarray, kind: str, **options: object) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return np.asarray(Image.open(buffer).convert("RGB"))


def _back(pixels: np.ndarray, image: Tensor) -> Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).to(image) / 255
