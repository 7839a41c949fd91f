"""What a file says about its picture: orientation, EXIF, colour profile, resolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PIL import ExifTags, Image, TiffImagePlugin

if TYPE_CHECKING:
    from restore.images.photo import Photo

__all__ = ["dpi_of", "exif_of", "metadata", "orientation_of", "profile_of"]

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


def orientation_of(image: Image.Image) -> int:
    """1 to 8; after loading, because Pillow turns TIFF (and only TIFF) by itself and resets the tag."""
    try:
        # Not by the method that PNG overrides, which would decode the pixels to find late EXIF data.
        return int(Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1))
    except MemoryError:
        raise
    except Exception:  # damaged EXIF data is no reason to refuse the picture
        return 1


def exif_of(image: Image.Image) -> bytes | None:
    """The EXIF data without what belongs to the file, such as orientation and size; none if damaged."""
    try:
        found = image.getexif()
        found.bigtiff = False  # of a BigTIFF, to get EXIF data, which has 32-bit offsets
        kept = Image.Exif()
        kept.load(found.tobytes())  # a copy: the caller's image keeps its tags
        for tag in filter(_belongs_to_file, list(kept)):
            del kept[tag]
        if ExifTags.IFD.Exif in kept:
            # Pillow would copy the place of the interoperability directory into TIFF, where it is wrong.
            for tag in (*_EXIF_SIZE, ExifTags.IFD.Interop):
                kept.get_ifd(ExifTags.IFD.Exif).pop(tag, None)
        return kept.tobytes() if len(kept) else None
    except MemoryError:
        raise
    except Exception:
        return None


def profile_of(image: Image.Image, gray: bool) -> bytes | None:
    """The embedded profile, unless the pixels were converted from its colour space or never in it."""
    profile = image.info.get("icc_profile")
    return profile if image.mode not in {"CMYK", "LAB"} and _fits(profile, gray) else None


def dpi_of(image: Image.Image) -> tuple[float, float] | None:
    """The resolution, unless it is one of the placeholders that stand for none."""
    try:
        x, y = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
    return (x, y) if 1 < x < 65536 and 1 < y < 65536 else None


def metadata(photo: Photo, mode: str) -> dict[str, Any]:
    """What goes along into a file of this mode, by Pillow's names."""
    found = {
        "icc_profile": photo.icc_profile if _fits(photo.icc_profile, not mode.startswith("RGB")) else None,
        "exif": photo.exif,
        "dpi": photo.dpi,
    }
    return {name: value for name, value in found.items() if value is not None}


def _fits(profile: bytes | None, gray: bool) -> bool:
    return profile is not None and profile[16:20] == (b"GRAY" if gray else b"RGB ")


def _belongs_to_file(tag: int) -> bool:
    """Whether a tag is about the file that was read: how its pixels lie, or other metadata inside it.

    TIFF keeps such tags beside those about the picture, and some cameras copy them. In a new file they
    would be wrong, and worse: Pillow lets an EXIF width override the width of the TIFF that it writes.
    """
    in_tiff_standard = 254 <= tag <= 532
    return (in_tiff_standard and tag not in _DESCRIPTIVE_TAGS) or tag in _EMBEDDED_BLOCKS
