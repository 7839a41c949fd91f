"""Decode the pixels of an opened Pillow image of any mode to levels or to values in [0, 1]."""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO
from typing import IO, Literal

import numpy as np
import torch
from PIL import Image, ImageCms, ImageFile, TiffImagePlugin
from torch import Tensor

from restore.errors import ImageError
from restore.images import deep
from restore.images.exif import orientation_of

__all__ = ["decoded", "split", "swaps_sides", "upright"]

_UPRIGHT: dict[int, tuple[bool, tuple[int, ...]]] = {
    2: (False, (-1,)),
    3: (False, (-2, -1)),
    4: (False, (-2,)),
    5: (True, ()),
    6: (True, (-1,)),
    7: (True, (-2, -1)),
    8: (True, (-2,)),
}
"""EXIF orientation -> whether to swap rows and columns, and the axes to reverse after that."""


def decoded(image: Image.Image) -> tuple[Tensor, Literal[8, 16, 32]]:
    """(1, C, H, W) upright, and its bits: uint8, or float32 in [0, 1] if deeper.

    C is 1 or 3, and 1 more with alpha.
    """
    bits: Literal[8, 16, 32] = 8
    if isinstance(image, ImageFile.ImageFile) and image.fp is not None and deep.is_deep(image):
        planes, bits = _decoded_deep(image, image.fp)
    else:
        _correct_transparent_color(image)
        image.load()
        if image.mode.startswith("I") or image.mode == "F":
            planes, bits = _deep_planes(image), 32 if image.mode == "F" else 16
        else:
            planes = _planes(image)
    return upright(planes, orientation_of(image)), bits


def _decoded_deep(image: Image.Image, file: IO[bytes]) -> tuple[Tensor, Literal[8, 16, 32]]:
    """Like `decoded`, for files that Pillow would reduce to 8 bits; the orientation is not applied."""
    if image.format == "TIFF":
        page = deep.tiff_page(file)
        return deep.tiff_planes(page), deep.bits_of(page)
    place = file.tell()
    planes = deep.png_planes(file)
    file.seek(place)
    image.load()  # which reads what comes after the pixels
    return planes, 16


def split(planes: Tensor) -> tuple[Tensor, Tensor | None]:
    """Split into color and alpha; alpha is `None` if there is none."""
    return (planes[:, :-1], planes[:, -1:]) if planes.shape[1] % 2 == 0 else (planes, None)


def swaps_sides(orientation: int) -> bool:
    """Whether this EXIF orientation swaps width and height."""
    return orientation in _UPRIGHT and _UPRIGHT[orientation][0]


def upright(planes: Tensor, orientation: int) -> Tensor:
    """(1, C, H, W) -> (1, C, H, W) or (1, C, W, H)."""
    if orientation not in _UPRIGHT:
        return planes
    swapped, reversed_axes = _UPRIGHT[orientation]
    return (planes.mT if swapped else planes).flip(reversed_axes).contiguous()


def _planes(image: Image.Image) -> Tensor:
    """(1, C, H, W) uint8 of an image with 8 bits or less a channel; C is 1 or 3, and 1 more with alpha."""
    base = "L" if image.mode in {"1", "L", "LA", "La"} else "RGB"
    mode = base + "A" if image.has_transparency_data else base
    if image.mode == "CMYK":
        image = _from_cmyk(image)
    levels = np.atleast_3d(np.array(image if image.mode == mode else image.convert(mode)))  # (H, W, C)
    return torch.from_numpy(levels).permute(2, 0, 1)[None]


def _deep_planes(image: Image.Image) -> Tensor:
    """(1, C, H, W) of a gray image with 16 or 32 bits; C is 2 with alpha.

    Raises:
        ImageError: the values have no known range.
    """
    values = np.array(image)  # (H, W)
    full, inverted = _deep_range(image)
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= full):  # so that NaN is refused as well
        raise ImageError(
            f"its values run from {low} to {high} where 0 to {full} is expected",
            hint="convert it to 16-bit gray",
        )
    level = values.astype(np.float32) / np.float32(full)
    planes = [1 - level if inverted else level]
    if (key := image.info.get("transparency")) is not None:
        planes.append((values != key).astype(np.float32))
    return torch.from_numpy(np.stack(planes))[None]


def _deep_range(image: Image.Image) -> tuple[int, bool]:
    """The value of full scale, and whether that is black.

    Pillow hands out 12-bit TIFF as it is, and inverts TIFF whose zero is white only up to 8 bits.
    """
    full, inverted = 1 if image.mode == "F" else 65535, False
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        inverted = image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0
        if image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE) == (12,):
            full = 4095
    return full, inverted


def _correct_transparent_color(image: Image.Image) -> None:
    """Scale the transparent color of a PNG to 8 bits, the depth of the decoded pixels."""
    key = image.info.get("transparency")
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    match key, tiles and tiles[0].args:
        case int(), "L;2" | "L;4" as packed:
            image.info["transparency"] = key * (85 if packed == "L;2" else 17)
        case tuple(), "RGB;16B":
            image.info["transparency"] = tuple(value >> 8 for value in key)


def _from_cmyk(image: Image.Image) -> Image.Image:
    """Convert CMYK to sRGB with the embedded profile, or with Pillow's formula without a valid one."""
    if profile := image.info.get("icc_profile"):
        with suppress(ImageCms.PyCMSError, OSError):
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            srgb = ImageCms.createProfile("sRGB")
            return ImageCms.buildTransform(source, srgb, "CMYK", "RGB").apply(image)
    return image.convert("RGB")
