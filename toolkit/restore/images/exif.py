"""Read the EXIF data of an image, and adapt it to the result."""

from __future__ import annotations

import re
import struct
from contextlib import suppress
from typing import Any

from PIL import ExifTags, Image, TiffImagePlugin

__all__ = [
    "corrected",
    "exif_of",
    "exif_of_tags",
    "orientation_in",
    "orientation_of",
    "plausible_dpi",
    "resolution_in",
    "shortened_to",
]

_DESCRIPTIVE_TAGS = frozenset(
    {
        ExifTags.Base.DocumentName,
        ExifTags.Base.ImageDescription,
        ExifTags.Base.Make,
        ExifTags.Base.Model,
        ExifTags.Base.XResolution,
        ExifTags.Base.YResolution,
        ExifTags.Base.PageName,
        ExifTags.Base.ResolutionUnit,
        ExifTags.Base.Software,
        ExifTags.Base.DateTime,
        ExifTags.Base.Artist,
        ExifTags.Base.HostComputer,
    }
)
_EMBEDDED_BLOCKS = frozenset(
    {
        TiffImagePlugin.XMP,
        TiffImagePlugin.IPTC_NAA_CHUNK,
        TiffImagePlugin.PHOTOSHOP_CHUNK,
        TiffImagePlugin.ICCPROFILE,
    }
)
_EXIF_SIZE = (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)
_DIRECTORIES = frozenset({ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo})
_ENCODER_ERRORS = (TypeError, ValueError, AttributeError, ArithmeticError, KeyError, IndexError, struct.error)
"""What Pillow raises for a value that does not fit the type of its tag."""
_DAMAGED_EXIF = "its damaged EXIF was dropped"
_SHAPE = re.compile(r'\{"shape": \[[\d, ]+\]')
"""How a description begins that tifffile wrote, which is about the size of the file's array."""
_MAX_TAGS = 2000  # cameras write a few hundred; each that is damaged takes time
_NAMED = 5  # names of tags in a note
_RESOLUTION = (ExifTags.Base.XResolution, ExifTags.Base.YResolution)
_PER_INCH, _PER_CENTIMETER = 2, 3
_SMALL = 256  # bytes of a tag that is not worth removing to save space


def orientation_of(image: Image.Image) -> int:
    """1 to 8; after loading, because Pillow turns TIFF (and only TIFF) by itself and resets the tag."""
    try:
        # Not by the method that PNG overrides, which would decode the pixels to find late EXIF data.
        return orientation_in(Image.Image.getexif(image))
    except MemoryError:
        raise
    except Exception:
        return 1


def orientation_in(exif: Image.Exif) -> int:
    """1 to 8."""
    try:
        return int(exif.get(ExifTags.Base.Orientation, 1))
    except MemoryError:
        raise
    except Exception:  # damaged EXIF data is no reason to refuse the picture
        return 1


def exif_of(image: Image.Image) -> tuple[bytes | None, tuple[str, ...]]:
    """The EXIF data without what belongs to the file, such as orientation and size.

    Returns:
        The data, if any, and notes on what of it is damaged and was dropped.
    """
    try:
        found = image.getexif()
    except MemoryError:
        raise
    except Exception:
        return None, (_DAMAGED_EXIF,)
    if image.info.get("exif") and not len(found):  # for some formats, Pillow hides that it cannot be parsed
        return None, (_DAMAGED_EXIF,)
    return exif_of_tags(found)


def exif_of_tags(found: Image.Exif) -> tuple[bytes | None, tuple[str, ...]]:
    """Like `exif_of`, from tags. A tag whose value cannot be written is dropped, the others are kept."""
    try:
        if _count(found) > _MAX_TAGS:
            return None, (f"its EXIF was dropped: it has more than {_MAX_TAGS} tags",)
        found.bigtiff = False  # of a BigTIFF, to get EXIF data, which has 32-bit offsets
        data, notes = _writable(found)
        kept = Image.Exif()
        kept.load(data)  # a copy, without thumbnail
        for tag in filter(_belongs_to_file, list(kept)):
            del kept[tag]
        if _SHAPE.match(str(kept.get(ExifTags.Base.ImageDescription))):
            del kept[ExifTags.Base.ImageDescription]
        if ExifTags.IFD.Exif in kept:
            # Pillow would copy the place of the interoperability directory into TIFF, where it is wrong.
            for tag in (*_EXIF_SIZE, ExifTags.IFD.Interop):
                kept.get_ifd(ExifTags.IFD.Exif).pop(tag, None)
        return kept.tobytes() if len(kept) else None, notes
    except MemoryError:
        raise
    except Exception:
        return None, (_DAMAGED_EXIF,)


def _count(tags: Image.Exif) -> int:
    return len(tags) + sum(len(tags.get_ifd(directory)) for directory in _DIRECTORIES if directory in tags)


