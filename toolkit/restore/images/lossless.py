"""Which files of formats that are usually lossy store their pixels exactly.

Sources: RFC 9649 (WebP), sections 2.3 to 2.7; ISO/IEC 18181-1 (JPEG XL), annex D; ISO/IEC 14496-12, section
12.1.5 for the colour information of AVIF and HEIC.
"""

from __future__ import annotations

from typing import IO

__all__ = ["is_lossless"]

_HEAD = 2**16
_JXL = b"\xff\x0a"
_SMALLEST = 12  # bytes of a file of JPEG XL
_JXL_SIZES = ((1, 9), (1, 13), (1, 18), (1, 30))


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
    return _jxl(head)


def _webp(file: IO[bytes]) -> bool:
    """By the kind of its first picture."""
    file.seek(12)
    while len(head := file.read(8)) == 8:
        kind, length = head[:4], int.from_bytes(head[4:], "little")
        if kind in (b"VP8 ", b"VP8L"):
            return kind == b"VP8L"
        file.seek(16 if kind == b"ANMF" else length + length % 2, 1)
    return False


def _jxl(head: bytes) -> bool:
    """By its colors, which are XYB if it is lossy."""
    if head.startswith(b"\0\0\0\x0cJXL "):
        if b"jbrd" in head:  # the data to restore a JPEG
            return False
        box = min((place for kind in (b"jxlc", b"jxlp") if (place := head.find(kind)) > 0), default=-1)
        head = head[head.find(_JXL, box) :] if box > 0 else b""
    if not head.startswith(_JXL) or len(head) < _SMALLEST:
        return False
    bits = _Bits(head[2:200])
    small = bits.take(1)
    bits.take(5) if small else bits.choose(_JXL_SIZES)
    if bits.take(3) == 0:
        bits.take(5) if small else bits.choose(_JXL_SIZES)
    if bits.take(1):  # all defaults
        return False
    if bits.take(1):
        bits.take(3)  # the orientation
        if bits.take(3):  # an intrinsic size, a preview, an animation: not looked into
            return False
    if bits.take(1):  # floating point
        bits.choose(((32, 0), (16, 0), (24, 0), (1, 6)))
        bits.take(4)
    else:
        bits.choose(((8, 0), (10, 0), (12, 0), (1, 6)))
    bits.take(1)
    extra = bits.choose(((0, 0), (1, 0), (2, 4), (1, 12)))
    if any(not bits.take(1) for _ in range(min(extra, 16))):  # other than plain alpha: not looked into
        return False
    return not bits.take(1)


class _Bits:
    """Bits of a header of JPEG XL, the lowest of a byte first."""

    def __init__(self, data: bytes) -> None:
        self._rest = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        """An unsigned number of some bits."""
        value = self._rest & ((1 << count) - 1)
        self._rest >>= count
        return value

    def choose(self, ways: tuple[tuple[int, int], ...]) -> int:
        """A number of variable length: two bits select an offset and a count of bits."""
        offset, count = ways[self.take(2)]
        return offset + self.take(count)
