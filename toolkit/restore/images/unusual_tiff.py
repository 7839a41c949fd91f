"""TIFF files that Pillow does not know, such as those of color in floating point, by tifffile."""

from __future__ import annotations

from typing import IO, Any

from PIL import Image, TiffImagePlugin

from restore.images import deep
from restore.images.decoding import split, swaps_sides, upright
from restore.images.exif import exif_of_tags, orientation_in
from restore.images.limits import DeclaredSize, check_declared_size, declared_by_page
from restore.images.metadata import channel_notes, dpi_of, xmp_of
from restore.images.photo import Photo
from restore.images.profiles import profile_of

__all__ = ["is_known", "is_preferred", "read", "size_and_declared"]

_RATIONAL = 5
_WEBP = 50001
_UNSIGNED, _SIGNED = 1, 2


def is_known(file: IO[bytes]) -> bool:
    """Whether a file begins as a TIFF or BigTIFF does."""
    file.seek(0)
    return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def is_preferred(image: Image.Image) -> bool:
    """Whether Pillow has opened a TIFF file that it decodes wrongly, or not in all its builds."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    tags = image.tag_v2
    kind, bits = tags.get(TiffImagePlugin.SAMPLEFORMAT, (1,)), tags.get(TiffImagePlugin.BITSPERSAMPLE)
    changes_sign = (kind[0] == _SIGNED and bits == (8,)) or (kind[0] == _UNSIGNED and bits == (32,))
    return tags.get(TiffImagePlugin.COMPRESSION) == _WEBP or changes_sign


def size_and_declared(file: IO[bytes], max_pixels: int | None) -> tuple[tuple[int, int], DeclaredSize]:
    """Width and height of the first page, upright, and what decoding it takes.

    Raises:
        ImageError: it takes more than `max_pixels` allows.
    """
    page = _page(file, max_pixels)
    width, height = page.imagewidth, page.imagelength
    turned = swaps_sides(orientation_in(_tags(file, page)))
    return (height, width) if turned else (width, height), declared_by_page(page)


def read(file: IO[bytes], max_pixels: int | None) -> Photo:
    """The photo of the first page.

    Raises:
        ImageError: it takes more than `max_pixels` allows, or is of a kind that is not known.
    """
    page = _page(file, max_pixels)
    planes = deep.tiff_planes(page)
    exif = _tags(file, page)
    color, alpha = split(upright(planes, orientation_in(exif)))
    gray = color.shape[1] == 1
    info = {"icc_profile": exif.get(TiffImagePlugin.ICCPROFILE), "xmp": exif.get(TiffImagePlugin.XMP)}
    kept, exif_notes = exif_of_tags(exif)
    xmp, xmp_notes = xmp_of(info)
    return Photo(
        color=color.repeat(1, 3, 1, 1) if gray else color,
        alpha=alpha,
        gray=gray,
        bits=deep.bits_of(page),
        icc_profile=profile_of(info, mode="", png=False, gray=gray),
        exif=kept,
        xmp=xmp,
        dpi=dpi_of(info, kept),
        notes=(
            *(("its palette became RGB",) if page.photometric == deep.PALETTE else ()),
            *channel_notes(page.photometric, page.samplesperpixel, alpha=alpha is not None),
            *exif_notes,
            *xmp_notes,
        ),
    )


def _page(file: IO[bytes], max_pixels: int | None) -> Any:
    page = deep.tiff_page(file)
    check_declared_size(declared_by_page(page), max_pixels)
    return page


def _tags(file: IO[bytes], page: Any) -> Image.Exif:
    tags = Image.Exif()
    if not page.parent.is_bigtiff:
        file.seek(0)
        tags.load_from_fp(file)
        return tags
    for tag in page.tags.values():  # Pillow does not read those of BigTIFF here
        if isinstance(tag.value, str | int | bytes):
            tags[tag.code] = tag.value
        elif tag.dtype == _RATIONAL and tag.count == 1:
            tags[tag.code] = TiffImagePlugin.IFDRational(*tag.value)
    return tags
