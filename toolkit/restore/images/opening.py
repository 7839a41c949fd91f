"""The way into a file: what is no image or too large is refused before any pixel is decoded."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from io import SEEK_END, BufferedReader
from typing import IO, TYPE_CHECKING

from PIL import Image

from restore.errors import ImageError
from restore.images.failures import check_file, explained, strict_pillow, why_unreadable
from restore.images.formats import enable, needed_plugin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["MAX_PIXELS", "check_pixels", "opened", "opened_file", "pillow_image"]

MAX_PIXELS = 89_478_485
"""Pixels of a picture, or of all frames of an animation, that are read without being asked to: as Pillow."""

_LIMIT = threading.Lock()


class _Bounded(BufferedReader):
    """A file of which no more is asked than there is: Python makes room for what a damaged header claims."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > 2**20:
            place = self.tell()
            size = min(size, max(self.seek(0, SEEK_END) - place, 0))
            self.seek(place)
        return super().read(size)


@contextmanager
def opened_file(path: Path) -> Iterator[IO[bytes]]:
    """A file with content, open for reading; whatever goes wrong in the block becomes an `ImageError`."""
    with explained(f"cannot read '{path}'", why_unreadable), strict_pillow():
        check_file(path)
        # Not by its path: Pillow would map uncompressed TIFF into memory, and scramble it when the
        # orientation swaps its sides.
        with path.open("rb") as file:
            yield _Bounded(file.raw)


@contextmanager
def opened(path: Path, max_pixels: int | None = MAX_PIXELS) -> Iterator[Image.Image]:
    """The image in a file as Pillow opens it, not decoded."""
    with opened_file(path) as file, pillow_image(file, max_pixels) as image:
        yield image


def pillow_image(file: IO[bytes], max_pixels: int | None) -> Image.Image:
    """The same of an open file.

    Raises:
        ImageError: it has more than `max_pixels`, or needs a library that is not installed.
        PIL.UnidentifiedImageError: Pillow does not know it.
    """
    plugin = needed_plugin(file.read(12))
    file.seek(0)
    if plugin:
        enable(plugin)
    with _LIMIT:
        # Pillow's limit is one for the whole process, and cannot be raised for one file in another way.
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(file)
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    check_pixels(*image.size, max_pixels)
    return image


def check_pixels(width: int, height: int, max_pixels: int | None, frames: int = 1) -> None:
    """Refuse what has too many pixels.

    Raises:
        ImageError: names the option that raises the limit.
    """
    count = width * height * frames
    if max_pixels is not None and count > max_pixels:
        pictures = f" in {frames} frames" if frames > 1 else ""
        raise ImageError(
            f"it has more than {max_pixels} pixels ({width} x {height}{pictures}), which could exhaust the "
            f"memory; give --max-pixels {count} if you trust it"
        )
