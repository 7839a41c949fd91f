"""Decoded images in memory."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from torch import Tensor

from restore.images import read_levels

__all__ = ["ImageCache"]


class ImageCache:
    """Decoded images; the least recently used are dropped when they exceed the limit.

    Args:
        limit: in bytes.
    """

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit
        self.size = 0
        """Bytes of all images that are kept."""
        self.images: OrderedDict[Path, Tensor] = OrderedDict()

    def read(self, file: Path) -> Tensor:
        """``(3, H, W)`` uint8.

        Raises:
            ImageError: the file cannot be read.
        """
        if file in self.images:
            self.images.move_to_end(file)
            return self.images[file]
        image = read_levels(file)
        if _memory(image) <= self.limit:
            self.images[file] = image
            self.size += _memory(image)
            while self.size > self.limit:
                self.size -= _memory(self.images.popitem(last=False)[1])
        return image


def _memory(image: Tensor) -> int:
    """Bytes that `image` occupies: fewer than its values if gray, more if it was read with alpha."""
    return image.untyped_storage().nbytes()
