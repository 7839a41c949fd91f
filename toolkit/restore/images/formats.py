"""Which files are images by their names, and what each format that is written can hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from restore.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = [
    "ALL_MODES",
    "AVIF",
    "JPEG",
    "PNG",
    "READ_SUFFIXES",
    "TIFF",
    "WRITE_SUFFIXES",
    "Format",
    "format_of",
    "is_image_name",
]


@dataclass(frozen=True)
class Format:
    """What an encoder of Pillow can store, and how we ask it to."""

    name: str
    modes: frozenset[str]
    longest: int = 2**31 - 1
    """The longest side that can be read back."""
    options: Mapping[str, Any] = field(default_factory=dict)


ALL_MODES = frozenset({"I;16", "L", "LA", "RGB", "RGBA"})
_OPAQUE_MODES = frozenset({"L", "RGB"})

# The limits are those of the codecs in use: libjpeg stops at 65500, not at the format's 65535, and
# libavif writes more than the 32768 that it is willing to read.
PNG = Format("PNG", ALL_MODES, options={"optimize": True})  # for small files; the others are ours
JPEG = Format("JPEG", _OPAQUE_MODES, longest=65500, options={"quality": 95})
TIFF = Format("TIFF", ALL_MODES, options={"compression": "tiff_adobe_deflate"})
WEBP = Format("WEBP", frozenset({"RGB", "RGBA"}), longest=16383, options={"quality": 95})
AVIF = Format("AVIF", frozenset({"L", "RGB", "RGBA"}), longest=32768, options={"quality": 95})
_FORMATS = {
    ".png": PNG,
    ".jpg": JPEG,
    ".jpeg": JPEG,
    ".jpe": JPEG,
    ".jfif": JPEG,
    ".webp": WEBP,
    ".tif": TIFF,
    ".tiff": TIFF,
    ".avif": AVIF,
    ".bmp": Format("BMP", _OPAQUE_MODES),
    ".gif": Format("GIF", _OPAQUE_MODES, longest=65535),
}

WRITE_SUFFIXES = frozenset(_FORMATS)
"""Suffixes, in lower case, that `write` knows."""

READ_SUFFIXES = (
    WRITE_SUFFIXES
    | {".apng", ".dds", ".dib", ".ico", ".pcx", ".psd", ".qoi", ".sgi", ".tga"}
    | {".j2c", ".j2k", ".jp2", ".jpf", ".jpx", ".pbm", ".pgm", ".pnm", ".ppm"}
)
"""Suffixes, in lower case, of the files that a folder is searched for; `read` itself goes by the content."""


def is_image_name(path: Path) -> bool:
    """Whether a file found in a folder looks like an image to read; hidden files do not."""
    return path.suffix.lower() in READ_SUFFIXES and not path.name.startswith(".")


def format_of(path: Path) -> Format:
    """The format that the suffix names.

    Raises:
        ImageError: the suffix is not one of `WRITE_SUFFIXES`.
    """
    known = _FORMATS.get(path.suffix.lower())
    if known is None:
        raise ImageError(f"the suffix '{path.suffix}' is not one of {', '.join(sorted(WRITE_SUFFIXES))}")
    return known
