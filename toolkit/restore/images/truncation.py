"""JPEG files that were cut off and then ended properly.

Decoders fill what is missing with flat color and do not report it. The test: extra bytes before the end
marker of a whole file are skipped, but those of a file that was cut off are decoded as its missing pixels.
"""

from __future__ import annotations

import re
from io import BytesIO
from typing import IO, TYPE_CHECKING

import numpy as np
from PIL import Image

from restore.images.failures import strict_pillow

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["cut_off_notes", "is_cut_off"]

_START = b"\xff\xd8\xff"
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # besides stuffed bytes, restarts and padding
_END = 0xD9
_EOI = b"\xff\xd9"
_PROGRESSIVE = (0xC2, 0xCA)  # by Huffman and by arithmetic coding
_BLOCK = 8
_NOISE = np.random.default_rng(0).integers(0, 255, 512, np.uint8).tobytes()  # 255 would begin a marker
_FILLING = _NOISE + b"".join(bytes((0xFF, 0xD0 + index)) + _NOISE for index in range(8))
_TOLERATED = 4
"""Blocks that may differ: some encoders end a few bits early."""


def is_cut_off(path: Path) -> bool:
    """Whether a file is a JPEG whose lower part is missing, although it may end with an end marker.

    Any other format, and any file that cannot be read at all, is not recognized here: `read` refuses it.

    Args:
        path: of the file.
    """
    try:
        with path.open("rb") as file:
            return _is_cut_off(file)
    except OSError:
        return False


def cut_off_notes(file: IO[bytes]) -> tuple[str, ...]:
    """The note on a picture whose lower part is missing, for people."""
    return ("its file was cut off: the lower part of the image is missing",) if _is_cut_off(file) else ()


def _is_cut_off(file: IO[bytes]) -> bool:
    file.seek(0)
    return file.read(len(_START)) == _START and _is_cut_off_jpeg(_START + file.read())


def _is_cut_off_jpeg(content: bytes) -> bool:
    """The same of the bytes of a JPEG file, which is decoded twice.

    One pixel for each block is enough, except where a cut can take away detail alone.
    """
    end, progressive = _end_of_scans(content)
    if end is None:
        return True
    side = 1 if progressive else _BLOCK
    try:
        seen = _decoded(content[:end] + _EOI, side)
        filled = _decoded(content[:end] + _FILLING + _EOI, side)
    except MemoryError:
        raise
    except Exception:  # whatever is wrong with it, it is told when the file is read
        return False
    return int((seen != filled).any(-1).sum()) * side**2 > _TOLERATED * _BLOCK**2


def _end_of_scans(content: bytes) -> tuple[int | None, bool]:
    """Where the end marker of the first picture is, if it has one, and whether the picture is progressive."""
    place, progressive = 2, False
    while found := _MARKER.search(content, place):
        place, kind = found.start(), content[found.start() + 1]
        if kind == _END:
            return place, progressive
        progressive |= kind in _PROGRESSIVE
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return None, progressive


def _decoded(content: bytes, side: int) -> NDArray[np.uint8]:
    """``(H, W, C)``, one pixel for each square of `side`; gray where that suffices."""
    with strict_pillow(), Image.open(BytesIO(content), formats=["JPEG"]) as image:
        if side > 1:
            image.draft("L", (max(1, image.width // side), max(1, image.height // side)))
        return np.atleast_3d(np.asarray(image))
