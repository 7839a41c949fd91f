"""The memory that an image file asks for, added up from its headers before anything is decoded.

A file of a hundred bytes can declare any size. `declared_by` adds up what decoding it takes, and
`check_declared_size` refuses what is beyond the limit. The limit is a number of pixels, which people know of
their images: an image may have that many, and its decoded samples may take as much memory as that many RGBA
pixels of 32 bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import IO, TYPE_CHECKING, Any

from PIL import Image, TiffImagePlugin

from restore.choices import MAX_PIXELS
from restore.errors import ImageError
from restore.images.headers import gif_canvas, largest_icon, png_chunks, webp_canvas
from restore.images.jxl import read_header

if TYPE_CHECKING:
    from collections.abc import Iterable

    from restore.images.jpeg import Scans

__all__ = [
    "MAX_PIXELS",
    "DeclaredSize",
    "check_chunks",
    "check_chunks_before_pixels",
    "check_declared_size",
    "check_scans",
    "declared_before_opening",
    "declared_by",
    "declared_by_page",
    "readable",
]

_BYTES_PER_PIXEL = 16  # RGBA in 32-bit floating point
_ALWAYS = 2**26
"""Bytes that are never refused, so that a low limit of pixels does not refuse tiles larger than the image."""

_MAX_SCANS = 64  # of a JPEG; encoders write up to about 20
_MAX_SCANNED = 2 * 10**9
"""Pixels that more than `_MAX_SCANS` scans may go over: a few seconds of time."""

_MAX_CHUNKS = 10_000  # of a PNG, besides pixels

_PER_FRAME = 4096  # bytes of objects for each frame
_SIZES_OF_PAGE = (
    "imagewidth",
    "imagelength",
    "imagedepth",
    "tilewidth",
    "tilelength",
    "tiledepth",
    "samplesperpixel",
    "bitspersample",
)
_BYTES_OF_MODE = {"1": 1, "L": 1, "P": 1, "LA": 4, "PA": 4, "RGB": 4, "YCbCr": 4, "LAB": 4, "HSV": 4}


@dataclass(frozen=True)
class DeclaredSize:
    """What the headers of a file say about its decoded size."""

    width: int
    height: int
    pixel_bytes: float = 4
    """Bytes of all samples of a pixel."""
    frames: int = 1
    tile: int = 0
    """Bytes of the largest tile, which is decoded whole even where it is larger than the image."""

    @property
    def pixels(self) -> int:
        """Pixels of all frames."""
        return self.width * self.height * self.frames

    @property
    def memory(self) -> int:
        """Bytes that the decoded image takes.

        >>> DeclaredSize(1000, 500, pixel_bytes=3, frames=2).memory
        3008192
        """
        overhead = _PER_FRAME * self.frames if self.frames > 1 else 0
        return math.ceil(self.pixels * self.pixel_bytes) + overhead + self.tile


def check_declared_size(declared: DeclaredSize, max_pixels: int | None) -> None:
    """Refuse a file that asks for too much memory.

    Args:
        declared: by the file.
        max_pixels: the limit; ``None`` is any number.

    Raises:
        ImageError: with the memory that it would take, and the limit that allows it.

    >>> check_declared_size(DeclaredSize(9000, 900), max_pixels=10**6)
    Traceback (most recent call last):
    restore.errors.ImageError: it has more than 1000000 pixels (9000 x 900), which would take 31 MiB of \