def _writable(found: Image.Exif) -> tuple[bytes, tuple[str, ...]]:
    """The data of all tags that can be written, and a note on the others, which are removed from `found`."""
    with suppress(*_ENCODER_ERRORS):
        return found.tobytes(), ()
    dropped: list[str] = []
    for directory, known in ((ExifTags.IFD.Exif, ExifTags.TAGS), (ExifTags.IFD.GPSInfo, ExifTags.GPSTAGS)):
        if directory in found:
            tags = found.get_ifd(directory)
            tags.pop(ExifTags.IFD.Interop, None)
            for tag in [tag for tag, value in tags.items() if not _is_writable(value, tag, directory)]:
                del tags[tag]
                dropped.append(known.get(tag, f"{tag:#06x}"))
    for tag in [tag for tag in found if tag not in _DIRECTORIES and not _is_writable(found[tag], tag)]:
        del found[tag]
        if not _belongs_to_file(tag):
            dropped.append(ExifTags.TAGS.get(tag, f"{tag:#06x}"))
    names = ", ".join(dropped[:_NAMED]) + ", ..." * (len(dropped) > _NAMED)
    return found.tobytes(), (f"its damaged EXIF tags were dropped: {names}",) if dropped else ()


def _is_writable(value: Any, tag: int, directory: int | None = None) -> bool:
    alone = Image.Exif()
    if directory is None:
        alone[tag] = value
    else:
        alone.get_ifd(directory)[tag] = value
    try:
        alone.tobytes()
    except _ENCODER_ERRORS:
        return False
    return True


def plausible_dpi(x: float, y: float) -> tuple[float, float] | None:
    """The resolution, or `None` for the placeholder values that mean "unknown"."""
    return (x, y) if 1 < x < 65536 and 1 < y < 65536 else None


def resolution_in(exif: bytes) -> tuple[float, float] | None:
    """The resolution in pixels per inch, if there is a plausible one."""
    tags = Image.Exif()
    tags.load(exif)
    unit = tags.get(ExifTags.Base.ResolutionUnit, _PER_INCH)
    found = [tags[tag] for tag in _RESOLUTION if tag in tags]
    if len(found) != 2 or unit not in (_PER_INCH, _PER_CENTIMETER):
        return None
    inches = 2.54 if unit == _PER_CENTIMETER else 1.0
    try:
        return plausible_dpi(*(float(value) * inches for value in found))
    except (TypeError, ValueError, ArithmeticError):
        return None


def corrected(exif: bytes, dpi: tuple[float, float] | None, software: str | None) -> bytes:
    """Set the resolution and the software tag of EXIF data; `None` keeps the old value."""
    tags = Image.Exif()
    try:
        tags.load(exif)
        known = resolution_in(exif)
        outdated = dpi and known and max(abs(a - b) for a, b in zip(dpi, known, strict=True)) > 0.01
        if not outdated and software is None:
            return exif
        if dpi and outdated:
            tags[ExifTags.Base.XResolution], tags[ExifTags.Base.YResolution] = dpi
            tags[ExifTags.Base.ResolutionUnit] = _PER_INCH
        if software:
            tags[ExifTags.Base.Software] = software
        return tags.tobytes()
    except (SyntaxError, ValueError, TypeError, OSError):
        return exif


def shortened_to(limit: int, exif: bytes) -> bytes | None:
    """Drop the largest tags, such as the maker note, until the data is short enough.

    Args:
        limit: in bytes.
        exif: the data, returned as it is if it is no longer.
    """
    tags = Image.Exif()
    try:
        while len(exif) > limit:
            tags.load(exif)
            directories: list[Any] = [tags, *(tags.get_ifd(name) for name in _DIRECTORIES if name in tags)]
            sizes = [
                (_size_of(value), index, tag)
                for index, directory in enumerate(directories)
                for tag, value in directory.items()
                if tag not in _DIRECTORIES
            ]
            size, index, tag = max(sizes)
            if size < _SMALL:
                return None
            del directories[index][tag]
            exif = tags.tobytes()
    except (*_ENCODER_ERRORS, SyntaxError, OSError):
        return None
    return exif


def _size_of(value: Any) -> int:
    return len(value) if isinstance(value, bytes | str | tuple) else 0


def _belongs_to_file(tag: int) -> bool:
    """Whether a tag is about the file that was read: how its pixels lie, or other metadata inside it.

    TIFF keeps such tags beside those about the picture, and some cameras copy them. In a new file they
    would be wrong, and worse: Pillow lets an EXIF width override the width of the TIFF that it writes.
    """
    in_tiff_standard = 254 <= tag <= 532
    return (in_tiff_standard and tag not in _DESCRIPTIVE_TAGS) or tag in _EMBEDDED_BLOCKS
