"""Image formats: their file suffixes, and what each output format can store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from restore.errors import ImageError

if TYPE_CHECKING:
    from pathlib import Path, PurePath

__all__ = [
    "AVIF",
    "BMP",
    "GIF",
    "HEIC",
    "JPEG",
    "JXL",
    "PNG",
    "READ_SUFFIXES",
    "TIFF",
    "WEBP",
    "WRITE_SUFFIXES",
    "Format",
    "enable",
    "format_of",
    "is_image_name",
    "longest_side",
    "needed_plugin",
]

Carried = Literal["icc_profile", "exif", "xmp", "dpi"]


@dataclass(frozen=True)
class Format:
    """What a file can store, and how we ask the encoder to."""

    name: str
    modes: frozenset[str]
    """Kinds of pixels, by Pillow's names."""
    bits: Literal[8, 16, 32] = 8
    """The most that a channel can have; 32 is floating point."""
    longest: int = 2**31 - 1
    """The longest side that can be read back."""
    quality: int | None = None
    """That of lossy formats unless another is asked for."""
    carries: frozenset[Carried] = frozenset({"icc_profile", "exif", "xmp"})
    """What it has a place for, resolution besides that in EXIF."""
    animated: bool = False
    lossless: bool = False
    """Whether a lossy format can store pixels exactly as well, and its encoder does."""
    longest_block: int | None = None
    """The most bytes that EXIF and XMP can have, each."""
    cutout: bool = False
    """A pixel is either opaque or transparent."""

    @property
    def has_alpha(self) -> bool:
        """Whether the format can store transparency."""
        return any(mode.endswith("A") for mode in self.modes)


_ALL = frozenset({"L", "LA", "RGB", "RGBA"})
_OPAQUE = frozenset({"L", "RGB"})
_COLOR = frozenset({"RGB", "RGBA"})
_EVERYTHING: frozenset[Carried] = frozenset({"icc_profile", "exif", "xmp", "dpi"})
_GOOD = 95

# The limits are those of the codecs in use: libjpeg stops at 65500, not at the format's 65535, and
# libavif writes more than the 32768 that it is willing to read.
PNG = Format("PNG", _ALL, bits=16, carries=_EVERYTHING, animated=True)
JPEG = Format("JPEG", _OPAQUE, longest=65500, quality=_GOOD, carries=_EVERYTHING, longest_block=65504)
TIFF = Format("TIFF", _ALL, bits=32, carries=_EVERYTHING)
WEBP = Format("WEBP", _COLOR, longest=16383, quality=_GOOD, animated=True, lossless=True)
AVIF = Format("AVIF", frozenset({"L", "RGB", "RGBA"}), longest=32768, quality=_GOOD, animated=True)
GIF = Format(
    "GIF",
    frozenset({"L", "RGB", "RGBA"}),
    longest=65535,
    carries=frozenset(),
    animated=True,
    cutout=True,
)
# More than EXIF the library of JPEG XL does not read.
JXL = Format("JXL", _ALL, quality=_GOOD, carries=frozenset({"exif"}), lossless=True)
BMP = Format("BMP", frozenset({"L", "RGB", "RGBA"}), carries=frozenset({"dpi"}))
HEIC = Format("HEIF", frozenset({"L", "RGB", "RGBA"}), longest=16384, quality=_GOOD)
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
    ".bmp": BMP,
    ".gif": GIF,
    ".jxl": JXL,
    ".heic": HEIC,
    ".heif": HEIC,
}
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_OPTIONAL = {JXL: ("JPEG XL", "jxl"), HEIC: ("HEIC", "heic")}
"""Formats of optional libraries -> their usual names, and the extra of this distribution to install."""

WRITE_SUFFIXES = frozenset(_FORMATS)
"""Suffixes, in lower case, that `write` knows."""

READ_SUFFIXES = (
    WRITE_SUFFIXES
    | {".apng", ".dds", ".dib", ".ico", ".pcx", ".psd", ".qoi", ".sgi", ".tga"}
    | {".j2c", ".j2k", ".jp2", ".jpf", ".jpx", ".pbm", ".pgm", ".pnm", ".ppm"}
)
"""Suffixes, in lower case, of the files that a folder is searched for; `read` itself goes by the content."""


def is_image_name(path: PurePath) -> bool:
    """Whether a file found in a folder looks like an image to read; hidden files do not."""
    return path.suffix.lower() in READ_SUFFIXES and not path.name.startswith(".")


def format_of(path: Path) -> Format:
    """The format that the suffix names.

    Raises:
        ImageError: the suffix is not one of `WRITE_SUFFIXES`.
    """
    known = _FORMATS.get(path.suffix.lower())
    if known is None:
        raise ImageError(
            f"the suffix '{path.suffix}' is not one of {', '.join(sorted(WRITE_SUFFIXES))}", path=path
        )
    return known


def longest_side(path: Path) -> int:
    """Return the largest width or height in pixels that the format of a result can store.

    Raises:
        ImageError: the suffix is not one of `WRITE_SUFFIXES`.

        >>> from pathlib import Path, PurePath
        >>> longest_side(Path("panorama.webp"))
        16383
    """
    return format_of(path).longest


def needed_plugin(head: bytes) -> Format | None:
    """The format, by the first 12 bytes of a file, if Pillow alone does not know it."""
    if head.startswith(b"\xff\x0a") or head == b"\0\0\0\x0cJXL \r\n\x87\n":
        return JXL
    return HEIC if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS else None


def enable(form: Format) -> None:
    """Register the plugin of a format with Pillow, if it needs one.

    Raises:
        ImageError: the plugin is not installed.
    """
    try:
        if form is JXL:
            import pillow_jxl  # noqa: F401
        elif form is HEIC:
            import pillow_heif

            pillow_heif.register_heif_opener()
    except ImportError as error:
        name, extra = _OPTIONAL[form]
        raise ImageError(
            f"{name} needs a library that is not installed",
            hint=f"install it with: pip install 'restorekit[{extra}]'",
        ) from error
