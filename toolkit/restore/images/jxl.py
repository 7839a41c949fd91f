"""The header of a JPEG XL file, whose decoder gives no size before it has decoded the whole image.

Source: ISO/IEC 18181-1, annexes A (bundle fields), D (image header); 18181-2, clause 4 (boxes).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import IO

__all__ = ["JxlHeader", "read_header"]

_CODESTREAM = b"\xff\x0a"
_SIGNATURE = b"\0\0\0\x0cJXL \r\n\x87\n"
_HEAD = 256  # bytes of a codestream, more than its header takes
_SMALLEST = 12  # bytes of a codestream
_MAX_BOXES = 10_000
_SIZES = ((1, 9), (1, 13), (1, 18), (1, 30))
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Width to height, by the three bits that select one."""


@dataclass(frozen=True)
class JxlHeader:
    """Size and kind of a JPEG XL image, from its header."""

    width: int
    height: int
    extra: int = 0
    """Channels besides color, alpha among them; 0 where the header holds a preview or an animation."""
    lossless: bool = False
    """Whether pixels are stored exactly, as far as this is known."""
    bits: int = 8
    """Bits per channel of color; 8 where the header is not looked into that far."""


def read_header(file: IO[bytes]) -> JxlHeader | None:
    """The header, or ``None`` if the file is no JPEG XL or damaged; the position in `file` is lost.

    >>> from io import BytesIO
    >>> read_header(BytesIO(bytes.fromhex("ff0a410200000000000000000000")))
    JxlHeader(width=8, height=8, extra=0, lossless=False, bits=8)
    """
    file.seek(0)
    head = file.read(_HEAD)
    transcoded = False
    if head.startswith(_SIGNATURE):
        head, transcoded = _codestream(file)
    if not head.startswith(_CODESTREAM) or len(head) < _SMALLEST:
        return None
    found = _parsed(_Bits(head[2:]))
    return replace(found, lossless=False) if transcoded else found


def _codestream(file: IO[bytes]) -> tuple[bytes, bool]:
    """The beginning of the codestream in a container, and whether it was made of a JPEG."""
    place, transcoded = 0, False
    for _ in range(_MAX_BOXES):
        file.seek(place)
        box = file.read(16)
        size, kind, header = int.from_bytes(box[:4], "big"), box[4:8], 8
        if size == 1:
            size, header = int.from_bytes(box[8:], "big"), 16
        transcoded |= kind == b"jbrd"
        if kind in (b"jxlc", b"jxlp"):
            file.seek(place + header + (4 if kind == b"jxlp" else 0))
            return file.read(_HEAD), transcoded
        if size < header:  # 0: until the end of the file
            break
        place += size
    return b"", transcoded


def _parsed(bits: _Bits) -> JxlHeader:
    width, height = _size(bits)
    if bits.take(1):  # all defaults
        return JxlHeader(width, height)
    if bits.take(1):
        bits.take(3)  # the orientation
        if bits.take(3):  # an intrinsic size, a preview, an animation: not looked into
            return JxlHeader(width, height)
    if bits.take(1):  # floating point
        depth = bits.choose(((32, 0), (16, 0), (24, 0), (1, 6)))
        bits.take(4)
    else:
        depth = bits.choose(((8, 0), (10, 0), (12, 0), (1, 6)))
    bits.take(1)
    extra = bits.choose(((0, 0), (1, 0), (2, 4), (1, 12)))
    if any(not bits.take(1) for _ in range(min(extra, 16))):  # other than plain alpha: not looked into
        return JxlHeader(width, height, extra, bits=depth)
    return JxlHeader(width, height, extra, lossless=not bits.take(1), bits=depth)  # XYB if it is lossy


def _size(bits: _Bits) -> tuple[int, int]:
    small = bits.take(1)
    height = 8 * (bits.take(5) + 1) if small else bits.choose(_SIZES)
    if ratio := bits.take(3):
        across, down = _RATIOS[ratio - 1]
        return height * across // down, height
    return 8 * (bits.take(5) + 1) if small else bits.choose(_SIZES), height


class _Bits:
    """Bits of a header, the lowest of a byte first."""

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
