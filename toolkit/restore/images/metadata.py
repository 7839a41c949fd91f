"""What a file says about its picture: orientation, EXIF, XMP, color profile, resolution."""

from __future__ import annotations

import re
import struct
from contextlib import suppress
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from PIL import ExifTags, Image, TiffImagePlugin

from restore.images import xmp
from restore.images.color import gray_profile, matrix_profile

if TYPE_CHECKING:
    from restore.images.formats import Format
    from restore.images.photo import Photo
    from restore.images.provenance import Provenance

__all__ = [
    "SOFTWARE",
    "carried",
    "channel_notes",
    "dpi_of",
    "exif_of",
    "exif_of_tags",
    "orientation_in",
    "orientation_of",
    "profile_of",
    "xmp_of",
]

SOFTWARE = f"restorekit {version('restorekit')}"

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
_DAMAGED_XMP = "its XMP was dropped: it is not well-formed, or too large"
_SHAPE = re.compile(r'\{"shape": \[[\d, ]+\]')
"""How a description begins that tifffile wrote, which is about the size of the file's array."""
_MAX_TAGS = 2000  # cameras write a few hundred; each that is damaged takes time
_NAMED = 5  # names of tags in a note
_TIFF_CHANNELS = {0: 1, 1: 1, 2: 3, 3: 1, 4: 1, 5: 4, 6: 3, 8: 3, 9: 3, 10: 3}
"""Channels of color by the value of PhotometricInterpretation."""
_RESOLUTION = (ExifTags.Base.XResolution, ExifTags.Base.YResolution)
_PER_INCH, _PER_CENTIMETER = 2, 3
_SRGB_GAMMA = 0.45455
_SRGB_CHROMATICITIES = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)


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
    """The same of tags; a tag whose value cannot be written, for one of a wrong type, is dropped alone."""
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


def xmp_of(info: dict[Any, Any]) -> tuple[bytes | None, tuple[str, ...]]:
    """The XMP packet of an image by its ``info``, if any, and a note if it is damaged and was dropped."""
    packet = info.get("xmp") or info.get("XML:com.adobe.xmp")
    if isinstance(packet, str):  # as PNG keeps it
        packet = packet.encode(errors="replace")
    if not isinstance(packet, bytes):
        return None, ()
    kept = xmp.cleared(packet)
    return kept, () if kept or not packet.strip(b"\0 ") else (_DAMAGED_XMP,)


def channel_notes(photometric: int | None, samples: int, *, alpha: bool) -> tuple[str, ...]:
    """The note on channels of a TIFF file beyond color and alpha, such as near infrared, for people.

    >>> channel_notes(2, 4, alpha=False)
    ('only 3 of its 4 channels were used',)
    """
    used = _TIFF_CHANNELS.get(photometric or 0, samples) + alpha
    verb = "was" if used == 1 else "were"
    return (f"only {used} of its {samples} channels {verb} used",) if used < samples else ()


def profile_of(info: dict[Any, Any], *, mode: str, png: bool, gray: bool) -> bytes | None:
    """The embedded profile, unless the pixels were converted from its color space or never in it.

    Where a PNG has gamma and chromaticities in place of a profile, one that says the same is made of them.
    """
    profile = info.get("icc_profile")
    if profile is None and png and "srgb" not in info:
        profile = _described_profile(info, gray)
    return profile if mode not in {"CMYK", "LAB"} and _fits(profile, gray) else None


def _described_profile(info: dict[Any, Any], gray: bool) -> bytes | None:
    """That of a PNG's gAMA and cHRM; none for those of sRGB."""
    gamma = info.get("gamma", _SRGB_GAMMA)
    white_and_primaries = tuple(info.get("chromaticity", _SRGB_CHROMATICITIES))
    if not 0.01 < gamma < 10:
        return None
    usual_gamma = abs(gamma - _SRGB_GAMMA) < 1e-3
    if gray:
        return None if usual_gamma else gray_profile(1 / gamma)
    pairs = zip(white_and_primaries, _SRGB_CHROMATICITIES, strict=False)
    if usual_gamma and all(abs(value - usual) < 1e-3 for value, usual in pairs):
        return None
    try:
        return matrix_profile(1 / gamma, white_and_primaries)
    except ValueError:
        return None


