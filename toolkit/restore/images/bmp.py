"""BMP with transparency: 32 bits a pixel behind a BITMAPV4HEADER, which Pillow does not write.

Source: [MS-WMF] 2.2.2.1 and the BITMAPV4HEADER structure of the Windows GDI reference.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["encoded"]

_HEADER = struct.Struct("<IiiHHIIiiII4I4s48x")  # 108 bytes
_BITFIELDS = 3
_MASKS = (0x00FF0000, 0x0000FF00, 0x000000FF, 0xFF000000)  # red, green, blue, alpha
_SRGB = b"BGRs"
_USUAL_DPI = (96.0, 96.0)


def encoded(pixels: NDArray[np.uint8], *, dpi: tuple[float, float] | None = None) -> bytes:
    """The bytes of a BMP file.

    Args:
        pixels: ``(H, W, 4)``: red, green, blue and alpha, the color not multiplied by it.
        dpi: horizontal and vertical resolution in pixels per inch.

    Raises:
        ValueError: the file would be larger than the 4 GiB that BMP can hold.

    Example:
        >>> encoded(np.zeros((2, 3, 4), np.uint8))[:2]
        b'BM'
    """
    height, width, _ = pixels.shape
    start = 14 + _HEADER.size
    if start + pixels.size >= 2**32:
        raise ValueError("BMP stores at most 4 GiB")
    resolution = (round(value / 0.0254) for value in dpi or _USUAL_DPI)
    sizes = (_HEADER.size, width, height, 1, 32, _BITFIELDS, pixels.size)
    header = _HEADER.pack(*sizes, *resolution, 0, 0, *_MASKS, _SRGB)
    rows = np.ascontiguousarray(pixels[::-1, :, [2, 1, 0, 3]])  # from the bottom
    return struct.pack("<2sIHHI", b"BM", start + pixels.size, 0, 0, start) + header + rows.tobytes()
