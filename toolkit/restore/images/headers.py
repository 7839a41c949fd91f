"""Sizes and counts in containers of images, read without decoding, in time that grows with the file alone.

The segments of JPEG files are in `restore.images.jpeg`.
"""

from __future__ import annotations

import struct
import zlib
from io import SEEK_END
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "MAX_PAGES",
    "gif_canvas",
    "largest_icon",
    "png_chunks",
    "png_exif_after_pixels",
    "tiff_pages",
    "webp_canvas",
]

MAX_PAGES = 100_000
"""Pages of a TIFF file after which counting ends."""

_PNG = b"\x89PNG\r\n\x1a\n"
_CICP = 4  # bytes of its content
_TAIL = 2**17  # bytes at the end of a PNG file that are searched for EXIF
_JPEG2000 = b"\0\0\0\x0cjP  "
_CODESTREAM = b"\xff\x4f\xff\x51"
_ENTRY = 16  # bytes of an icon's entry


def gif_canvas(file: IO[bytes]) -> tuple[int, int, int]:
    """Width and height that hold every frame of a GIF file, and the number of frames.

    Frames may reach beyond the screen that the header gives, which decoders then enlarge. A file that is cut
    off counts as far as it goes.

    Source: GIF89a specification, sections 17 to 27.
    """
    file.seek(0)
    data = file.read()
    width, height = struct.unpack_from("<2H", data, 6) if len(data) >= 13 else (0, 0)
    place, frames = 13 + _palette(data, 10), 0
    while place < len(data) and data[place] != ord(";"):
        kind = data[place]
        if kind == ord(",") and place + 10 <= len(data):
            left, top, across, down = struct.unpack_from("<4H", data, place + 1)
            width, height, frames = max(width, left + across), max(height, top + down), frames + 1
            place = _after_blocks(data, place + 11 + _palette(data, place + 9))
        else:
            place = _after_blocks(data, place + 2) if kind == ord("!") else place + 1
    return width, height, frames


def _palette(data: bytes, place: int) -> int:
    """Bytes of the palette that the flags at a place announce."""
    flags = data[place] if place < len(data) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(data: bytes, place: int) -> int:
    while place < len(data) and data[place]:
        place += data[place] + 1
    return place + 1


def webp_canvas(head: bytes) -> tuple[int, int] | None:
    """Width and height of an extended WebP file by its first 32 bytes.

    Source: RFC 9649, section 2.7.
    """
    if head[:4] != b"RIFF" or head[8:16] != b"WEBPVP8X" or len(head) < 30:
        return None
    return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1


def largest_icon(file: IO[bytes]) -> tuple[int, int] | None:
    """Width and height of the largest image in an ICO or ICNS file, by the image's own header.

    The directory of the file may say less. ``None`` if it is no such file or has no image.
    """
    file.seek(0)
    head = file.read(8)
    if head.startswith(b"\0\0\1\0"):
        sizes = _sizes_in_ico(file, int.from_bytes(head[4:6], "little"))
    elif head.startswith(b"icns"):
        sizes = _sizes_in_icns(file)
    else:
        return None
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def _sizes_in_ico(file: IO[bytes], count: int) -> list[tuple[int, int]]:
    file.seek(6)
    entries = file.read(_ENTRY * count)
    offsets = {struct.unpack_from("<I", entries, at + 12)[0] for at in range(0, len(entries) - 15, _ENTRY)}
    found = []
    for offset in offsets:
        file.seek(offset)
        head = file.read(32)
        if size := _size_of_picture(head):
            found.append(size)
        elif len(head) >= 12:  # a BMP, with its mask below it
            width, height = struct.unpack_from("<2i", head, 4)
            found.append((abs(width), abs(height) // 2))
    return found


def _sizes_in_icns(file: IO[bytes]) -> list[tuple[int, int]]:
    place = 8
    found: list[tuple[int, int]] = []
    while True:
        file.seek(place)
        head = file.read(128)
        if len(head) < 8 or (length := int.from_bytes(head[4:8], "big")) < 8:
            return found
        if size := _size_of_picture(head[8:]):
            found.append(size)
        place += length


def _size_of_picture(head: bytes) -> tuple[int, int] | None:
    """Width and height of a PNG or JPEG 2000 file by its first bytes."""
    if head.startswith(_PNG) and len(head) >= 24:
        width, height = struct.unpack_from(">2I", head, 16)
        return width, height
    if head.startswith(_CODESTREAM) and len(head) >= 24:
        right, bottom, left, top = struct.unpack_from(">4I", head, 8)
        return max(right - left, 0), max(bottom - top, 0)
    if head.startswith(_JPEG2000) and 0 < (place := head.find(b"ihdr")) <= len(head) - 12:
        height, width = struct.unpack_from(">2I", head, place + 4)
        return width, height
    return None


def png_chunks(file: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the names of the chunks of a PNG file, with the content of the one about colors (cICP).

    The position in `file` is lost; a file that is cut off ends earlier.
    """
    place = len(_PNG)
    while True:
        file.seek(place)
        head = file.read(8)
        if len(head) < 8 or head[4:8] == b"IEND":
            return
        length = int.from_bytes(head[:4], "big")
        yield head[4:8], file.read(min(length, _CICP)) if head[4:8] == b"cICP" else b""
        place += 12 + length


def png_exif_after_pixels(file: IO[bytes]) -> bytes:
    """The EXIF data near the end of a PNG file, found without reading its pixels; empty if there is none."""
    file.seek(max(0, file.seek(0, SEEK_END) - _TAIL))
    tail = file.read(_TAIL)
    place = tail.rfind(b"eXIf")
    if place < 4:
        return b""
    end = place + 4 + int.from_bytes(tail[place - 4 : place], "big")
    is_chunk = tail[end : end + 4] == zlib.crc32(tail[place:end]).to_bytes(4, "big")
    return tail[place + 4 : end] if is_chunk else b""


def tiff_pages(file: IO[bytes]) -> int:
    """The number of pages of a TIFF file, at least 1 and at most `MAX_PAGES`; the position is kept.

    Directories are stepped over, not read, and a loop of them ends the count.

    Source: TIFF 6.0, section 2; BigTIFF.
    """
    before = file.tell()
    try:
        file.seek(0)
        head = file.read(16)
        order = "<" if head.startswith(b"II") else ">"
        is_big = head[2:4] in (b"\x2b\0", b"\0\x2b")
        count, entry, offset = ("Q", 20, "Q") if is_big else ("H", 12, "I")
        place = struct.unpack_from(order + offset, head, 8 if is_big else 4)[0]
        return max(1, _chained(file, place, (order + count, entry, order + offset)))
    except struct.error:
        return 1
    finally:
        file.seek(before)


def _chained(file: IO[bytes], place: int, layout: tuple[str, int, str]) -> int:
    count, entry, offset = layout
    seen: set[int] = set()
    while place and place not in seen and len(seen) < MAX_PAGES:
        try:
            file.seek(place)
            entries = struct.unpack(count, file.read(struct.calcsize(count)))[0]
            file.seek(entry * entries, 1)
            following = struct.unpack(offset, file.read(struct.calcsize(offset)))[0]
        except (struct.error, OSError, ValueError, OverflowError):  # beyond the end of the file
            break
        seen.add(place)
        place = following
    return len(seen)
