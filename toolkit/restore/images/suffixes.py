"""The suffix for a file whose name does not tell its format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from restore.errors import ImageError
from restore.images.opening import opened_header

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["suffix_of"]

_SUFFIXES = {
    "AVIF": ".avif",
    "BMP": ".bmp",
    "GIF": ".gif",
    "HEIF": ".heic",
    "JPEG": ".jpg",
    "JXL": ".jxl",
    "MPO": ".jpg",  # JPEG with more pictures, as phones write it
    "TIFF": ".tif",
    "WEBP": ".webp",
}


def suffix_of(path: Path) -> str:
    """The suffix of the format that a file holds; ``.png`` where that format cannot be written."""
    try:
        with opened_header(path) as image:
            return _SUFFIXES.get(image.format or "", ".png")
    except ImageError:
        return ".png"