def dpi_of(info: dict[Any, Any], exif: bytes | None = None) -> tuple[float, float] | None:
    """The resolution, unless it is one of the placeholders that stand for none."""
    try:
        x, y = (float(value) for value in info["dpi"])
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return _dpi_in(exif) if exif else None
    return (x, y) if 1 < x < 65536 and 1 < y < 65536 else None


def _dpi_in(exif: bytes) -> tuple[float, float] | None:
    tags = Image.Exif()
    tags.load(exif)
    unit = tags.get(ExifTags.Base.ResolutionUnit, _PER_INCH)
    found = [tags[tag] for tag in _RESOLUTION if tag in tags]
    if len(found) != 2 or unit not in (_PER_INCH, _PER_CENTIMETER):
        return None
    inches = 2.54 if unit == _PER_CENTIMETER else 1.0
    try:
        return dpi_of({"dpi": tuple(float(value) * inches for value in found)})
    except (TypeError, ValueError, ArithmeticError):
        return None


def carried(
    photo: Photo, form: Format, mode: str, *, provenance: Provenance | None = None, strip: bool = False
) -> dict[str, Any]:
    """What goes along into a file of this mode, by Pillow's names.

    PNG has a place of its own for the provenance, in the others it becomes a part of the XMP packet.
    """
    fits = _fits(photo.icc_profile, not mode.startswith("RGB"))
    found: dict[str, Any] = {"icc_profile": photo.icc_profile if fits else None, "dpi": photo.dpi}
    if not strip:
        found["exif"] = _described(photo, provenance)
        found["xmp"] = xmp.with_resolution(photo.xmp, photo.dpi) if photo.xmp and photo.dpi else photo.xmp
        if provenance and form.name != "PNG":
            found["xmp"] = xmp.with_provenance(found["xmp"], provenance.to_text(), SOFTWARE)
    return {name: value for name, value in found.items() if value is not None and name in form.carries}


def _described(photo: Photo, provenance: Provenance | None) -> bytes | None:
    """The EXIF data with the resolution and the software that hold now."""
    if photo.exif is None:
        return None
    tags = Image.Exif()
    try:
        tags.load(photo.exif)
        known = _dpi_in(photo.exif)
        outdated = (
            photo.dpi and known and max(abs(a - b) for a, b in zip(photo.dpi, known, strict=True)) > 0.01
        )
        if not outdated and provenance is None:
            return photo.exif
        if photo.dpi and outdated:
            tags[ExifTags.Base.XResolution], tags[ExifTags.Base.YResolution] = photo.dpi
            tags[ExifTags.Base.ResolutionUnit] = _PER_INCH
        if provenance:
            tags[ExifTags.Base.Software] = SOFTWARE
        return tags.tobytes()
    except (SyntaxError, ValueError, TypeError, OSError):
        return photo.exif


def _fits(profile: bytes | None, gray: bool) -> bool:
    # Of a damaged file the type may be any.
    return isinstance(profile, bytes) and profile[16:20] == (b"GRAY" if gray else b"RGB ")


def _belongs_to_file(tag: int) -> bool:
    """Whether a tag is about the file that was read: how its pixels lie, or other metadata inside it.

    TIFF keeps such tags beside those about the picture, and some cameras copy them. In a new file they
    would be wrong, and worse: Pillow lets an EXIF width override the width of the TIFF that it writes.
    """
    in_tiff_standard = 254 <= tag <= 532
    return (in_tiff_standard and tag not in _DESCRIPTIVE_TAGS) or tag in _EMBEDDED_BLOCKS
