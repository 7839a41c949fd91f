"""Cutting an image into tiles and joining what was made of them, equal to working on the whole.

A tile is read with a margin of the model's halo on each side that has a neighbour; at the border of
the image the tile ends where the image ends, so that the model sees the same edge as it would in the
whole image. The result inside the margin is then the same as without tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Tile", "map_tiles", "tiles"]


@dataclass(frozen=True)
class Tile:
    """One tile, in input pixels: half-open ranges of rows and columns."""

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

    def write(self, result: Tensor, inner: Tensor, scale: int) -> None:
        """Put the restored tile, without margin, into its place in the whole result."""
        rows = slice(self.top * scale, self.bottom * scale)
        columns = slice(self.left * scale, self.right * scale)
        result[..., rows, columns] = inner.to(result)


def tiles(height: int, width: int, size: int, halo: int) -> Iterator[Tile]:
    """Cover an image of `height` x `width` with tiles whose sides are `size` or less, of nearly equal sides.

    Args:
        height: rows of the image, >= 1.
        width: columns of the image, >= 1.
        size: longest side that a tile contributes, in input pixels, >= 1.
        halo: margin on each side that has a neighbour, in input pixels, >= 0.

    Yields:
        Tiles in reading order; their inner parts cover each pixel once.
    """
    for top, bottom in _cuts(height, size):
        for left, right in _cuts(width, size):
            yield Tile(
                top,
                left,
                bottom,
                right,
                max(top - halo, 0),
                max(left - halo, 0),
                min(bottom + halo, height),
                min(right + halo, width),
            )


def map_tiles(
    model: Callable[[Tensor], Tensor],
    image: Tensor,
    result: Tensor,
    *,
    scale: int,
    size: int,
    halo: int,
) -> Iterator[int]:
    """Run `model` on the tiles of `image` and fill `result`, ``(B, C, scale*H, scale*W)``.

    Yields:
        The output pixels that are done so far, after each tile: for progress.
    """
    done = 0
    for tile in tiles(image.shape[-2], image.shape[-1], size, halo):
        with torch.inference_mode():
            inner = tile.inner(model(tile.read(image)), scale)
            tile.write(result, inner, scale)
        done += inner.shape[-2] * inner.shape[-1]
        yield done


def _cuts(length: int, size: int) -> Iterator[tuple[int, int]]:
    count = -(-length // size)
    for index in range(count):
        yield index * length // count, (index + 1) * length // count
