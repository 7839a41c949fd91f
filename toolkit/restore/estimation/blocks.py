"""Square windows sampled from a picture, and their discrete cosine transform."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

__all__ = ["dct", "dct_matrix", "luma", "sampled_windows"]

_LUMA = (0.299, 0.587, 0.114)


def sampled_windows(
    image: Tensor, size: int, count: int, *, multiple: int = 1, offset: tuple[int, int] = (0, 0)
) -> Tensor:
    """Cut about `count` windows out of `image`, evenly spread, always at the same places.

    Only the pixels of the windows are converted to floating point, so that the cost does not grow with the
    picture.

    Args:
        image: ``(C, H, W)``, float in [0, 1] or uint8 levels.
        size: height and width of a window in pixels.
        count: the number of windows that the spacing aims at; smaller pictures give fewer.
        multiple: windows lie a multiple of this many pixels apart.
        offset: row and column of the first window.

    Returns:
        ``(N, C, size, size)`` float32 levels from 0 to 255; N is 0 if the picture is smaller than a window.

    >>> sampled_windows(torch.zeros(3, 64, 64), 8, 16, multiple=16).shape
    torch.Size([16, 3, 8, 8])
    """
    channels = image.shape[0]
    image = image[:, offset[0] :, offset[1] :]
    height, width = image.shape[-2:]
    if height < size or width < size:
        return torch.zeros(0, channels, size, size)
    room = (height - size + 1) * (width - size + 1)
    step = max(1, round(math.sqrt(room / count) / multiple)) * multiple
    cut = image.unfold(1, size, step).unfold(2, size, step)  # (C, rows, columns, size, size)
    windows = cut.permute(1, 2, 0, 3, 4).reshape(-1, channels, size, size)
    return windows.float() if windows.dtype == torch.uint8 else windows.float() * 255


def luma(levels: Tensor) -> Tensor:
    """Luma of ITU-R BT.601, as JPEG has it: ``(N, 3, H, W)`` to ``(N, H, W)``."""
    return torch.einsum("nchw,c->nhw", levels, levels.new_tensor(_LUMA))


@cache
def dct_matrix(size: int = 8) -> Tensor:
    """The orthonormal DCT-II as a matrix: ``(size, size)``, one frequency a row.

    >>> matrix = dct_matrix(8)
    >>> bool(torch.allclose(matrix @ matrix.T, torch.eye(8), atol=1e-6))
    True
    """
    place = torch.arange(size, dtype=torch.float64)
    matrix = torch.cos(math.pi / size * (place + 0.5) * place[:, None]) * math.sqrt(2 / size)
    matrix[0] /= math.sqrt(2)
    return matrix.float()


def dct(blocks: Tensor) -> Tensor:
    """Two-dimensional orthonormal DCT-II of square blocks: ``(..., n, n)`` to ``(..., n, n)``."""
    matrix = dct_matrix(blocks.shape[-1])
    # One product of large matrices is faster than two of many small ones.
    return (blocks.flatten(-2) @ torch.kron(matrix, matrix).T).reshape(blocks.shape)
