"""BMP files whose channels are at places, or have numbers of bits, that Pillow does not know.

Source: the BITMAPINFOHEADER and BITMAPV4HEADER structures of the Windows GDI reference.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import IO, Literal

import numpy as np
import torch

from restore.errors import ImageError
from restore.images.limits import DeclaredSize, check_declared_size
from restore.images.photo import Photo

__all__ = ["is_known", "read", "size_and_declared"]

_HEADER = struct.Struct("<2s8xIIiiHHIIii8x4I")  # with the masks, which may come after a shorter header
_BITFIELDS, _WITH_ALPHA = 3, 6
_WITH_ALPHA_MASK = 56  # bytes of the shortest header that has one


@dataclass(frozen=True)
class _Layout:
    start: int
    width: int
    height: int
    """Negative if the rows come from the top."""
    bits: Literal[16, 32]
    """Of a pixel."""
    masks: tuple[int, ...]
    """Of red, green, blue and, if there is one, alpha."""
    dpi: tuple[float, float] | None


def is_known(file: IO[bytes]) -> bool:
    """Whether a file is a BMP of 16 or 32 bits per pixel with a mask for each channel."""
    return _layout(file) is not None


def size_and_declared(file: IO[bytes], max_pixels: int | None) -> tuple[tuple[int, int], DeclaredSize]:
    """Width and height, and what decoding it takes.

    Raises:
        ImageError: it takes more than `max_pixels` allows.
    """
    layout = _checked(file, max_pixels)
    return (layout.width, abs(layout.height)), _declared(layout)


def read(file: IO[bytes], max_pixels: int | None) -> Photo:
    """The photo in it.

    Raises:
        ImageError: it takes more than `max_pixels` allows, or the file is cut short.
    """
    layout = _checked(file, max_pixels)
    values = _values(file, layout)
    full = [mask >> _shift(mask) for mask in layout.masks]
    planes = [
        ((values & np.uint32(mask)) >> np.uint32(_shift(mask))).astype(np.float32) / np.float32(most)
        for mask, most in zip(layout.masks, full, strict=True)
    ]
    pixels = torch.from_numpy(np.stack(planes))[None]
    return Photo(
        color=pixels[:, :3].contiguous(),
        alpha=pixels[:, 3:].contiguous() if len(planes) == 4 else None,
        bits=16 if max(full) > 255 else 8,
        dpi=layout.dpi,
    )


def _values(file: IO[bytes], layout: _Layout) -> np.ndarray[tuple[int, int], np.dtype[np.uint32]]:
    """(H, W), each the bits of a pixel, from the top."""
    stride = (layout.width * layout.bits + 31) // 32 * 4
    height = abs(layout.height)
    file.seek(layout.start)
    content = file.read(stride * height)
    if len(content) < stride * height:
        raise ImageError("it is cut short", hint="replace it by a whole copy")
    rows = np.frombuffer(content, f"<u{layout.bits // 8}").reshape(height, -1)[:, : layout.width]
    return (rows if layout.height < 0 else rows[::-1]).astype(np.uint32)


def _checked(file: IO[bytes], max_pixels: int | None) -> _Layout:
    layout = _layout(file)
    if layout is None:
        raise ImageError("its header is damaged", hint="replace it by a whole copy")
    check_declared_size(_declared(layout), max_pixels)
    return layout


def _declared(layout: _Layout) -> DeclaredSize:
    return DeclaredSize(layout.width, abs(layout.height), pixel_bytes=16)


def _layout(file: IO[bytes]) -> _Layout | None:
    file.seek(0)
    head = file.read(_HEADER.size)
    if len(head) < _HEADER.size:
        return None
    magic, start, size, width, height, _, bits, compression, _, *rest = _HEADER.unpack(head)
    density, masks = rest[:2], tuple(rest[2:])
    with_alpha = size >= _WITH_ALPHA_MASK or compression == _WITH_ALPHA
    masks = masks if with_alpha and masks[3] else masks[:3]
    sound = all(0 < mask < 2**bits and _is_run(mask) for mask in masks)
    known = magic == b"BM" and bits in (16, 32) and compression in (_BITFIELDS, _WITH_ALPHA)
    if not (known and sound and width > 0 and height):
        return None
    dpi = tuple(value * 0.0254 for value in density)
    return _Layout(start, width, height, bits, masks, dpi if min(dpi) > 1 else None)


def _shift(mask: int) -> int:
    """Bits below the lowest that is set."""
    return (mask & -mask).bit_length() - 1


def _is_run(mask: int) -> bool:
    """Whether its bits are next to each other."""
    run = mask >> _shift(mask)
    return run & (run + 1) == 0
