"""TIFF of 8 and 16 bits and floating point, compressed, with everything that the file may carry.

Pillow writes no 16-bit color, and compresses no file with EXIF directories. The pixels are written here, in
strips with Deflate and the difference to the left neighbor; the directories are written by Pillow.

Source: TIFF 6.0 sections 7, 14 and 18; TIFF Technical Note 1 of Adobe Photoshop for Deflate.
"""

from __future__ import annotations

import struct
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any

import numpy as np
from isal import isal_zlib
from PIL import ExifTags, Image, TiffImagePlugin

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    Band = NDArray[Any]

__all__ = ["encoded"]

_DEFLATE, _DIFFERENCES, _UNASSOCIATED_ALPHA, _FLOAT = 8, 2, 2, 3
_BYTE, _TEXT, _SHORT, _LONG, _UNDEFINED = 1, 2, 3, 4, 7
_LEVEL = 1


def encoded(
    bands: Iterable[Band],
    size: tuple[int, int],
    *,
    icc_profile: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    dpi: tuple[float, float] | None = None,
    software: str | None = None,
) -> Iterator[bytes]:
    """The bytes of a TIFF file; the compressed strips are held in memory, because their sizes come first.

    Args:
        bands: ``(rows, W, C)`` each, from the top, all of one height but the last, of uint8, uint16 or
            float32 in L, LA, RGB or RGBA.
        size: width and height of the whole.
        icc_profile: as the bytes of its file.
        exif: with or without the six bytes that begin it in JPEG.
        xmp: the packet in UTF-8.
        dpi: horizontal and vertical resolution in pixels per inch.
        software: what wrote it.

    Raises:
        ValueError: the file would be larger than the 4 GiB that TIFF can hold.
    """
    remaining = iter(bands)
    first = next(remaining)
    (rows, _, channels), kind = first.shape, first.dtype
    strips = [isal_zlib.compress(_differences(band), _LEVEL) for band in chain([first], remaining)]
    if sum(map(len, strips)) > 2**32 - 2**24:
        raise ValueError("TIFF stores at most 4 GiB")
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    if exif:
        _copy_exif(directory, exif)
    for tag, of_type, value in _layout(size, rows, channels, kind, strips):
        directory.tagtype[tag] = of_type
        directory[tag] = value
    for tag, of_type, data in (
        (ExifTags.Base.InterColorProfile, _UNDEFINED, icc_profile),
        (TiffImagePlugin.XMP, _BYTE, xmp),
        (ExifTags.Base.Software, _TEXT, software),
    ):
        if data:
            directory.tagtype[tag] = of_type
            directory[tag] = data
    if dpi:
        directory[ExifTags.Base.ResolutionUnit] = 2
        directory[ExifTags.Base.XResolution], directory[ExifTags.Base.YResolution] = dpi
    yield b"II*\0" + struct.pack("<I", 8) + directory.tobytes(8)
    yield from strips


def _layout(
    size: tuple[int, int], rows: int, channels: int, kind: np.dtype[Any], strips: list[bytes]
) -> Iterator[tuple[int, int, Any]]:
    """Tags that tell where the pixels are and what they mean."""
    lengths = [len(strip) for strip in strips]
    tags = TiffImagePlugin
    yield tags.IMAGEWIDTH, _LONG, size[0]
    yield tags.IMAGELENGTH, _LONG, size[1]
    yield tags.BITSPERSAMPLE, _SHORT, (8 * kind.itemsize,) * channels
    yield tags.COMPRESSION, _SHORT, _DEFLATE
    yield tags.PHOTOMETRIC_INTERPRETATION, _SHORT, 2 if channels > 2 else 1
    yield tags.SAMPLESPERPIXEL, _SHORT, channels
    yield tags.ROWSPERSTRIP, _LONG, rows
    yield tags.STRIPOFFSETS, _LONG, tuple(accumulate(lengths[:-1], initial=0))
    yield tags.STRIPBYTECOUNTS, _LONG, tuple(lengths)
    if channels in (2, 4):
        yield tags.EXTRASAMPLES, _SHORT, _UNASSOCIATED_ALPHA
    if kind.kind == "f":
        yield tags.SAMPLEFORMAT, _SHORT, (_FLOAT,) * channels
    else:
        yield tags.PREDICTOR, _SHORT, _DIFFERENCES


def _differences(band: Band) -> bytes:
    """Each level as the difference to its left neighbor; floating point as it is."""
    if band.dtype.kind == "f":
        return band.astype("<f4").tobytes()
    result = band.copy()
    np.subtract(band[:, 1:], band[:, :-1], out=result[:, 1:])
    return result.astype(band.dtype.newbyteorder("<")).tobytes()


def _copy_exif(directory: TiffImagePlugin.ImageFileDirectory_v2, exif: bytes) -> None:
    tags = Image.Exif()
    tags.load(exif)
    for tag, value in tags.items():
        is_directory = tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
        if is_directory:
            directory.tagtype[tag] = _LONG
        directory[tag] = tags.get_ifd(tag) if is_directory else value
