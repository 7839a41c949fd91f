"""Open image files; invalid and oversized files are refused before any pixel is decoded."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from io import SEEK_END, BufferedReader
from pathlib import Path
from typing import IO, TYPE_CHECKING

from PIL import Image, UnidentifiedImageError

from restore.images.failures import check_file, explained_reading, strict_pillow
from restore.images.formats import enable, needed_plugin
from restore.images.limits import (
    MAX_PIXELS,
    check_chunks_before_pixels,
    check_declared_size,
    declared_before_opening,
    declared_by,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["opened", "opened_file", "opened_header", "pillow_image"]

_LIMIT = threading.Lock()


class _Bounded(BufferedReader):
    """A file that is asked for no more bytes than it has: Python allocates what a damaged header claims."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > 2**20:
            place = self.tell()
            size = min(size, max(self.seek(0, SEEK_END) - place, 0))
            self.seek(place)
        return super().read(size)


@contextmanager
def opened_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a non-empty file for reading; any exception in the block becomes an `ImageError`."""
    with explained_reading(path), strict_pillow():
        check_file(path)
        # Not by its path: Pillow would map uncompressed TIFF into memory, and scramble it when the
        # orientation swaps its sides.
        with path.open("rb") as file:
            yield _Bounded(file.raw)


@contextmanager
def opened(path: Path, max_pixels: int | None = MAX_PIXELS) -> Iterator[Image.Image]:
    """Open the image in a file with Pillow, without decoding it."""
    with opened_file(path) as file, pillow_image(file, max_pixels) as image:
        yield image


@contextmanager
def opened_header(path: Path) -> Iterator[Image.Image]:
    """The image in a file of any size, for its header alone.

    Files of formats that Pillow decodes as soon as they are opened are refused beyond `MAX_PIXELS`.
    """
    with opened_file(path) as file:
        _check_before_opening(file, MAX_PIXELS)
        with pillow_image(file, None) as image:
            yield image


def pillow_image(file: IO[bytes], max_pixels: int | None) -> Image.Image:
    """The image in an open file.

    Raises:
        ImageError: it takes more memory than `max_pixels` allows, or needs a library that is not installed.
        PIL.UnidentifiedImageError: Pillow does not know it.
    """
    file.seek(0)
    if plugin := needed_plugin(file.read(12)):
        enable(plugin)
    _check_before_opening(file, max_pixels)
    check_chunks_before_pixels(file)
    file.seek(0)
    with _LIMIT:
        # Pillow's limit is one for the whole process, and cannot be raised for one file in another way.
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(file)
        except UnidentifiedImageError as error:
            raise error from _refusal(file)
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    check_declared_size(declared_by(image), max_pixels)
    return image


def _refusal(file: IO[bytes]) -> Exception | None:
    """What the plugin of the file's format raises for it, which Pillow does not pass on.

    The format is that of the signature, or else that of the suffix: TGA, for example, has no signature.
    """
    file.seek(0)
    head = file.read(16).ljust(16, b"\0")  # some plugins take its length for granted
    by_suffix = Image.registered_extensions().get(Path(getattr(file, "name", "")).suffix.lower(), "")
    # Where a library is missing, the answer is a text.
    signed = [name for name, (_, accepts) in Image.OPEN.items() if accepts and accepts(head) is True]
    has_signature = by_suffix in Image.OPEN and Image.OPEN[by_suffix][1] is not None
    for name in signed if has_signature else [by_suffix, *signed]:
        if name in Image.OPEN:
            file.seek(0)
            try:
                Image.OPEN[name][0](file, "")
            except Exception as error:
                return error
    return None


def _check_before_opening(file: IO[bytes], max_pixels: int | None) -> None:
    if max_pixels is not None and (declared := declared_before_opening(file)):
        check_declared_size(declared, max_pixels)