memory; set `max_pixels` to 8100000 if you trust the file
    """
    if max_pixels is None:
        return
    size = f"{declared.width} x {declared.height}" + (
        f" in {declared.frames} frames" if declared.frames > 1 else ""
    )
    memory = readable(declared.memory)
    if declared.pixels > max_pixels:
        problem = f"it has more than {max_pixels} pixels ({size}), which would take {memory} of memory"
    elif declared.memory > max(max_pixels * _BYTES_PER_PIXEL, _ALWAYS):
        problem = (
            f"decoding it ({size}) would take {memory} of memory, as much as {_needed(declared)} pixels of a "
            f"usual image, and {max_pixels} are allowed"
        )
    else:
        return
    raise ImageError(problem, hint=f"set `max_pixels` to {_needed(declared)} if you trust the file")


def check_scans(image: Image.Image, scans: Scans | None) -> None:
    """Refuse a JPEG of thousands of scans: a few bytes each make the decoder go over the whole image again.

    Args:
        image: opened.
        scans: of its file, ``None`` if it is not a JPEG.

    Raises:
        ImageError: its decoding would not end in a reasonable time.
    """
    count = scans.count if scans else 0
    if count > _MAX_SCANS and count * image.width * image.height > _MAX_SCANNED:
        raise ImageError(
            f"its {count} scans of {image.width} x {image.height} pixels take too long to decode",
            hint="convert it to PNG, or omit it",
        )


def check_chunks_before_pixels(file: IO[bytes]) -> None:
    """Refuse a PNG with more chunks before its pixels than any program writes: Pillow reads them one by one.

    Raises:
        ImageError: it has more than 10,000.
    """
    file.seek(0)
    if file.read(8) == b"\x89PNG\r\n\x1a\n":
        _check_count(takewhile(lambda name: name != b"IDAT", (name for name, _ in png_chunks(file))))


def check_chunks(image: Image.Image, file: IO[bytes]) -> None:
    """The same for all chunks of an image that is about to be decoded; the position in `file` is kept.

    Raises:
        ImageError: it has more than 10,000 besides those of pixels.
    """
    if image.format == "PNG":
        place = file.tell()
        _check_count(name for name, _ in png_chunks(file) if name not in (b"IDAT", b"fdAT", b"fcTL"))
        file.seek(place)


def _check_count(names: Iterable[bytes]) -> None:
    if next(islice(names, _MAX_CHUNKS, None), None):
        raise ImageError(
            f"its header is damaged (more than {_MAX_CHUNKS} chunks)", hint="convert it to another format"
        )


def _needed(declared: DeclaredSize) -> int:
    """The lowest limit that allows a file."""
    return max(declared.pixels, math.ceil(declared.memory / _BYTES_PER_PIXEL))


def declared_before_opening(file: IO[bytes]) -> DeclaredSize | None:
    """What a file declares whose format is decoded, or gets its memory, as soon as it is opened.

    Returns:
        ``None`` for all other formats, which are opened by their headers alone.

    Raises:
        ImageError: the header is damaged.
    """
    file.seek(0)
    head = file.read(32)
    if head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        header = read_header(file)
        if header is None:
            raise ImageError("its header is damaged", hint="replace the file by a whole copy")
        return DeclaredSize(header.width, header.height, pixel_bytes=max(16, 12 + 4 * header.extra))
    canvas = webp_canvas(head) or largest_icon(file)
    return DeclaredSize(*canvas) if canvas else None


def declared_by(image: Image.Image, file: IO[bytes] | None = None) -> DeclaredSize:
    """What an image that Pillow has opened, and not decoded, declares.

    Args:
        image: of it, one frame counts if `file` is missing.
        file: its file, to count all frames of an animation.
    """
    width, height = image.size
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return _declared_by_tiff(image)
    pixel_bytes = _BYTES_OF_MODE.get(image.mode, 4)
    if file is None:
        return DeclaredSize(width, height, pixel_bytes)
    if image.format == "GIF":
        width, height, frames = gif_canvas(file)
        return DeclaredSize(max(width, image.width), max(height, image.height), 4, max(frames, 1))
    return DeclaredSize(width, height, 4, max(1, getattr(image, "n_frames", 1)))


def declared_by_page(page: Any) -> DeclaredSize:
    """What a TIFF page that tifffile has opened, and not decoded, declares.

    Raises:
        ImageError: a size is not a number.
    """
    for name in _SIZES_OF_PAGE:
        if not isinstance(getattr(page, name), int):  # but a tuple, which computing with would repeat
            raise ImageError(f"its header is damaged ({name})", hint="replace it by a whole copy")
    pixel_bytes = page.samplesperpixel * math.ceil(page.bitspersample / 8) * max(page.imagedepth, 1)
    tile = page.tilewidth * page.tilelength * max(page.tiledepth, 1) * pixel_bytes
    return DeclaredSize(page.imagewidth, page.imagelength, pixel_bytes, tile=tile)


def _declared_by_tiff(image: TiffImagePlugin.TiffImageFile) -> DeclaredSize:
    tags = image.tag_v2
    samples = _largest(tags.get(TiffImagePlugin.SAMPLESPERPIXEL))
    pixel_bytes = samples * math.ceil(_largest(tags.get(TiffImagePlugin.BITSPERSAMPLE)) / 8)
    has_tiles = TiffImagePlugin.TILEWIDTH in tags
    tile = _largest(tags.get(TiffImagePlugin.TILEWIDTH)) * _largest(tags.get(TiffImagePlugin.TILELENGTH))
    pixel_bytes = max(pixel_bytes, _BYTES_OF_MODE.get(image.mode, 4))
    return DeclaredSize(image.width, image.height, pixel_bytes, tile=tile * pixel_bytes if has_tiles else 0)


def _largest(value: Any) -> int:
    """The largest of the numbers of a tag, at least 1; tags of foreign files have any type and count."""
    values: Iterable[Any] = value if isinstance(value, tuple | list) else (value,)
    return max((int(each) for each in values if isinstance(each, int | float) and each >= 1), default=1)


def readable(size: float) -> str:
    """Format a number of bytes with a binary unit.

    >>> readable(3 * 2**30), readable(200 * 2**20)
    ('3.0 GiB', '200 MiB')
    """
    if size < 2**30:
        return f"{size / 2**20:,.0f} MiB"
    return f"{size / 2**30:,.1f} GiB" if size < 2**40 else f"{size / 2**40:,.1f} TiB"
