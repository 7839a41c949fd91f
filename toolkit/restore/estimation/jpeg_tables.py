"""Quality and chroma subsampling of a JPEG file from its header, without decoding pixels."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, JpegImagePlugin, UnidentifiedImageError

from restore.estimation.results import JpegEstimate, Subsampling
from restore.images.opening import opened_file, pillow_image
from restore.images.reading import header_of

__all__ = ["jpeg_from_file", "luma_tables", "nearest_quality", "standard_table"]

# ITU-T T.81, Tables K.1 and K.2, row by row.
_LUMA = [
    [16, 11, 10, 16, 24, 40, 51, 61],
    [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77],
    [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
]
_CHROMA = [
    [17, 18, 24, 47, 99, 99, 99, 99],
    [18, 21, 26, 66, 99, 99, 99, 99],
    [24, 26, 56, 99, 99, 99, 99, 99],
    [47, 66, 99, 99, 99, 99, 99, 99],
    *[[99] * 8 for _ in range(4)],
]
_FACTORS: dict[tuple[int, int], Subsampling] = {
    (1, 1): "4:4:4",
    (2, 1): "4:2:2",
    (1, 2): "4:4:0",
    (2, 2): "4:2:0",
    (4, 1): "4:1:1",
}
"""Luma samples to one chroma sample, horizontally and vertically."""
_TRANSPOSED: dict[Subsampling | None, Subsampling | None] = {
    "4:2:2": "4:4:0",
    "4:4:0": "4:2:2",
    "4:1:1": None,
}


def standard_table(quality: int, *, chroma: bool = False) -> NDArray[np.int64]:
    """Return the ``(8, 8)`` table that libjpeg's ``jpeg_set_quality`` makes for baseline files.

    Args:
        quality: from 1 to 100.
        chroma: scale Table K.2 instead of K.1 (ITU-T T.81).

    >>> standard_table(50)[0].tolist()
    [16, 11, 10, 16, 24, 40, 51, 61]
    >>> standard_table(90, chroma=True)[0].tolist()
    [3, 4, 5, 9, 20, 20, 20, 20]
    """
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    base: NDArray[np.int64] = np.array(_CHROMA if chroma else _LUMA)
    table: NDArray[np.int64] = np.clip((base * scale + 50) // 100, 1, 255)
    return table


def nearest_quality(table: NDArray[np.int64], *, used: NDArray[np.bool_] | None = None) -> int:
    """Return the quality whose luma table is nearest to `table` by the mean absolute log difference.

    Args:
        table: ``(8, 8)`` quantization steps, row by row, at least 1.
        used: ``(8, 8)``, which steps to compare; all of them by default.

    >>> nearest_quality(standard_table(75) + 2)
    73
    """
    weights = np.ones((8, 8)) if used is None else used.astype(float)
    distance = np.abs(np.log(luma_tables()) - np.log(np.clip(table, 1, 255))) * weights
    return int(distance.sum((1, 2)).argmin()) + 1


def jpeg_from_file(file: Path | bytes) -> JpegEstimate | None:
    """Read quality, subsampling and grid offset of a JPEG file from its header.

    The offset, and which of 4:2:2 and 4:4:0 it is, are those of the upright picture that `images.read` gives.

    Args:
        file: path or content.

    Returns:
        ``None`` where it is not a JPEG file, or one of a kind that Pillow does not decode.

    Raises:
        ImageError: the file at the path is missing or cannot be read.

    Example:
        >>> content = BytesIO()
        >>> Image.new("RGB", (64, 64)).save(content, "JPEG", quality=60)
        >>> jpeg_from_file(content.getvalue()).quality
        60
    """
    if isinstance(file, bytes):
        try:
            with Image.open(BytesIO(file), formats=["JPEG"]) as image:
                return _of_header(image)
        except UnidentifiedImageError:
            return None
    header_of(file)
    with opened_file(file) as content:
        if content.read(2) != b"\xff\xd8":
            return None
        try:
            with pillow_image(content, None) as image:
                return _of_header(image)
        except UnidentifiedImageError:  # such as one of 12 bits
            return None


def _of_header(image: Image.Image) -> JpegEstimate | None:
    if not isinstance(image, JpegImagePlugin.JpegImageFile) or not image.quantization:
        return None
    # Pillow lists components as (identifier, horizontal factor, vertical factor, table).
    luma, *chroma = image.layer
    tables = {number: np.array(table).reshape(8, 8) for number, table in image.quantization.items()}
    if luma[3] not in tables:
        return None
    quality = nearest_quality(tables[luma[3]])
    standard = np.array_equal(np.minimum(tables[luma[3]], 255), standard_table(quality))
    subsampling: Subsampling | None = None
    if len(chroma) == 2:
        subsampling = _FACTORS.get((luma[1] // chroma[0][1], luma[2] // chroma[0][2]))
        expected = (standard_table(quality, chroma=True), standard_table(quality))  # some encoders share one
        of_chroma = tables.get(chroma[0][3])
        standard = standard and any(
            of_chroma is not None and np.array_equal(np.minimum(of_chroma, 255), table) for table in expected
        )
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    if orientation in (5, 6, 7, 8):
        subsampling = _TRANSPOSED.get(subsampling, subsampling)
    offset = _upright_offset(image.height, image.width, orientation)
    return JpegEstimate(quality, standard, subsampling, offset, "tables", 1.0)


def _upright_offset(height: int, width: int, orientation: int) -> tuple[int, int]:
    """Return the grid offset after a picture stored with `height` and `width` is rotated upright."""
    down = height % 8 if orientation in (3, 4, 6, 7) else 0
    right = width % 8 if orientation in (2, 3, 7, 8) else 0
    return (right, down) if orientation in (5, 6, 7, 8) else (down, right)


@cache
def luma_tables() -> NDArray[np.int64]:
    """(100, 8, 8), the tables of the qualities from 1 to 100."""
    return np.stack([standard_table(quality) for quality in range(1, 101)])
