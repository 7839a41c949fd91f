"""Cutting an image into tiles and joining what was made of them, equal to working on the whole.

A tile is read with a margin of the model's halo on each side that has a neighbor; at the border of
the image the tile ends where the image ends, so that the model sees the same edge as it would in the
whole image. The result inside the margin is then the same as without tiles.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Tile", "map_tiles", "round_up", "tiles"]


@dataclass(frozen=True)
class Tile:
    """One tile, in input pixels: half-open ranges of rows and columns.

    >>> inner, outer = (0, 8, 8, 16), (0, 6, 10, 16)  # top, left, bottom, right
    >>> Tile(*inner, *outer).read(torch.zeros(1, 3, 16, 16)).shape[-2:]
    torch.Size([10, 10])
    """

    top: int
    left: int
    bottom: int
    right: int
    """What this tile contributes."""
    outer_top: int
    outer_left: int
    outer_bottom: int
    outer_right: int
    """What has to be read for it: the same with the margin."""

    def read(self, image: Tensor) -> Tensor:
        """``(B, C, H, W)`` -> the tile with its margin, a view."""
        return image[..., self.outer_top : self.outer_bottom, self.outer_left : self.outer_right]

    def inner(self, restored: Tensor, scale: int) -> Tensor:
        """The restored tile without its margin."""
        top, left = (self.top - self.outer_top) * scale, (self.left - self.outer_left) * scale
        height, width = (self.bottom - self.top) * scale, (self.right - self.left) * scale
        return restored[..., top : top + height, left : left + width]

    def place(self, result: Tensor, scale: int) -> Tensor:
        """Where the restored tile, without margin, belongs in the whole result: a view."""
        rows = slice(self.top * scale, self.bottom * scale)
        columns = slice(self.left * scale, self.right * scale)
        return result[..., rows, columns]


def tiles(height: int, width: int, size: int, halo: int, stride: int = 1) -> Iterator[Tile]:
    """Cover an image of `height` x `width` with tiles that are all read with the same sides.

    Equal sides allow a library to reuse the code and memory that it prepared for the first tile. Where a side
    of the image is not a multiple of `stride`, the last tile is shorter by the difference.

    Args:
        height: rows of the image, >= 1.
        width: columns of the image, >= 1.
        size: what a tile contributes along a side on average, at most, in input pixels, >= 1. Where the image
            ends a tile has no margin, and contributes up to `halo` more.
        halo: margin on each side that has a neighbor, in input pixels, >= 0.
        stride: what is read for a tile begins at a multiple of it, in input pixels, >= 1. `size` is rounded
            down to a multiple of it, but not to 0, and `halo` up.

    Yields:
        Tiles in reading order; their inner parts cover each pixel once.

    Example:
        >>> [(tile.outer_left, tile.left) for tile in tiles(1, 20, size=6, halo=1, stride=2)]
        [(0, 0), (4, 6), (8, 10), (12, 14)]
    """
    columns = list(_cuts(width, size, halo, stride))
    for top, bottom, outer_top, outer_bottom in _cuts(height, size, halo, stride):
        for left, right, outer_left, outer_right in columns:
            yield Tile(top, left, bottom, right, outer_top, outer_left, outer_bottom, outer_right)


def map_tiles(
    model: Callable[[Tensor], Tensor], image: Tensor, *, scale: int, size: int, halo: int, stride: int = 1
) -> Iterator[tuple[Tile, Tensor]]:
    """Run `model` on the tiles of `image`, ``(B, C, H, W)``, with quarters of them where memory runs out.

    Args:
        model: ``(B, C, h, w)`` -> ``(B, D, scale*h, scale*w)``.
        image: on any device.
        scale: of the model.
        size: longest side that a tile contributes, in input pixels.
        halo: of the model, in input pixels.
        stride: of the model, in input pixels; see `tiles`.

    Yields:
        Each tile and what was made of it, without margin: for ``tile.place(result, scale).copy_(inner)``.

    Raises:
        torch.OutOfMemoryError: there is no room for a tile of a pixel, or of `stride` pixels a side.

    Example:
        >>> image = torch.rand(1, 3, 30, 40)
        >>> result = torch.empty(1, 3, 60, 80)
        >>> double = torch.nn.Upsample(scale_factor=2)
        >>> for tile, inner in map_tiles(double, image, scale=2, size=16, halo=0):
        ...     _ = tile.place(result, 2).copy_(inner)
        >>> torch.equal(result, double(image))
        True
    """
    left = deque(tiles(image.shape[-2], image.shape[-1], size, halo, stride))
    while left:
        tile = left.popleft()
        try:
            with torch.inference_mode():
                inner = tile.inner(model(tile.read(image)), scale)
        except torch.OutOfMemoryError:
            if max(tile.bottom - tile.top, tile.right - tile.left) <= stride:
                raise
            left = deque(part for each in (tile, *left) for part in _quarters(each, image, halo, stride))
        else:
            yield tile, inner
            del inner  # before the next tile needs the room


def _quarters(tile: Tile, image: Tensor, halo: int, stride: int) -> Iterator[Tile]:
    """Tiles of half the sides that contribute what `tile` does."""
    sides = (tile.bottom - tile.top, tile.right - tile.left)
    halo = _ceil(halo, stride) * stride
    for part in tiles(*sides, _ceil(_ceil(max(sides), 2), stride) * stride, 0, stride):
        top, bottom = tile.top + part.top, tile.top + part.bottom
        left, right = tile.left + part.left, tile.left + part.right
        yield Tile(
            top,
            left,
            bottom,
            right,
            max(top - halo, 0),
            max(left - halo, 0),
            min(bottom + halo, image.shape[-2]),
            min(right + halo, image.shape[-1]),
        )


def _cuts(length: int, size: int, halo: int, stride: int) -> Iterator[tuple[int, int, int, int]]:
    """Along one axis, for each tile: begin and end of what it contributes, and of what is read for it."""
    steps = _steps(_ceil(length, stride), max(size // stride, 1), _ceil(halo, stride))
    for begin, end, start, stop in steps:
        yield begin * stride, min(end * stride, length), start * stride, min(stop * stride, length)


def _steps(length: int, size: int, halo: int) -> Iterator[tuple[int, int, int, int]]:
    """`_cuts` for a stride of 1."""
    count = _ceil(length, size)
    outer = min(_ceil(length + 2 * halo * (count - 1), count), length)
    starts = [index * (length - outer) // max(count - 1, 1) for index in range(count)]
    # Each cut lies `halo` behind the start of the next tile, and so at least `halo` before the end of this.
    cuts = [0, *(min(start + halo, length) for start in starts[1:]), length]
    for start, begin, end in zip(starts, cuts, cuts[1:], strict=False):
        if begin < end:
            yield begin, end, start, start + outer


def _ceil(dividend: int, divisor: int) -> int:
    """The quotient, rounded up."""
    return -(-dividend // divisor)


def round_up(length: int, factor: int) -> int:
    """The next multiple of `factor`.

    >>> round_up(128, 3)
    129
    """
    return _ceil(length, factor) * factor
