"""JPEG files that Pillow does not decode: lossless, JPEG-LS, and more than 8 bits a sample, by imagecodecs.

Sources: ITU-T T.81 (JPEG), annexes B and H; ITU-T T.87 (JPEG-LS).
"""

from __future__ import annotations

from io import BytesIO
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from restore.errors import ImageError
from restore.images.decoding import swaps_sides, upright
from restore.images.deep import planes_of
from restore.images.exif import exif_of, orientation_of
from restore.images.jpeg import jpeg_frame, jpeg_scans, jpeg_segments
from restore.images.limits import DeclaredSize, check_declared_size
from restore.images.metadata import dpi_of, omitted_notes, xmp_of
from restore.images.photo import Photo
from restore.images.profiles import profile_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from restore.images.jpeg import Frame

__all__ = ["is_known", "read", "size_and_declared"]

_START = b"\xff\xd8"
_LOSSLESS, _LS = 0xC3, 0xF7


def is_known(file: IO[bytes]) -> bool:
    """Whether a file is a JPEG of a kind that this module reads and Pillow does not."""
    frame = jpeg_frame(_content(file))
    return frame is not None and (frame.kind in (_LOSSLESS, _LS) or frame.bits > 8)


def size_and_declared(file: IO[bytes], max_pixels: int | None) -> tuple[tuple[int, int], DeclaredSize]:
    """Width and height, upright, and what decoding it takes.

    Raises:
        ImageError: it takes more than `max_pixels` allows.
    """
    content = _content(file)
    frame, declared = _checked(content, max_pixels)
    turned = swaps_sides(orientation_of(_metadata(content)))
    return (frame.height, frame.width) if turned else (frame.width, frame.height), declared


def read(file: IO[bytes], max_pixels: int | None) -> Photo:
    """The photo in it.

    Raises:
        ImageError: it takes more than `max_pixels` allows, or is neither gray nor RGB.
    """
    content = _content(file)
    frame, _ = _checked(content, max_pixels)
    carrier = _metadata(content)
    color = upright(planes_of(_decoded(content, frame), frame.bits), orientation_of(carrier))
    gray = color.shape[1] == 1
    bits: Literal[8, 16] = 16 if frame.bits > 8 else 8
    exif, exif_notes = exif_of(carrier)
    xmp, xmp_notes = xmp_of(carrier.info)
    return Photo(
        color=color.expand(-1, 3, -1, -1).contiguous() if gray else color,
        gray=gray,
        bits=bits,
        icc_profile=profile_of(carrier.info, mode="", png=False, gray=gray),
        exif=exif,
        xmp=xmp,
        dpi=dpi_of(carrier.info, exif),
        notes=(*exif_notes, *xmp_notes, *omitted_notes(carrier)),
    )


def _content(file: IO[bytes]) -> bytes:
    file.seek(0)
    return _START + file.read() if file.read(len(_START)) == _START else b""


def _checked(content: bytes, max_pixels: int | None) -> tuple[Frame, DeclaredSize]:
    frame = jpeg_frame(content)
    if frame is None:
        raise ImageError("it has no frame", hint="replace it by a whole copy")
    declared = DeclaredSize(frame.width, frame.height, frame.components * (2 if frame.bits > 8 else 1))
    check_declared_size(declared, max_pixels)
    return frame, declared


def _decoded(content: bytes, frame: Frame) -> NDArray[Any]:
    """(H, W, C) of 8- or 16-bit integers."""
    import imagecodecs

    # libjpeg would fill what is missing. In JPEG-LS, whose decoder does not, other bytes are markers.
    if frame.kind != _LS and jpeg_scans(content).end is None:
        raise ImageError("it is cut short", hint="replace it by a whole copy")
    if frame.components not in (1, 3):
        raise ImageError(
            f"it is a JPEG of {frame.components} components of {frame.bits} bits, which are not supported",
            hint="convert it to PNG",
        )
    decode = imagecodecs.jpegls_decode if frame.kind == _LS else imagecodecs.jpeg8_decode
    return np.atleast_3d(decode(content))


def _metadata(content: bytes) -> Image.Image:
    """A small image with the metadata of the file: Pillow reads that of kinds which it decodes only."""
    buffer = BytesIO()
    Image.new("L", (8, 8)).save(buffer, "JPEG")
    small = buffer.getvalue()
    after = 4 + int.from_bytes(small[4:6], "big")  # its own resolution is left out
    return JpegImageFile(BytesIO(_START + jpeg_segments(content) + small[after:]))
