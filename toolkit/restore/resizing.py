"""Bicubic resizing, equal to MATLAB's `imresize`, for any ratio, dtype and device.

Each axis is a matrix product with the interpolation weights: exact at the edges and differentiable. The
matrix of a long axis is nearly all zeros, so it is cut into blocks around its diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

__all__ = ["Edges", "cubic_reach", "enlarge", "imresize", "quantize"]

Edges = Literal["symmetric", "replicate"]

_SMALL = 2**16  # a matrix of up to so many weights, as for a patch, is one block
_BLOCK = 48  # pixels of the coarser grid in a block: shorter ones are many products, longer ones many zeros
_SUPPORT = 2.0  # the cubic kernel is zero from here on, in pixels of the coarser grid


def imresize(
    image: Tensor, size: tuple[int, int], *, edges: Edges = "symmetric", round_passes: bool = False
) -> Tensor:
    """Resize by the cubic kernel with a = -0.5, widened by the ratio when shrinking (antialiased).

    Args:
        image: ``(B, C, H, W)``, float.
        size: height and width of the result, both >= 1.
        edges: what lies outside the image: itself mirrored with the edge repeated (MATLAB today), or its
            edge pixels (older releases).
        round_passes: round to multiples of 1/255 and clamp to [0, 1] after each of the two passes, as
            MATLAB does with uint8 images; rows first.

    Returns:
        ``(B, C, *size)`` of the same dtype and device. Half precision is computed in float32.

    Raises:
        ValueError: while a graph is traced, for anything but an enlargement that `enlarge` can do.

    Source: R. G. Keys, "Cubic convolution interpolation for digital image processing", 1981.

    Example:
        >>> imresize(torch.rand(1, 3, 40, 60), (10, 15)).shape
        torch.Size([1, 3, 10, 15])
    """
    if torch.compiler.is_exporting():  # a matrix for each size cannot be part of a graph for any size
        return enlarge(image, _factor(image, size, plain=edges == "symmetric" and not round_passes))
    dtype = image.dtype if image.dtype in (torch.float32, torch.float64) else torch.float32
    # Autocast would run the products in bfloat16, which is coarser than an 8-bit image.
    with torch.autocast(image.device.type, enabled=False):
        result = image.to(dtype)
        for axis, target in ((-2, size[0]), (-1, size[1])):
            result = _along(axis, result, target, edges)
            if round_passes:
                result = quantize(result)
    return result.to(image.dtype)


def enlarge(image: Tensor, scale: int) -> Tensor:
    """`imresize` by an integer factor, in operations that a graph holds for any height and width.

    There is no product of matrices and no convolution among them: an engine that runs those in bfloat16
    leaves what only scales and adds in float32.

    Args:
        image: ``(B, C, H, W)``, float.
        scale: >= 1.

    Returns:
        ``(B, C, scale*H, scale*W)``, equal to `imresize` with symmetric edges to rounding.

    Example:
        >>> image = torch.rand(1, 3, 5, 7)
        >>> torch.allclose(enlarge(image, 2), imresize(image, (10, 14)), atol=1e-5)
        True
    """
    phases = (torch.arange(scale, dtype=torch.float64) + 0.5) / scale - 0.5
    taps = torch.arange(-2, 3, dtype=torch.float64)
    weights = _cubic(phases - taps[:, None]).to(image)  # (5, scale): each result looks at 5 pixels
    for axis in (-1, -2):  # columns first, while there are few rows: they are the slower ones
        pixels, size = _bordered(image, axis), image.shape[axis]
        shares = weights if axis == -1 else weights[..., None]
        terms = (pixels.narrow(axis, tap, size).unsqueeze(axis) * shares[tap] for tap in range(1, 5))
        image = sum(terms, pixels.narrow(axis, 0, size).unsqueeze(axis) * shares[0]).flatten(axis - 1, axis)
    return image


def cubic_reach(scale: int) -> int:
    """How far, in input pixels, the cubic kernel looks when it enlarges by an integer `scale`.

    Example:
        >>> cubic_reach(4)
        2
    """
    return 0 if scale == 1 else 2


def quantize(image: Tensor) -> Tensor:
    """Clamp to [0, 1] and round to multiples of 1/255, halves up: what an 8-bit file keeps.

    Example:
        >>> quantize(torch.tensor([-0.2, 0.5, 1.3])) * 255
        tensor([  0., 128., 255.])
    """
    # Resizing by a power of two makes many exact halves; the nudge keeps rounding noise from deciding them.
    tie = 1e-7 if image.dtype == torch.float64 else 1e-4
    return (image.clamp(0, 1) * 255 + 0.5 + tie).floor() / 255


@dataclass(frozen=True)
class _Block:
    """A run of results along one axis, and the pixels that they come from."""

    first: int
    last: int
    """Half-open range of pixels."""
    weights: Tensor
    """``(results, last - first)``; each row sums to one."""


def _along(axis: int, image: Tensor, target: int, edges: Edges) -> Tensor:
    """Resize rows (-2) or columns (-1)."""
    results = []
    for block in _blocks(image.shape[axis], target, edges, image):
        pixels = image.narrow(axis, block.first, block.last - block.first)
        results.append(block.weights @ pixels if axis == -2 else pixels @ block.weights.T)
    return results[0] if len(results) == 1 else torch.cat(results, axis)


def _blocks(size: int, target: int, edges: Edges, like: Tensor) -> tuple[_Block, ...]:
    """The blocks of the interpolation matrix ``(target, size)``, of the type and on the device of `like`."""
    if torch.compiler.is_compiling():
        return (_block(size, target, edges, 0, target, like.dtype, like.device),)
    return _kept_blocks(size, target, edges, like.dtype, like.device)


@lru_cache(maxsize=64)
def _kept_blocks(
    size: int, target: int, edges: Edges, dtype: torch.dtype, device: torch.device
) -> tuple[_Block, ...]:
    step = target if size * target <= _SMALL else max(_BLOCK * target // min(size, target), 1)
    # What inference mode makes could never again be used where a gradient is needed.
    with torch.inference_mode(mode=False):
        return tuple(
            _block(size, target, edges, begin, min(begin + step, target), dtype, device)
            for begin in range(0, target, step)
        )


def _block(
    size: int, target: int, edges: Edges, begin: int, end: int, dtype: torch.dtype, device: torch.device
) -> _Block:
    """Results `begin` to `end`, computed in float64."""
    scale = target / size
    stretch = min(scale, 1.0)
    centers = (torch.arange(begin, end, dtype=torch.float64) + 0.5) / scale - 0.5
    reach = _SUPPORT / stretch
    taps = torch.arange(2 * int(reach) + 3, dtype=torch.float64)
    positions = (centers - reach).floor()[:, None] + taps  # (results, taps)
    weights = _cubic((centers[:, None] - positions) * stretch)
    weights = weights / weights.sum(1, keepdim=True)
    inside = _inside(positions.long(), size, edges)
    if end - begin == target:
        first, last = 0, size
    else:
        first, last = int(inside.min()), int(inside.max()) + 1
    matrix = torch.zeros(end - begin, last - first, dtype=torch.float64)
    matrix.scatter_add_(1, inside - first, weights)
    return _Block(first, last, matrix.to(device, dtype))


def _factor(image: Tensor, size: tuple[int, int], *, plain: bool) -> int:
    """How many times larger `size` is, which a graph has to know before it knows the image."""
    height, width = image.shape[-2:]
    factor = int(size[0] // height)
    if not plain or size != (factor * height, factor * width):
        raise ValueError("a graph can hold an enlargement by an integer factor with symmetric edges only")
    return factor


def _bordered(image: Tensor, axis: int) -> Tensor:
    """Two more pixels at each end of an axis: the image mirrored, with the edge repeated."""
    size = image.shape[axis]
    positions = torch.arange(-2, size + 2, device=image.device)
    # As `_inside`, in operations that a graph can hold; only a single pixel needs the last of them.
    positions = torch.maximum(positions, -1 - positions)
    positions = torch.minimum(positions, 2 * size - 1 - positions).clamp(min=0)
    return image.index_select(axis, positions)


def _inside(positions: Tensor, size: int, edges: Edges) -> Tensor:
    """Fold positions outside ``0..size-1`` back into the image."""
    if edges == "replicate":
        return positions.clamp(0, size - 1)
    folded = positions.remainder(2 * size)
    return torch.where(folded < size, folded, 2 * size - 1 - folded)


def _cubic(x: Tensor) -> Tensor:
    """The cubic kernel with a = -0.5."""
    x = x.abs()
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return torch.where(x <= 1, near, torch.where(x < _SUPPORT, far, torch.zeros_like(x)))
