"""Whether files can be read, without decoding each of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from restore.images.limits import MAX_PIXELS
from restore.images.reading import read, size_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["check"]

_END_OF_PNG = b"\0\0\0\0IEND\xae\x42\x60\x82"


def check(path: Path) -> tuple[int, int]:
    """Width and height of an image file that can be read, as far as its first and last bytes tell.

    A file with a sound header that ends as its format asks for is taken for whole; damage in its middle
    shows when it is read. Any other is decoded here: one that something was appended to can be sound, and
    some formats have no mark at their end.

    Raises:
        ImageError: as for `read`.
    """
    size = size_of(path, max_pixels=MAX_PIXELS)
    if not _ends_well(path):
        read(path)
    return size


def _ends_well(path: Path) -> bool:
    """Whether the file ends with the end marker of its format: JPEG, PNG, GIF or WebP."""
    with path.open("rb") as file:
        head = file.read(12)
        length = file.seek(0, os.SEEK_END)
        file.seek(max(0, length - len(_END_OF_PNG)))
        tail = file.read()
    if head.startswith(b"\xff\xd8\xff"):
        return tail.endswith(b"\xff\xd9")
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return tail.endswith(_END_OF_PNG)
    if head.startswith((b"GIF87a", b"GIF89a")):
        return tail.endswith(b"\0;")
    if head.startswith(b"RIFF") and head.endswith(b"WEBP"):
        return length >= 8 + int.from_bytes(head[4:8], "little")
    return False
