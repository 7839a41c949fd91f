"""The segments of a JPEG file: its scans, its first frame and its metadata, without decoding."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Frame", "Scans", "jpeg_frame", "jpeg_scans", "jpeg_segments"]

_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # besides stuffed bytes, restarts and padding
_SCAN, _END = 0xDA, 0xD9
_FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}  # 0xF7: of JPEG-LS
_METADATA = frozenset({*range(0xE0, 0xF0), 0xFE})  # application segments and comments
_PROGRESSIVE = (0xC2, 0xCA)  # by Huffman and by arithmetic coding
_UNSEEN = 99  # more bits than a coefficient has


@dataclass(frozen=True)
class Scans:
    """The scans of the first image in a JPEG file."""

    count: int
    progressive: bool
    end: int | None
    """Offset of the end marker, if the file has one."""
    complete: bool
    """Whether a progressive file has every bit of every coefficient, by the headers of its scans."""


def jpeg_scans(content: bytes) -> Scans:
    """The scans in the bytes of a JPEG file.

    Source: ITU-T T.81, annexes B and G.1.1.1.
    """
    place, count, progressive, end = 2, 0, False, None
    missing: dict[int, list[int]] = {}  # component -> bits that each of its 64 coefficients still lacks
    while found := _MARKER.search(content, place):
        place, kind = found.start(), content[found.start() + 1]
        if kind == _END:
            end = place
            break
        start, place = place + 4, place + 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        segment = content[start:place]
        if kind in _PROGRESSIVE:
            progressive = True
            missing = {component: [_UNSEEN] * 64 for component in segment[6::3]}
        elif kind == _SCAN:
            count += 1
            _count_bits(segment, missing)
    return Scans(count, progressive, end, not any(map(any, missing.values())))


def _count_bits(scan: bytes, missing: dict[int, list[int]]) -> None:
    """Note what a scan adds, by its header."""
    components = scan[0] if scan else 0
    if len(scan) < 4 + 2 * components:
        return
    first, last, bits = scan[1 + 2 * components : 4 + 2 * components]
    for component in scan[1 : 1 + 2 * components : 2]:
        for coefficient in range(first, min(last, 63) + 1):
            if component in missing:
                missing[component][coefficient] = bits & 15


@dataclass(frozen=True)
class Frame:
    """The header of the first frame in a JPEG file."""

    kind: int
    """The second byte of its marker."""
    bits: int
    """Of a sample."""
    width: int
    height: int
    components: int


def jpeg_frame(content: bytes) -> Frame | None:
    """The header of the first frame in the bytes of a JPEG file; ``None`` if there is none.

    Source: ITU-T T.81, annex B.2.2.
    """
    for kind, start, end in _segments(content):
        if kind in _FRAMES and end - start >= 8:
            bits, height, width, components = struct.unpack_from(">BHHB", content, start + 2)
            return Frame(kind, bits, width, height, components)
    return None


def jpeg_segments(content: bytes) -> bytes:
    """The application segments and comments before the first frame of a JPEG file, with their markers."""
    found = []
    for kind, start, end in _segments(content):
        if kind in _FRAMES:
            break
        if kind in _METADATA:
            found.append(content[start - 2 : end])
    return b"".join(found)


def _segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the kind, start (after the marker) and end of each segment up to the first scan."""
    place = 2
    while (found := _MARKER.search(content, place)) and (kind := content[found.start() + 1]) != _SCAN:
        start = found.start() + 2
        place = start + int.from_bytes(content[start : start + 2], "big")
        yield kind, start, place
