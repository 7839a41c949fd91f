"""Read image files and Pillow images as photos."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Protocol

import torch
from PIL import Image, TiffImagePlugin
from torch import Tensor

from restore.errors import ImageError
from restore.images import unusual_bmp, unusual_jpeg, unusual_tiff
from restore.images.decoding import decoded, split, swaps_sides
from restore.images.depth import stored_bits
from restore.images.exif import exif_of, orientation_of
from restore.images.failures import explained_reading, is_out_of_memory
from restore.images.headers import png_exif_after_pixels, tiff_pages
from restore.images.jpeg import jpeg_scans
from restore.images.limits import (
    MAX_PIXELS,
    DeclaredSize,
    check_chunks,
    check_declared_size,
    check_scans,
    declared_by,
)
from restore.images.lossless import is_lossless
from restore.images.metadata import channel_notes, dpi_of, omitted_notes, xmp_of
from restore.images.opening import opened_file, pillow_image
from restore.images.photo import Photo
from restore.images.profiles import color_notes, note_code_points, profile_of
from restore.images.truncation import cut_off_notes
from restore.levels import to_levels

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Header", "from_pil", "header_of", "photo_of", "read", "read_levels", "size_of"]

_CHANGED_MODES = {
    "1": "its 1-bit pixels became 8-bit gray",
    "P": "its palette became RGB",
    "PA": "its palette became RGB",
    "CMYK": "its CMYK became RGB of 8 bits",
    "LAB": "its L*a*b* became RGB",
    "HSV": "its HSV became RGB",
}


class Decoder(Protocol):
    """A module that reads files which Pillow does not."""

    def is_known(self, file: IO[bytes]) -> bool: ...
    def size_and_declared(
        self, file: IO[bytes], max_pixels: int | None
    ) -> tuple[tuple[int, int], DeclaredSize]: ...
    def read(self, file: IO[bytes], max_pixels: int | None) -> Photo: ...


_DECODERS: tuple[Decoder, ...] = (unusual_tiff, unusual_jpeg, unusual_bmp)


@dataclass(frozen=True)
class Header:
    """The header of an image file.

    >>> from pathlib import Path
    >>> Image.new("RGB", (8, 6)).save("small.png")
    >>> header_of(Path("small.png")).size
    (8, 6)
    """

    size: tuple[int, int]
    """Width and height of the first image, upright."""
    declared: DeclaredSize
    """What decoding takes."""


def read(path: Path, *, max_pixels: int | None = MAX_PIXELS) -> Photo:
    """Read an image file of any format that Pillow opens, whatever its suffix says.

    Args:
        path: of the file; of an animation or a file of several pages, the first image is read.
        max_pixels: the most pixels that the image may have, and the most memory that it may take, as
            `restore.images.limits` describes; ``None`` is any.

    Raises:
        ImageError: names the file and the reason: it is missing, a folder, empty, not an image, damaged,
            cut short, beyond `max_pixels`, holds values without a known range, needs a library that is not
            installed, or does not fit into memory.
    """
    with opened_file(path) as file:
        image = _opened(file, max_pixels)
        if not isinstance(image, Image.Image):
            return image.read(file, max_pixels)
        content = _jpeg_content(image, file)
        scans = jpeg_scans(content) if content else None
        with image:
            check_scans(image, scans)
            check_chunks(image, file)
            note_code_points(image, file)
            photo = photo_of(image)
            cut = cut_off_notes(content, scans, image) if scans else ()
        stored = stored_bits(file, image.format)
        shallow = (f"its {stored} bits per channel became {photo.bits}",) if stored > photo.bits else ()
        return replace(photo, lossless=is_lossless(file), notes=(*photo.notes, *shallow, *cut))


def read_levels(path: Path) -> Tensor:
    """The colors that `read` gives and nothing else, rounded to 8 bits: for loaders, which read many.

    Returns:
        ``(3, H, W)`` uint8, laid out in memory as the file had it.

    Raises:
        ImageError: as for `read`.
    """
    with opened_file(path) as file:
        image = _opened(file, MAX_PIXELS)
        if not isinstance(image, Image.Image):
            planes = image.read(file, MAX_PIXELS).color
        else:
            with image:
                _check_picture(image)
                content = _jpeg_content(image, file)
                check_scans(image, jpeg_scans(content) if content else None)
                check_chunks(image, file)
                planes, _ = split(decoded(image)[0])
    if planes.dtype != torch.uint8:
        planes = to_levels(planes)
    return planes[0].expand(3, -1, -1)


def size_of(path: Path, *, max_pixels: int | None = None) -> tuple[int, int]:
    """Width and height of an image file as it will be read, from its header alone.

    Raises:
        ImageError: as for `header_of`.
    """
    return header_of(path, max_pixels=max_pixels).size


def header_of(path: Path, *, max_pixels: int | None = None, all_frames: bool = False) -> Header:
    """Read the header of an image file.

    Args:
        path: of the file.
        max_pixels: as for `read`.
        all_frames: whether all frames of an animation will be read, as by `read_all`.

    Raises:
        ImageError: names the file and the reason: it is missing, a folder, empty, not an image, or beyond
            `max_pixels`.
    """
    with opened_file(path) as file:
        image = _opened(file, max_pixels)
        if not isinstance(image, Image.Image):
            return Header(*image.size_and_declared(file, max_pixels))
        with image:
            width, height = image.size
            declared = declared_by(image, file if all_frames else None)
            check_declared_size(declared, max_pixels)
            if image.format == "PNG" and "exif" not in image.info:  # it may come after the pixels
                image.info["exif"] = png_exif_after_pixels(file)
            # The size that Pillow reports for TIFF, and only for TIFF, is that of the upright image.
            turned = image.format != "TIFF" and swaps_sides(orientation_of(image))
            return Header((height, width) if turned else (width, height), declared)


def _opened(file: IO[bytes], max_pixels: int | None) -> Image.Image | Decoder:
    """The image that Pillow opens, or else the decoder that knows its kind."""
    try:
        image = pillow_image(file, max_pixels)
    except ImageError:
        raise
    except Exception as error:
        found = None if is_out_of_memory(error) else _decoder_of(file)
        if found is None:
            raise
        return found
    return unusual_tiff if unusual_tiff.is_preferred(image) else image


def _decoder_of(file: IO[bytes]) -> Decoder | None:
    return next((decoder for decoder in _DECODERS if decoder.is_known(file)), None)


def _jpeg_content(image: Image.Image, file: IO[bytes]) -> bytes:
    """The bytes of a JPEG file; empty for other formats."""
    if image.format not in ("JPEG", "MPO"):
        return b""
    place = file.tell()
    file.seek(0)
    content = file.read()
    file.seek(place)
    return content


def from_pil(image: Image.Image) -> Photo:
    """The photo of an image in Pillow's memory, of any mode; `image` keeps its pixels and its metadata.

    Raises:
        ImageError: the image has no pixels, is damaged, or holds values without a known range.

    >>> from_pil(Image.new("RGBA", (20, 10))).color.shape
    torch.Size([1, 3, 10, 20])
    """
    with explained_reading():
        return photo_of(image)


def _check_picture(image: Image.Image) -> None:
    if min(image.size) < 1:
        raise ImageError(f"it has no pixels ({image.width} x {image.height})", hint="omit it")
    if image.format == "EPS":  # Pillow would start Ghostscript on it
        raise ImageError("it is a PostScript page, not an image", hint="convert it to PNG")


def photo_of(image: Image.Image) -> Photo:
    """As `from_pil`, but what Pillow raises for a damaged image is not converted."""
    _check_picture(image)
    frames = _frames(image)  # before loading: counting may move to other frames
    notes = _notes(image)
    planes, bits = decoded(image)
    color, alpha = split(planes if bits > 8 else planes.contiguous().float().div_(255))
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
        notes=(*notes, *color_notes(image.info), *exif_notes, *xmp_notes, *omitted_notes(image)),
    )


def _frames(image: Image.Image) -> int:
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.fp is not None:
        return tiff_pages(image.fp)  # Pillow reads all tags of every page to count them
    return max(1, getattr(image, "n_frames", 1))


def _notes(image: Image.Image) -> tuple[str, ...]:
    """Notes on what decoding changes; none for GIF, which keeps its palette when it is written as a GIF."""
    changed = None if image.format == "GIF" else _CHANGED_MODES.get(image.mode)
    return (changed,) if changed else ()


def _is_gray_palette(image: Image.Image, color: Tensor) -> bool:
    """GIF stores gray as a palette; with an RGB profile it stays color, so that the profile fits."""
    if image.mode != "P" or "icc_profile" in image.info:
        return False
    return bool((color == color[:, :1]).all())
