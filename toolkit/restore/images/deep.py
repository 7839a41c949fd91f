"""Files of high bit depth that Pillow would reduce: 16-bit color in PNG and TIFF, floating-point TIFF.

Pillow reduces 16-bit color to 8 bits, and does not know gray with alpha of 16 bits or color in floating point
in TIFF. imagecodecs (libpng) and tifffile keep them; they are imported when the first such file is read.
"""

from __future__ import annotations

import logging
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from PIL import PngImagePlugin, TiffImagePlugin
from torch import Tensor

from restore.errors import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

__all__ = ["PALETTE", "bits_of", "is_deep", "planes_of", "png_planes", "tiff_page", "tiff_planes"]

PALETTE = 3
"""The photometric interpretation of a TIFF page whose pixels are indices of colors."""
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _YCBCR = 0, 1, 2, 6
_JPEG = (7, 34892)  # compressions whose decoder turns YCbCr into RGB
_ASSOCIATED = 1
_STRAIGHT = 2
_FLOAT = 3


def is_deep(image: Image.Image) -> bool:
    """Whether Pillow would reduce the pixels of an opened file to 8 bits when it decodes them."""
    if not isinstance(image, PngImagePlugin.PngImageFile | TiffImagePlugin.TiffImageFile) or not image.tile:
        return False
    return image.mode in {"RGB", "RGBA", "LA", "RGBX"} and ";16" in str(image.tile[0].args)


def png_planes(file: IO[bytes]) -> Tensor:
    """``(1, C, H, W)`` float32 in [0, 1]."""
    import imagecodecs

    file.seek(0)
    levels: NDArray[Any] = np.atleast_3d(imagecodecs.png_decode(file.read()))
    return planes_of(levels)


def tiff_page(file: IO[bytes]) -> Any:
    """The first page of a TIFF file as a tifffile page, not decoded."""
    import tifffile

    logging.getLogger("tifffile").addHandler(logging.NullHandler())  # it warns of unusual tags
    file.seek(0)
    return tifffile.TiffFile(file).pages.first


def bits_of(page: Any) -> Literal[8, 16, 32]:
    """Bits per channel of a page that are worth writing."""
    if page.sampleformat == _FLOAT:
        return 32
    if page.photometric == PALETTE:
        return 8
    return 16 if page.bitspersample > 8 else 8


def tiff_planes(page: Any) -> Tensor:
    """``(1, C, H, W)`` of a page as stored: float32 in [0, 1], C is 1 or 3, and 1 more with alpha.

    Raises:
        ImageError: it is cut short, is not gray or RGB, or its values have no known range.
    """
    ends = (start + size for start, size in zip(page.dataoffsets, page.databytecounts, strict=True))
    if max(ends, default=0) > page.parent.filehandle.size:  # of which some decoders give a part
        raise ImageError("it is cut short", hint="replace it by a whole copy")
    is_rgb = page.photometric == _RGB or (page.photometric == _YCBCR and page.compression in _JPEG)
    known = is_rgb or page.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, PALETTE)
    if not known or page.axes not in ("YX", "YXS", "SYX"):
        raise ImageError(
            f"TIFF with {_named(page.photometric)} pixels and {_named(page.compression)} compression is not "
            "supported",
            hint="convert it to 8- or 16-bit RGB",
        )
    values: NDArray[Any] = np.atleast_3d(page.asarray(maxworkers=1))
    if page.axes == "SYX":
        values = values.transpose(1, 2, 0)
    if page.photometric == PALETTE:
        return planes_of(page.colormap.T[values[..., 0]])
    colors = 3 if is_rgb else 1
    kinds = [int(kind) for kind in page.extrasamples][: values.shape[2] - colors]
    alpha = next((index for index, kind in enumerate(kinds) if kind in (_ASSOCIATED, _STRAIGHT)), None)
    channels = [*range(colors), *([] if alpha is None else [colors + alpha])]
    planes = planes_of(values[..., channels], page.bitspersample)
    if page.photometric == _WHITE_IS_ZERO:
        planes[:, :1] = 1 - planes[:, :1]
    if alpha is not None and kinds[alpha] == _ASSOCIATED:
        opacity = planes[:, -1:]
        planes[:, :-1] = torch.where(opacity > 0, planes[:, :-1] / opacity, 0.0).clamp(0, 1)
    return planes


def planes_of(values: NDArray[Any], bits: int = 16) -> Tensor:
    """``(1, C, H, W)`` float32 in [0, 1] of ``(H, W, C)`` integers of so many bits, or floats in [0, 1].

    Raises:
        ImageError: a value is not finite or beyond that range.
    """
    if values.dtype.kind == "i":
        raise ImageError(
            "its values are signed integers, whose range is not known",
            hint="convert it to unsigned integers of 8 or 16 bits",
        )
    full = 1 if values.dtype.kind == "f" else 2**bits - 1
    low, high = values.min(), values.max()
    if values.dtype.kind not in "uf" or not (low >= 0 and high <= full):  # so that NaN is refused as well
        raise ImageError(
            f"its values run from {low} to {high} where 0 to {full} is expected",
            hint="convert it to 16-bit RGB",
        )
    scaled = np.divide(values, full, dtype=np.float64 if bits > 24 else np.float32).astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1)))[None]


def _named(value: Any) -> str:
    """The name of an enumeration's member, or the number if it has none."""
    return str(getattr(value, "name", value)).lower()
