"""Photos to files, and to images in Pillow's memory."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from restore.errors import ImageError
from restore.files import atomic_file
from restore.images import png
from restore.images.failures import explained, why_unwritten
from restore.images.formats import ALL_MODES, AVIF, JPEG, PNG, TIFF, Format, format_of
from restore.images.metadata import metadata
from restore.images.photo import Photo
from restore.images.provenance import KEYWORD, Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["to_pil", "write"]


def to_pil(photo: Photo) -> Image.Image:
    """The image in Pillow's memory: L, LA, RGB or RGBA, or I;16 for 16-bit gray without alpha.

    Profile, EXIF and resolution are in its ``info``. The pixels may share memory with levels of `photo`.

    Raises:
        ImageError: the tensors have the wrong shape or hold values that are not finite.
    """
    with explained("cannot draw this photo", why_unwritten):
        _check_shapes(photo)
        image = _drawn(photo, _mode(photo, ALL_MODES))
        image.info.update(metadata(photo, image.mode))
        return image


def write(
    photo: Photo,
    path: Path,
    *,
    small: bool = False,
    quality: int | None = None,
    provenance: Provenance | None = None,
    strip: bool = False,
) -> None:
    """Write `photo` in the format that the suffix names; a failure leaves an existing file as it was.

    Values are clamped to [0, 1] and rounded to the nearest level, halves up; levels are written as they are.
    A gray photo takes the mean of its channels, or the first one of its levels. Gray without alpha keeps 16
    bits in PNG and TIFF, everything else is written with 8. Fully opaque alpha is left out where the format
    has none. JPEG and AVIF keep colour at full resolution. BMP and GIF have no place for profile and EXIF.

    Args:
        photo: on any device, of any floating-point type or of uint8 levels.
        path: missing parent folders are made.
        small: make PNG as small as Pillow can, in about a hundred times the time. It is then made in memory,
            as other formats always are.
        quality: 1 to 100, for the formats that have one.
        provenance: what made the picture, for the formats that have a place for it.
        strip: write neither EXIF nor provenance.

    Raises:
        ImageError: names the file and the reason: the suffix is unknown, the format cannot hold this
            size or transparency, the values are not finite, or the disk refuses.
    """
    if strip:
        photo, provenance = replace(photo, exif=None), None
    with explained(f"cannot write '{path}'", why_unwritten):
        form = format_of(path)
        if quality is not None and "quality" in form.options:
            form = replace(form, options={**form.options, "quality": quality})
        text = (KEYWORD, provenance.to_text()) if provenance else None
        pieces = _encoded(photo, form, small=small, text=text)
        with atomic_file(path) as temporary, temporary.open("wb") as file:
            file.writelines(pieces)


def _encoded(
    photo: Photo, form: Format, *, small: bool, text: tuple[str, str] | None = None
) -> Iterable[bytes]:
    """The bytes of the file. No encoder sees the disk: a full one is so reported as such."""
    _check_shapes(photo)
    height, width = photo.color.shape[-2:]
    if max(height, width) > form.longest:
        raise ImageError(
            f"{form.name} holds at most {form.longest} pixels a side, not {width} x {height}; "
            "choose .png or .tif"
        )
    if photo.alpha is not None and not any(mode.endswith("A") for mode in form.modes):
        if _levels(photo.alpha, 255).min() < 255:
            raise ImageError(f"{form.name} cannot hold its transparency; choose .png or .webp")
        photo = replace(photo, alpha=None)
    mode = _mode(photo, form.modes)
    if form is PNG and not small:
        return png.encoded(_bands(photo, mode), (width, height), text=text, **metadata(photo, mode))
    buffer = BytesIO()
    options = _options(photo, form, mode)
    if form is PNG and text:
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_text(*text)
    _drawn(photo, mode).save(buffer, form.name, **options)
    return [buffer.getvalue()]


def _check_shapes(photo: Photo) -> None:
    """Refuse what is not one picture.

    Raises:
        ImageError: names the shape that is wrong.
    """
    shape = tuple(photo.color.shape)
    if len(shape) != 4 or shape[:2] != (1, 3) or min(shape) < 1:
        raise ImageError(f"its colour has the shape {shape}; give (1, 3, height, width) with both above 0")
    if photo.alpha is not None and tuple(photo.alpha.shape) != (1, 1, *shape[2:]):
        raise ImageError(f"its alpha has the shape {tuple(photo.alpha.shape)}; give {(1, 1, *shape[2:])}")


def _mode(photo: Photo, modes: frozenset[str]) -> str:
    """The mode of `modes` that keeps most of the photo."""
    alpha = "" if photo.alpha is None else "A"
    wanted = ["RGB" + alpha]
    if photo.gray:
        wanted.insert(0, "L" + alpha)
        if photo.bits == 16 and not alpha and photo.color.dtype != torch.uint8:
            wanted.insert(0, "I;16")
    return next(mode for mode in wanted if mode in modes)


def _drawn(photo: Photo, mode: str) -> Image.Image:
    """The pixels alone."""
    pixels = _pixels(photo, mode)
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def _bands(photo: Photo, mode: str) -> Iterator[NDArray[Any]]:
    """The pixels from the top, some rows at a time, so that there is never a second copy of them all."""
    height, width = photo.color.shape[-2:]
    count = max(1, png.BAND // width)
    for top in range(0, height, count):
        yield _pixels(photo, mode, slice(top, top + count))


def _pixels(photo: Photo, mode: str, rows: slice = slice(None)) -> NDArray[Any]:
    """(rows, W, C) contiguous levels; those of a channels_last photo that has them already are its own."""
    full = 65535 if mode == "I;16" else 255
    color = photo.color[:, :, rows]
    if photo.gray:
        color = color[:, :1] if color.dtype == torch.uint8 else color.float().mean(1, keepdim=True)
    planes = [_levels(color, full)]
    if photo.gray and mode.startswith("RGB"):
        planes *= 3
    if photo.alpha is not None:
        planes.append(_levels(photo.alpha[:, :, rows], full))
    joined = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=1)
    return np.ascontiguousarray(joined[0].transpose(1, 2, 0))


def _levels(plane: Tensor, full: int) -> NDArray[Any]:
    """Levels 0 to `full` of values in [0, 1], rounded half up; uint8 is 0 to 255 already.

    Raises:
        ImageError: a value is NaN or infinite.
    """
    if plane.dtype == torch.uint8:
        return plane.cpu().numpy()
    if not torch.isfinite(plane).all():
        raise ImageError("some values are NaN or infinite; if a model made them, run it in float32")
    levels = plane.detach().to("cpu", torch.float32).clamp(0, 1).mul_(full).add_(0.5)
    return levels.numpy().astype(np.uint8 if full == 255 else np.uint16)  # which rounds down


def _options(photo: Photo, form: Format, mode: str) -> dict[str, Any]:
    options = {**form.options, **metadata(photo, mode)}
    if form.name in (JPEG.name, AVIF.name) and mode != "L":  # asking for it would make gray AVIF colour
        options["subsampling"] = "4:4:4"
    if form is TIFF and photo.exif is not None:
        # Only Pillow's own writer, which does not compress, stores the EXIF and GPS directories.
        options["compression"] = "raw"
    return options
