"""JPEG files that were cut off and then ended properly.

Decoders fill what is missing with flat color and do not report it. The test: extra bytes before the end
marker of a whole file are skipped, but those of a file that was cut off are decoded as its missing pixels.
A progressive file that was cut between two scans is recognized by the bits that its scans do not have.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from restore.images.failures import strict_pillow
from restore.images.jpeg import jpeg_scans

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from restore.images.jpeg import Scans

__all__ = ["cut_off_notes", "is_cut_off"]

_START = b"\xff\xd8\xff"
_EOI = b"\xff\xd9"
_BLOCK = 8
_NOISE = np.random.default_rng(0).integers(0, 255, 512, np.uint8).tobytes()  # 255 would begin a marker
_FILLING = _NOISE + b"".join(bytes((0xFF, 0xD0 + index)) + _NOISE for index in range(8))
_TOLERATED = 4
"""Blocks that may differ: some encoders end a few bits early."""


def is_cut_off(path: Path) -> bool:
    """Whether a file is a JPEG of which a part is missing, although it may end with an end marker.

    Any other format, and any file that cannot be read at all, is not recognized here: `read` refuses it.

    Args:
        path: of the file.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(_START)) != _START:
                return False
            content = _START + file.read()
    except OSError:
        return False
    return bool(cut_off_notes(content, jpeg_scans(content)))


def cut_off_notes(content: bytes, scans: Scans, image: Image.Image | None = None) -> tuple[str, ...]:
    """The note on an image of which a part is missing.

    Args:
        content: of a JPEG file.
        scans: in `content`.
        image: decoded, if it is known: then `content` is decoded once instead of twice.
    """
    if scans.end is None or (scans.complete and _lacks_rows(content, scans, image)):
        return ("its file was cut off: the lower part of the image is missing",)
    return () if scans.complete else ("its file was cut off: details or the lower part are missing",)


def _lacks_rows(content: bytes, scans: Scans, image: Image.Image | None) -> bool:
    """Whether the pixels depend on bytes added before the end marker.

    One pixel for each block is enough, except where a cut can take away detail alone.
    """
    side = 1 if scans.progressive else _BLOCK
    try:
        filled = _decoded(content[: scans.end] + _FILLING + _EOI, side)
        if side == 1 and image is not None:
            seen = np.atleast_3d(np.asarray(image))
        else:
            seen = _decoded(content[: scans.end] + _EOI, side)
    except MemoryError:
        raise
    except Exception:  # whatever is wrong with it, reading the file reports it
        return False
    return int((seen != filled).any(-1).sum()) * side**2 > _TOLERATED * _BLOCK**2


def _decoded(content: bytes, side: int) -> NDArray[np.uint8]:
    """``(H, W, C)``, one pixel for each square of `side`; gray where that suffices."""
    with strict_pillow(), Image.open(BytesIO(content), formats=["JPEG"]) as image:
        if side > 1:
            image.draft("L", (max(1, image.width // side), max(1, image.height // side)))
        return np.atleast_3d(np.asarray(image))
