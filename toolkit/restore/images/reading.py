"""Files, and images in Pillow's memory, to photos."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageCms, ImageFile, TiffImagePlugin
from torch import Tensor

from restore.errors import ImageError
from restore.images.failures import check_file, explained, strict_pillow, why_unreadable
from restore.images.metadata import dpi_of, exif_of, orientation_of, profile_of
from restore.images.photo import Photo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["from_pil", "read", "read_levels", "size_of"]

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


def read(path: Path, *, max_pixels: int | None = None) -> Photo:
    """Read an image file of any format that Pillow opens, whatever its suffix says.

    Args:
        path: of the file.
        max_pixels: the most that it may have; left out, Pillow's limit.

    Raises:
        ImageError: names the file and the reason: it is missing, a folder, empty, not an image,
            damaged, cut short, beyond Pillow's limit of pixels, or holds values without a known range.
    """
    if max_pixels is not None:
        Image.MAX_IMAGE_PIXELS = max_pixels
    with _opened(path) as image:
        return _photo(image)


def read_levels(path: Path) -> Tensor:
    """The colours that `read` gives and nothing else, rounded to 8 bits: for loaders, which read many.

    Returns:
        ``(3, H, W)`` uint8, laid out in memory as the file had it.

    Raises:
        ImageError: as for `read`.
    """
    with _opened(path) as image:
        _check_picture(image)
        color, _ = _split(_decoded(image))
        if color.dtype != torch.uint8:
            color = (color * 255).round().to(torch.uint8)
        return color[0].expand(3, -1, -1)


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of an image file as it will be read, from its header alone.

    Raises:
        ImageError: names the file and the reason: it is missing, a folder, empty or not an image.
    """
    with explained(f"cannot read '{path}'", why_unreadable), strict_pillow():
        check_file(path)
        with Image.open(path) as image:
            width, height = image.size
            swapped, _ = _UPRIGHT.get(orientation_of(image), (False, ()))
            # The size that Pillow tells of TIFF, and only of TIFF, is that of the upright picture.
            return (height, width) if swapped and image.format != "TIFF" else (width, height)


def from_pil(image: Image.Image) -> Photo:
    """The photo of an image in Pillow's memory, of any mode; `image` keeps its pixels and its metadata.

    Raises:
        ImageError: the image has no pixels, is damaged, or holds values without a known range.
    """
    with explained("cannot use this image", why_unreadable):
        return _photo(image)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    with explained(f"cannot read '{path}'", why_unreadable), strict_pillow():
        check_file(path)
        # Not by its path: Pillow would map uncompressed TIFF into memory, and scramble it when the
        # orientation swaps its sides.
        with path.open("rb") as file, Image.open(file) as image:
            yield image


def _check_picture(image: Image.Image) -> None:
    if min(image.size) < 1:
        raise ImageError(f"it has no pixels ({image.width} x {image.height}); leave it out")
    if image.format == "EPS":  # Pillow would start Ghostscript on it
        raise ImageError("it is a PostScript page, not an image; convert it to PNG")


def _photo(image: Image.Image) -> Photo:
    _check_picture(image)
    frames = max(1, getattr(image, "n_frames", 1))  # before loading: counting may move to other frames
    planes = _decoded(image)
    deep = planes.dtype != torch.uint8
    color, alpha = _split(planes if deep else planes.contiguous().float().div_(255))
    gray = color.shape[1] == 1 or _is_gray_palette(image, color)
    return Photo(
        color=color if color.shape[1] == 3 else color.repeat(1, 3, 1, 1),
        alpha=alpha,
        gray=gray,
        bits=16 if deep else 8,
        icc_profile=profile_of(image, gray),
        exif=exif_of(image),
        dpi=dpi_of(image),
        frames=frames,
    )


def _decoded(image: Image.Image) -> Tensor:
    """(1, C, H, W) upright: uint8, or float32 in [0, 1] if deeper; C is 1 or 3, and 1 more with alpha."""
    _correct_transparent_color(image)
    image.load()
    deep = image.mode.startswith("I") or image.mode == "F"
    return _upright(_deep_planes(image) if deep else _planes(image), orientation_of(image))


def _split(planes: Tensor) -> tuple[Tensor, Tensor | None]:
    """Colour, and alpha if there is one."""
    return (planes[:, :-1], planes[:, -1:]) if planes.shape[1] % 2 == 0 else (planes, None)


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
            f"its values run from {low} to {high} where 0 to {full} is expected; convert it to 16-bit gray"
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
    """Bring the transparent colour of a PNG to the 8 bits of the pixels that Pillow compares with it."""
    key = image.info.get("transparency")
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    match key, tiles and tiles[0].args:
        case int(), "L;2" | "L;4" as packed:
            image.info["transparency"] = key * (85 if packed == "L;2" else 17)
        case tuple(), "RGB;16B":
            image.info["transparency"] = tuple(value >> 8 for value in key)


def _from_cmyk(image: Image.Image) -> Image.Image:
    """To sRGB by the embedded profile, or by Pillow's formula when there is none that works."""
    if profile := image.info.get("icc_profile"):
        with suppress(ImageCms.PyCMSError, OSError):
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            srgb = ImageCms.createProfile("sRGB")
            return ImageCms.buildTransform(source, srgb, "CMYK", "RGB").apply(image)
    return image.convert("RGB")


def _is_gray_palette(image: Image.Image, color: Tensor) -> bool:
    """GIF stores gray as a palette; with an RGB profile it stays colour, so that the profile fits."""
    if image.mode != "P" or "icc_profile" in image.info:
        return False
    return bool((color == color[:, :1]).all())


def _upright(planes: Tensor, orientation: int) -> Tensor:
    """(1, C, H, W) -> (1, C, H, W) or (1, C, W, H)."""
    if orientation not in _UPRIGHT:
        return planes
    swapped, reversed_axes = _UPRIGHT[orientation]
    return (planes.mT if swapped else planes).flip(reversed_axes).contiguous()
