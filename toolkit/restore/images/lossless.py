"""Which files of formats that are usually lossy store their pixels exactly.

Sources: RFC 9649 (WebP), sections 2.3 to 2.7; ISO/IEC 14496-12, section 12.1.5 for the color information of
AVIF and HEIC.
"""

from __future__ import annotations

from typing import IO

from restore.images.jxl import read_header

__all__ = ["is_lossless"]

_HEAD = 2**16


def is_lossless(file: IO[bytes]) -> bool:
    """Whether a WebP, AVIF, HEIC or JPEG XL file was compressed without loss; false for any other format.

    AVIF and HEIC do not say it. They are taken for lossless if they store RGB, which only lossless encoders
    do.
    """
    file.seek(0)
    head = file.read(_HEAD)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _webp(file)
    if head[4:8] == b"ftyp":
        found = head.find(b"colrnclx")
        return found > 0 and head[found + 12 : found + 14] == b"\0\0"  # the matrix of coefficients: identity
    header = read_header(file)
    return header is not None and header.lossless


def _webp(file: IO[bytes]) -> bool:
    """By the kind of its first picture."""
    file.seek(12)
    while len(head := file.read(8)) == 8:
        kind, length = head[:4], int.from_bytes(head[4:], "little")
        if kind in (b"VP8 ", b"VP8L"):
            return kind == b"VP8L"
        file.seek(16 if kind == b"ANMF" else length + length % 2, 1)
    return False
