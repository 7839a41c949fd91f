"""Bits per channel of files that Pillow decodes to 8 bits, from their headers.

Source: AV1-ISOBMFF, section 2.3.3 (av1C); ISO/IEC 14496-15, section 8.3.2 (hvcC); ISO/IEC 15444-1, annex
A.5.1 (SIZ).
"""

from __future__ import annotations

from typing import IO

from restore.images.jxl import read_header

__all__ = ["stored_bits"]

_HEAD = 2**18  # bytes that hold the header


def stored_bits(file: IO[bytes], form: str | None) -> int:
    """The bits per channel of an AVIF, HEIF, JPEG XL or JPEG 2000 file; 8 of others, or where it is unknown.

    Args:
        file: its position is kept.
        form: the format by Pillow's name.
    """
    if form not in ("AVIF", "HEIF", "JXL", "JPEG2000"):
        return 8
    place = file.tell()
    file.seek(0)
    head = file.read(_HEAD)
    if form == "JXL":
        header = read_header(file)
        bits = header.bits if header else 8
    elif form == "AVIF":
        flags = _byte(head, b"av1C", 2)
        bits = 8 if not flags & 0x40 else 12 if flags & 0x20 else 10
    elif form == "HEIF":
        bits = 8 + (_byte(head, b"hvcC", 17) & 7)
    else:
        bits = 1 + (_byte(head, b"\xff\x4f\xff\x51", 38) & 0x7F)
    file.seek(place)
    return bits


def _byte(head: bytes, name: bytes, offset: int) -> int:
    """Read one byte of a box by its offset after the box type; 0 if there is no such box."""
    place = head.find(name)
    at = place + len(name) + offset
    return head[at] if place >= 0 and at < len(head) else 0
