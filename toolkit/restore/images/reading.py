"""Files, and images in Pillow's memory, to photos."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from PIL import Image, ImageCms, ImageFile, TiffImagePlugin, UnidentifiedImageError
from torch import Tensor

from restore.errors import ImageError
from restore.images import deep
from restore.images.failures import explained, why_unreadable
from restore.images.lossless import is_lossless
from restore.images.metadata import (
    channel_notes,
    dpi_of,
    exif_of,
    exif_of_tags,
    orientation_in,
    orientation_of,
    profile_of,
    xmp_of,
)
from restore.images.opening import MAX_PIXELS, check_pixels, opened_file, pillow_image
from restore.images.photo import Photo
from restore.images.truncation import cut_off_notes
from restore.levels import to_levels

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["from_pil", "photo_of", "read", "read_levels", "size_of"]

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

_SWAPPED = frozenset(orientation for orientation, (swapped, _) in _UPRIGHT.items() if swapped)
_CHANGED_MODES = {
    "1": "its 1-bit pixels became 8-bit gray",
    "P": "its palette became RGB",
    "PA": "its palette became RGB",
    "CMYK": "its CMYK became RGB of 8 bits",
    "LAB": "its L*a*b* became RGB",
    "HSV": "its HSV became RGB",
}


def read(path: Path, *, max_pixels: int | None = MAX_PIXELS) -> Photo:
    """Read an image file of any format that Pillow opens, whatever its suffix says.

    Args:
        path: of the file; of an animation or a file of several pages, the first picture is read.
        max_pixels: the most that the picture may have; ``None`` is any number.

    Raises:
        ImageError: names the file and the reason: it is missing, a folder, empty, not an image, damaged,
            cut short, beyond `max_pixels`, holds values without a known range, or needs a library that is
            not installed.
    """
    with opened_file(path) as file:
        try:
            image = pillow_image(file, max_pixels)
        except UnidentifiedImageError:
            if not _is_tiff(file):
                raise
            return _unusual_tiff(file, max_pixels)
        with image:
            photo = photo_of(image)
        return replace(photo, lossless=is_lossless(file), notes=(*photo.notes, *cut_off_notes(file)))


def read_levels(path: Path) -> Tensor:
    """The colours that `read` gives and nothing else, rounded to 8 bits: for loaders, which read many.

    Returns:
        ``(3, H, W)`` uint8, laid out in memory as the file had it.

    Raises:
        ImageError: as for `read`.
    """
    with opened_file(path) as file:
        try:
            image = pillow_image(file, MAX_PIXELS)
        except UnidentifiedImageError:
            if not _is_tiff(file):
                raise
            planes = _unusual_tiff(file, MAX_PIXELS).color
        else:
            with image:
                _check_picture(image)
                planes, _ = _split(_decoded(image)[0])
    if planes.dtype != torch.uint8:
        planes = to_levels(planes)
    return planes[0].expand(3, -1, -1)


def size_of(path: Path, *, max_pixels: int | None = None) -> tuple[int, int]:
    """Width and height of an image file as it will be read, from its header alone.

    Raises:
        ImageError: names the file and the reason: it is missing, a folder, empty, not an image, or larger
            than `max_pixels`.
    """
    with opened_file(path) as file:
        try:
            image = pillow_image(file, max_pixels)
        except UnidentifiedImageError:
            if not _is_tiff(file):
                raise
            page = _unusual_tiff_page(file, max_pixels)
            swapped = orientation_in(_tiff_tags(file)) in _SWAPPED
            return (page.imagelength, page.imagewidth) if swapped else (page.imagewidth, page.imagelength)
        with image:
            width, height = image.size
            swapped = orientation_of(image) in _SWAPPED
            # The size that Pillow tells of TIFF, and only of TIFF, is that of the upright picture.
            return (height, width) if swapped and image.format != "TIFF" else (width, height)


def from_pil(image: Image.Image) -> Photo:
    """The photo of an image in Pillow's memory, of any mode; `image` keeps its pixels and its metadata.

    Raises:
        ImageError: the image has no pixels, is damaged, or holds values without a known range.
    """
    with explained("cannot use this image", why_unreadable):
        return photo_of(image)


def _check_picture(image: Image.Image) -> None:
    if min(image.size) < 1:
        raise ImageError(f"it has no pixels ({image.width} x {image.height}); leave it out")
    if image.format == "EPS":  # Pillow would start Ghostscript on it
        raise ImageError("it is a PostScript page, not an image; convert it to PNG")


def photo_of(image: Image.Image) -> Photo:
    """As `from_pil`, but whatever a damaged image makes Pillow raise comes as it is."""
    _check_picture(image)
    frames = max(1, getattr(image, "n_frames", 1))  # before loading: counting may move to other frames
    notes = _notes(image)
    planes, bits = _decoded(image)
    color, alpha = _split(planes if bits > 8 else planes.contiguous().float().div_(255))
    gray = color.shape[1] == 1 or _is_gray_palette(image, color)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        photometric = image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION)
        samples = image.tag_v2.get(TiffImagePlugin.SAMPLESPERPIXEL, 1)
        notes += channel_notes(photometric, samples, alpha=alpha is not None)
    exif, exif_notes = exif_of(image)
    xmp, xmp_notes = xmp_of(image.info)
    return Photo(
        color=color if color.shape[1] == 3 else color.repeat(1, 3, 1, 1),
        alpha=alpha,
        gray=gray,
        bits=bits,
        icc_profile=profile_of(image.info, mode=image.mode, png=image.format == "PNG", gray=gray),
        exif=exif,
        xmp=xmp,
        dpi=dpi_of(image.info, exif),
        frames=frames,
        notes=(*notes, *exif_notes, *xmp_notes),
    )


def _is_tiff(file: IO[bytes]) -> bool:
    file.seek(0)
    return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _unusual_tiff(file: IO[bytes], max_pixels: int | None) -> Photo:
    """The photo of a TIFF file that Pillow does not know, such as one of colour in floating point."""
    page = _unusual_tiff_page(file, max_pixels)
    planes = deep.tiff_planes(page)
    exif = _tiff_tags(file)
    color, alpha = _split(_upright(planes, orientation_in(exif)))
    gray = color.shape[1] == 1
    info = {"icc_profile": exif.get(TiffImagePlugin.ICCPROFILE), "xmp": exif.get(TiffImagePlugin.XMP)}
    kept, exif_notes = exif_of_tags(exif)
    xmp, xmp_notes = xmp_of(info)
    return Photo(
        color=color.repeat(1, 3, 1, 1) if gray else color,
        alpha=alpha,
        gray=gray,
        bits=deep.bits_of(page),
        icc_profile=profile_of(info, mode="", png=False, gray=gray),
        exif=kept,
        xmp=xmp,
        dpi=dpi_of(info, kept),
        notes=(
            *channel_notes(page.photometric, page.samplesperpixel, alpha=alpha is not None),
            *exif_notes,
            *xmp_notes,
        ),
    )


def _unusual_tiff_page(file: IO[bytes], max_pixels: int | None) -> Any:
    page = deep.tiff_page(file)
    check_pixels(page.imagewidth, page.imagelength, max_pixels)
    return page


def _tiff_tags(file: IO[bytes]) -> Image.Exif:
    tags = Image.Exif()
    file.seek(0)
    tags.load_from_fp(file)
    return tags


def _decoded(image: Image.Image) -> tuple[Tensor, Literal[8, 16, 32]]:
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
    return _upright(planes, orientation_of(image)), bits


def _decoded_deep(image: Image.Image, file: IO[bytes]) -> tuple[Tensor, Literal[8, 16, 32]]:
    """The same of a file whose colours Pillow would cut to 8 bits, not turned."""
    if image.format == "TIFF":
        page = deep.tiff_page(file)
        return deep.tiff_planes(page), deep.bits_of(page)
    place = file.tell()
    planes = deep.png_planes(file)
    file.seek(place)
    image.load()  # which reads what comes after the pixels
    return planes, 16


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


def _notes(image: Image.Image) -> tuple[str, ...]:
    """What decoding changes. Of a GIF it is not said: its palette stays one in a GIF."""
    changed = None if image.format == "GIF" else _CHANGED_MODES.get(image.mode)
    return (changed,) if changed else ()


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
